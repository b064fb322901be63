//! Every parameter of a Stable Diffusion v1 checkpoint as narrow as its 32 norm groups allow, under both its names.

const UNET_WIDTHS: [usize; 4] = [32, 64, 64, 64];
const TIME_WIDTH: usize = 128;
const CONTEXT_WIDTH: usize = 32;
const VAE_WIDTH: usize = 32;
const TEXT_LAYERS: usize = 2;
const TEXT_INTERMEDIATE: usize = 128;
const VOCABULARY: usize = 49408;
const POSITIONS: usize = 77;

/// One parameter.
pub struct Parameter {
    /// diffusers' or transformers' name, behind the name of its network.
    pub name: String,
    /// Its name in the original single-file layout.
    pub stored_name: String,
    /// Its shape in that layout.
    pub shape: Vec<usize>,
}

/// The parameters of all three networks.
pub fn parameters() -> Vec<Parameter> {
    let mut all = Vec::new();
    unet(&mut Network { name: "unet.", stored_name: "model.diffusion_model.", parameters: &mut all });
    vae(&mut Network { name: "vae.", stored_name: "first_stage_model.", parameters: &mut all });
    text_encoder(&mut Network {
        name: "text_encoder.",
        stored_name: "cond_stage_model.transformer.",
        parameters: &mut all,
    });
    all
}

/// One network, whose layers are added under their stored and their diffusers names.
struct Network<'a> {
    name: &'static str,
    stored_name: &'static str,
    parameters: &'a mut Vec<Parameter>,
}

impl Network<'_> {
    fn parameter(&mut self, stored: &str, name: &str, shape: &[usize]) {
        self.parameters.push(Parameter {
            name: format!("{}{name}", self.name),
            stored_name: format!("{}{stored}", self.stored_name),
            shape: shape.to_vec(),
        });
    }

    fn without_bias(&mut self, stored: &str, name: &str, shape: &[usize]) {
        self.parameter(&format!("{stored}.weight"), &format!("{name}.weight"), shape);
    }

    /// A weight and a bias.
    fn layer(&mut self, stored: &str, name: &str, shape: &[usize]) {
        self.without_bias(stored, name, shape);
        self.parameter(&format!("{stored}.bias"), &format!("{name}.bias"), &shape[..1]);
    }

    fn conv(&mut self, stored: &str, name: &str, in_channels: usize, out_channels: usize) {
        self.layer(stored, name, &[out_channels, in_channels, 3, 3]);
    }
}

fn unet(net: &mut Network<'_>) {
    let first = UNET_WIDTHS[0];
    net.layer("time_embed.0", "time_embedding.linear_1", &[TIME_WIDTH, first]);
    net.layer("time_embed.2", "time_embedding.linear_2", &[TIME_WIDTH, TIME_WIDTH]);
    net.conv("input_blocks.0.0", "conv_in", 4, first);
    (0..4).for_each(|level| down_block(net, level));
    unet_resnet(net, "middle_block.0", "mid_block.resnets.0", UNET_WIDTHS[3], UNET_WIDTHS[3]);
    transformer(net, "middle_block.1", "mid_block.attentions.0", UNET_WIDTHS[3]);
    unet_resnet(net, "middle_block.2", "mid_block.resnets.1", UNET_WIDTHS[3], UNET_WIDTHS[3]);
    (0..4).for_each(|index| up_block(net, index));
    net.layer("out.0", "conv_norm_out", &[first]);
    net.conv("out.2", "conv_out", first, 4);
}

fn down_block(net: &mut Network<'_>, level: usize) {
    let width = UNET_WIDTHS[level];
    for (layer, incoming) in [UNET_WIDTHS[level.saturating_sub(1)], width].into_iter().enumerate() {
        let stored = format!("input_blocks.{}", 3 * level + layer + 1);
        let block = format!("down_blocks.{level}");
        unet_resnet(net, &format!("{stored}.0"), &format!("{block}.resnets.{layer}"), incoming, width);
        if level < 3 {
            transformer(net, &format!("{stored}.1"), &format!("{block}.attentions.{layer}"), width);
        }
    }
    if level < 3 {
        let stored = format!("input_blocks.{}.0.op", 3 * (level + 1));
        net.conv(&stored, &format!("down_blocks.{level}.downsamplers.0.conv"), width, width);
    }
}

fn up_block(net: &mut Network<'_>, index: usize) {
    let level = 3 - index;
    let (below, width, finer) =
        (UNET_WIDTHS[(level + 1).min(3)], UNET_WIDTHS[level], UNET_WIDTHS[level.saturating_sub(1)]);
    for (layer, incoming) in [below + width, width + width, width + finer].into_iter().enumerate() {
        let stored = format!("output_blocks.{}", 3 * index + layer);
        let block = format!("up_blocks.{index}");
        unet_resnet(net, &format!("{stored}.0"), &format!("{block}.resnets.{layer}"), incoming, width);
        if index > 0 {
            transformer(net, &format!("{stored}.1"), &format!("{block}.attentions.{layer}"), width);
        }
    }
    if index < 3 {
        // Without attention before it, the upsampler comes second.
        let stored = format!("output_blocks.{}.{}.conv", 3 * index + 2, if index == 0 { 1 } else { 2 });
        net.conv(&stored, &format!("up_blocks.{index}.upsamplers.0.conv"), width, width);
    }
}

fn unet_resnet(net: &mut Network<'_>, stored: &str, name: &str, in_channels: usize, out_channels: usize) {
    net.layer(&format!("{stored}.in_layers.0"), &format!("{name}.norm1"), &[in_channels]);
    net.conv(&format!("{stored}.in_layers.2"), &format!("{name}.conv1"), in_channels, out_channels);
    net.layer(&format!("{stored}.emb_layers.1"), &format!("{name}.time_emb_proj"), &[out_channels, TIME_WIDTH]);
    net.layer(&format!("{stored}.out_layers.0"), &format!("{name}.norm2"), &[out_channels]);
    net.conv(&format!("{stored}.out_layers.3"), &format!("{name}.conv2"), out_channels, out_channels);
    if in_channels != out_channels {
        let shape = [out_channels, in_channels, 1, 1];
        net.layer(&format!("{stored}.skip_connection"), &format!("{name}.conv_shortcut"), &shape);
    }
}

/// Both layouts name what lies inside of a transformer alike.
fn transformer(net: &mut Network<'_>, stored: &str, name: &str, width: usize) {
    let mut layer =
        |path: &str, shape: &[usize]| net.layer(&format!("{stored}.{path}"), &format!("{name}.{path}"), shape);
    layer("norm", &[width]);
    layer("proj_in", &[width, width, 1, 1]);
    ["norm1", "norm2", "norm3"].iter().for_each(|norm| layer(&format!("transformer_blocks.0.{norm}"), &[width]));
    layer("transformer_blocks.0.attn1.to_out.0", &[width, width]);
    layer("transformer_blocks.0.attn2.to_out.0", &[width, width]);
    layer("transformer_blocks.0.ff.net.0.proj", &[8 * width, width]);
    layer("transformer_blocks.0.ff.net.2", &[width, 4 * width]);
    layer("proj_out", &[width, width, 1, 1]);
    for (attention, context) in [("attn1", width), ("attn2", CONTEXT_WIDTH)] {
        for (projection, in_features) in [("to_q", width), ("to_k", context), ("to_v", context)] {
            let path = format!("transformer_blocks.0.{attention}.{projection}");
            net.without_bias(&format!("{stored}.{path}"), &format!("{name}.{path}"), &[width, in_features]);
        }
    }
}

fn vae(net: &mut Network<'_>) {
    vae_half(net, "encoder", (3, 8));
    vae_half(net, "decoder", (4, 3));
    for level in 0..4 {
        for layer in 0..2 {
            let stored = format!("encoder.down.{level}.block.{layer}");
            vae_resnet(net, &stored, &format!("encoder.down_blocks.{level}.resnets.{layer}"));
        }
        // The single file counts the decoder's levels from the finest.
        for layer in 0..3 {
            let stored = format!("decoder.up.{}.block.{layer}", 3 - level);
            vae_resnet(net, &stored, &format!("decoder.up_blocks.{level}.resnets.{layer}"));
        }
    }
    for level in 0..3 {
        let down = format!("encoder.down_blocks.{level}.downsamplers.0.conv");
        net.conv(&format!("encoder.down.{level}.downsample.conv"), &down, VAE_WIDTH, VAE_WIDTH);
        let up = format!("decoder.up_blocks.{level}.upsamplers.0.conv");
        net.conv(&format!("decoder.up.{}.upsample.conv", 3 - level), &up, VAE_WIDTH, VAE_WIDTH);
    }
    net.layer("quant_conv", "quant_conv", &[8, 8, 1, 1]);
    net.layer("post_quant_conv", "post_quant_conv", &[4, 4, 1, 1]);
}

/// What encoder and decoder have in common: first and last layers and the middle.
fn vae_half(net: &mut Network<'_>, half: &str, (in_channels, out_channels): (usize, usize)) {
    net.conv(&format!("{half}.conv_in"), &format!("{half}.conv_in"), in_channels, VAE_WIDTH);
    vae_resnet(net, &format!("{half}.mid.block_1"), &format!("{half}.mid_block.resnets.0"));
    vae_resnet(net, &format!("{half}.mid.block_2"), &format!("{half}.mid_block.resnets.1"));
    let (stored, name) = (format!("{half}.mid.attn_1"), format!("{half}.mid_block.attentions.0"));
    net.layer(&format!("{stored}.norm"), &format!("{name}.group_norm"), &[VAE_WIDTH]);
    for (stored_child, child) in [("q", "to_q"), ("k", "to_k"), ("v", "to_v"), ("proj_out", "to_out.0")] {
        let shape = [VAE_WIDTH, VAE_WIDTH, 1, 1];
        net.layer(&format!("{stored}.{stored_child}"), &format!("{name}.{child}"), &shape);
    }
    net.layer(&format!("{half}.norm_out"), &format!("{half}.conv_norm_out"), &[VAE_WIDTH]);
    net.conv(&format!("{half}.conv_out"), &format!("{half}.conv_out"), VAE_WIDTH, out_channels);
}

fn vae_resnet(net: &mut Network<'_>, stored: &str, name: &str) {
    for index in [1, 2] {
        net.layer(&format!("{stored}.norm{index}"), &format!("{name}.norm{index}"), &[VAE_WIDTH]);
        net.conv(&format!("{stored}.conv{index}"), &format!("{name}.conv{index}"), VAE_WIDTH, VAE_WIDTH);
    }
}

fn text_encoder(net: &mut Network<'_>) {
    let same = |net: &mut Network<'_>, name: &str, shape: &[usize]| net.layer(name, name, shape);
    let embeddings = "text_model.embeddings";
    for (table, rows) in [("token_embedding", VOCABULARY), ("position_embedding", POSITIONS)] {
        let name = format!("{embeddings}.{table}");
        net.without_bias(&name, &name, &[rows, CONTEXT_WIDTH]);
    }
    for index in 0..TEXT_LAYERS {
        let layer = format!("text_model.encoder.layers.{index}");
        for projection in ["q_proj", "k_proj", "v_proj", "out_proj"] {
            same(net, &format!("{layer}.self_attn.{projection}"), &[CONTEXT_WIDTH, CONTEXT_WIDTH]);
        }
        same(net, &format!("{layer}.layer_norm1"), &[CONTEXT_WIDTH]);
        same(net, &format!("{layer}.layer_norm2"), &[CONTEXT_WIDTH]);
        same(net, &format!("{layer}.mlp.fc1"), &[TEXT_INTERMEDIATE, CONTEXT_WIDTH]);
        same(net, &format!("{layer}.mlp.fc2"), &[CONTEXT_WIDTH, TEXT_INTERMEDIATE]);
    }
    same(net, "text_model.final_layer_norm", &[CONTEXT_WIDTH]);
}
