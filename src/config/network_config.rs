//! What is trained: the kind of adapter, where it stands, how large it is there and how fast it learns.

/// Blocks of the U-Net that ranks and rates may differ by: 12 on the way down, the middle, 12 on the way up.
pub const NETWORK_BLOCKS: usize = 25;

/// Kind, places, sizes and rates besides `lora_rank`, `lora_alpha`, `lora_target` and `unet_lr`. The fields are the
/// configuration keys.
#[derive(Clone, Debug, PartialEq)]
pub struct NetworkConfig {
    pub network_type: NetworkType,
    /// Of `network_type: dora`.
    pub dora_axis: DoraAxis,
    /// Of `network_type: lokr`; −1: as even as can be.
    pub lokr_factor: i32,
    /// Rank of 3×3 convolutions; 0: they are left alone, and with them the resnets and samplers.
    pub conv_dim: u32,
    pub conv_alpha: f64,
    /// Ranks and alphas of each block; empty: the same everywhere. A rank of 0 leaves the block out.
    pub block_dims: Vec<f64>,
    pub block_alphas: Vec<f64>,
    pub conv_block_dims: Vec<f64>,
    pub conv_block_alphas: Vec<f64>,
    /// Factors of the learning rate for the 12 blocks on the way down, the middle and the 12 on the way up; empty: 1.
    pub down_lr_weight: Vec<f64>,
    pub mid_lr_weight: f64,
    pub up_lr_weight: Vec<f64>,
    /// Factors up to here leave their block out.
    pub block_lr_zero_threshold: f64,
    /// LoRA+: what the learning rate of every `up` matrix is multiplied by, in the U-Net and in the text encoder.
    pub loraplus_unet_lr_ratio: f64,
    pub loraplus_text_encoder_lr_ratio: f64,
    /// alpha / √rank instead of alpha / rank.
    pub rs_lora: bool,
    pub network_dropout: f64,
    pub rank_dropout: f64,
    pub module_dropout: f64,
    /// 0: off.
    pub scale_weight_norms: f64,
    pub train_text_encoder: bool,
    /// The U-Net is left alone.
    pub network_train_text_encoder_only: bool,
    pub text_encoder_lr: f64,
    /// Tokens of a caption: 75, 150 or 225.
    pub max_token_length: u32,
    /// The file holds a running average of what was trained.
    pub use_ema: bool,
    pub ema_decay: f64,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NetworkType {
    Lora,
    Dora,
    Loha,
    Lokr,
}

/// What DoRA's magnitudes count.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DoraAxis {
    /// A magnitude for each input: what every WebUI reads right.
    Input,
    /// A magnitude for each output: what diffusers reads.
    Output,
}

impl Default for NetworkConfig {
    fn default() -> Self {
        Self {
            network_type: NetworkType::Lora,
            dora_axis: DoraAxis::Input,
            lokr_factor: -1,
            conv_dim: 0,
            conv_alpha: 1.0,
            block_dims: Vec::new(),
            block_alphas: Vec::new(),
            conv_block_dims: Vec::new(),
            conv_block_alphas: Vec::new(),
            down_lr_weight: Vec::new(),
            mid_lr_weight: 1.0,
            up_lr_weight: Vec::new(),
            block_lr_zero_threshold: 0.0,
            loraplus_unet_lr_ratio: 1.0,
            loraplus_text_encoder_lr_ratio: 1.0,
            rs_lora: false,
            network_dropout: 0.0,
            rank_dropout: 0.0,
            module_dropout: 0.0,
            scale_weight_norms: 0.0,
            train_text_encoder: false,
            network_train_text_encoder_only: false,
            text_encoder_lr: 1e-5,
            max_token_length: 75,
            use_ema: false,
            ema_decay: 0.999,
        }
    }
}

/// Blocks whose only layer is a sampler's convolution.
const SAMPLERS: [usize; 3] = [3, 6, 9];
/// Blocks with attention.
const ATTENTION: [usize; 16] = [1, 2, 4, 5, 7, 8, 12, 16, 17, 18, 19, 20, 21, 22, 23, 24];

impl NetworkConfig {
    /// Whether the text encoder is trained at a rate above 0.
    pub fn trains_text_encoder(&self) -> bool {
        self.train_text_encoder && self.text_encoder_lr > 0.0
    }

    /// What the U-Net's learning rate is multiplied by in each block, with 0 for what `block_lr_zero_threshold` leaves
    /// out; `None`: 1 everywhere.
    pub fn block_lr_factors(&self) -> Option<[f64; NETWORK_BLOCKS]> {
        let factor = |list: &[f64], at: usize| list.get(at).copied().unwrap_or(1.0);
        let middle = NETWORK_BLOCKS / 2;
        self.has_lr_factors().then(|| {
            std::array::from_fn(|block| {
                let factor = match block {
                    down if down < middle => factor(&self.down_lr_weight, down),
                    block if block == middle => self.mid_lr_weight,
                    up => factor(&self.up_lr_weight, up - middle - 1),
                };
                if factor > self.block_lr_zero_threshold { factor } else { 0.0 }
            })
        })
    }

    pub(super) fn has_lr_factors(&self) -> bool {
        !self.down_lr_weight.is_empty() || !self.up_lr_weight.is_empty() || self.mid_lr_weight != 1.0
    }

    pub(super) fn has_loraplus(&self) -> bool {
        self.loraplus_unet_lr_ratio != 1.0 || self.loraplus_text_encoder_lr_ratio != 1.0
    }

    /// Whether something in a block takes the ordinary rank, or with `convs` that of 3×3 convolutions. Block 0 is
    /// `conv_in`, which is never adapted.
    pub(super) fn has_layers(&self, block: usize, convs: bool) -> bool {
        let convolutional = self.conv_dim > 0 && block != 0;
        match convs {
            true => convolutional,
            false => ATTENTION.contains(&block) || (convolutional && !SAMPLERS.contains(&block)),
        }
    }

    /// Whether something in a block of the U-Net is trained.
    pub(super) fn adapts(&self, block: usize) -> bool {
        let has_rank = |ranks: &[f64]| ranks.get(block).is_none_or(|&rank| rank > 0.0);
        let learns = self.block_lr_factors().is_none_or(|factors| factors[block] > 0.0);
        let layers = self.has_layers(block, false) && has_rank(&self.block_dims);
        let convs = self.has_layers(block, true) && has_rank(&self.conv_block_dims);
        learns && (layers || convs)
    }
}
