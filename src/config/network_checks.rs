//! Settings of the network that contradict each other or do nothing, and those that follow from others.

use super::{
    network_config::{DoraAxis, NETWORK_BLOCKS, NetworkConfig, NetworkType},
    optimizers::RateRule,
    resolve::Derived,
    train_config::TrainConfig,
};
use anyhow::{Result, bail, ensure};

/// Fills in what `given` does not name, and returns which; the learning rates must be known.
pub(super) fn derive(config: &mut TrainConfig, given: impl Fn(&str) -> bool) -> Vec<Derived> {
    let mut derived = Vec::new();
    let network = &mut config.network;
    if network.network_train_text_encoder_only && !given("train_text_encoder") {
        network.train_text_encoder = true;
        derived.push(("train_text_encoder", "network_train_text_encoder_only"));
    }
    let shared = config.optimizer.rate_rule() == RateRule::Shared;
    if shared && network.train_text_encoder && !given("text_encoder_lr") {
        network.text_encoder_lr = config.unet_lr;
        derived.push(("text_encoder_lr", "= unet_lr: the optimizer finds one step size for all"));
    }
    derived
}

/// # Errors
/// Settings that cannot all hold, with what to do.
pub(super) fn check(config: &TrainConfig) -> Result<()> {
    check_kind(&config.network)?;
    check_alphas(config)?;
    check_trained(config)?;
    check_rates(config)?;
    let averages = config.optimizer.rate_rule() == RateRule::Unscheduled;
    ensure!(
        !(config.network.use_ema && averages),
        "`use_ema` averages what was trained, and so does {} itself; set `use_ema: false`, or another `optimizer_type`",
        config.optimizer.name()
    );
    Ok(())
}

/// What only some kinds of adapters have.
fn check_kind(network: &NetworkConfig) -> Result<()> {
    let kind = network.network_type;
    let for_lora = [
        ("network_dropout", network.network_dropout),
        ("rank_dropout", network.rank_dropout),
        ("module_dropout", network.module_dropout),
        ("scale_weight_norms", network.scale_weight_norms),
    ];
    if let Some((key, _)) = for_lora.iter().find(|(_, size)| *size > 0.0 && kind != NetworkType::Lora) {
        bail!("`{key}` is for `network_type: lora`; set it to 0 with `{}`", kind.name());
    }
    let divided = matches!(kind, NetworkType::Lora | NetworkType::Dora);
    ensure!(
        divided || !network.has_loraplus(),
        "`loraplus_lr_ratio` is for `network_type: lora` and `dora`, which have a second matrix; leave it out with `{}`",
        kind.name()
    );
    ensure!(
        network.conv_dim > 0 || (network.conv_block_dims.is_empty() && network.conv_block_alphas.is_empty()),
        "`conv_block_dims` and `conv_block_alphas` divide up what `conv_dim` adapts, which is 0; set `conv_dim` too, such \
         as 8"
    );
    Ok(())
}

/// An alpha of 0 makes an adapter that never does anything.
fn check_alphas(config: &TrainConfig) -> Result<()> {
    let network = &config.network;
    ensure!(
        network.conv_dim == 0 || network.conv_alpha > 0.0 || !network.conv_block_alphas.is_empty(),
        "`conv_alpha` is 0, which takes all strength from the convolutions; set it to `conv_dim`, which is what \
         sd-scripts makes of 0, or to 1"
    );
    let places = |convs| (0..NETWORK_BLOCKS).filter(move |&block| network.has_layers(block, convs));
    let lists = [
        ("block_alphas", &network.block_alphas, &network.block_dims, config.lora_rank, false),
        ("conv_block_alphas", &network.conv_block_alphas, &network.conv_block_dims, network.conv_dim, true),
    ];
    for (key, alphas, ranks, rank, convs) in lists {
        let rank = |block: usize| ranks.get(block).copied().unwrap_or(f64::from(rank));
        let powerless = |block: &usize| rank(*block) > 0.0 && alphas.get(*block) == Some(&0.0);
        if let Some(block) = places(convs).find(powerless) {
            bail!(
                "`{key}`: block {block} has alpha 0, which takes all its strength; set its rank to 0 to leave it out"
            );
        }
    }
    Ok(())
}

/// That something is trained at all.
fn check_trained(config: &TrainConfig) -> Result<()> {
    let network = &config.network;
    ensure!(
        network.train_text_encoder || !network.network_train_text_encoder_only,
        "`network_train_text_encoder_only` and `train_text_encoder: false` leave nothing to train; drop one of them"
    );
    if network.network_train_text_encoder_only {
        ensure!(
            network.trains_text_encoder(),
            "`network_train_text_encoder_only` with `text_encoder_lr: 0` leaves nothing to train; set a rate, such as 5e-5"
        );
        return Ok(());
    }
    ensure!(
        (0..NETWORK_BLOCKS).any(|block| network.adapts(block)),
        "no block of the U-Net is left to train: where `block_dims`, `conv_block_dims` or the learning rate's factors are \
         not 0, there are no layers{}",
        if network.conv_dim == 0 { "; `conv_dim` would add those of resnets and samplers" } else { "" }
    );
    Ok(())
}

/// What an optimizer with one rate for all cannot do.
fn check_rates(config: &TrainConfig) -> Result<()> {
    let network = &config.network;
    let rule = config.optimizer.rate_rule();
    let name = config.optimizer.name();
    let cure = match rule {
        RateRule::Shared => "take another `optimizer_type`, such as AdamW",
        RateRule::Own => "set `optimizer_args: [\"relative_step=False\"]`",
        RateRule::Free | RateRule::Unscheduled => return Ok(()),
    };
    ensure!(
        !network.has_loraplus(),
        "`loraplus_lr_ratio`: {name} has one learning rate for all tensors; leave it out, or {cure}"
    );
    ensure!(
        network.block_lr_factors().iter().flatten().all(|&factor| factor == 0.0 || factor == 1.0),
        "`down_lr_weight`, `mid_lr_weight`, `up_lr_weight`: {name} has one learning rate for all blocks; use the factors 0 \
         and 1, or {cure}"
    );
    let (unet, text) = (config.unet_lr, network.text_encoder_lr);
    let both = network.trains_text_encoder() && !network.network_train_text_encoder_only;
    ensure!(
        rule == RateRule::Own || !both || text == unet,
        "`text_encoder_lr` {text} is not `unet_lr` {unet}: {name} has one learning rate for all; leave `text_encoder_lr` out"
    );
    Ok(())
}

/// Settings that have no effect beside the others, or another than one might expect.
pub(super) fn notes(config: &TrainConfig) -> Vec<String> {
    let rows = kind_notes(&config.network).into_iter().chain(rate_notes(&config.network));
    rows.filter(|(holds, _)| *holds).map(|(_, note)| note.to_owned()).collect()
}

/// Whether a note holds, and its text.
type Note = (bool, &'static str);

fn kind_notes(network: &NetworkConfig) -> [Note; 4] {
    let default = NetworkConfig::default();
    let dora = network.network_type == NetworkType::Dora;
    [
        (
            dora && network.dora_axis == DoraAxis::Input,
            "network_type: diffusers' file layout has no magnitudes of inputs, so that `dora` cannot be written in it; \
             `dora_axis: output` can",
        ),
        (!dora && network.dora_axis != default.dora_axis, "dora_axis: only `network_type: dora` reads it"),
        (
            network.network_type != NetworkType::Lokr && network.lokr_factor != default.lokr_factor,
            "lokr_factor: only `network_type: lokr` reads it",
        ),
        (
            network.conv_dim == 0 && !matches!(network.conv_alpha, 0.0 | 1.0),
            "conv_alpha: does nothing while `conv_dim` is 0",
        ),
    ]
}

fn rate_notes(network: &NetworkConfig) -> [Note; 5] {
    let default = NetworkConfig::default();
    let trains_text = network.train_text_encoder;
    let usual_rate = [0.0, default.text_encoder_lr].contains(&network.text_encoder_lr);
    [
        (
            network.block_lr_zero_threshold > 0.0 && !network.has_lr_factors(),
            "block_lr_zero_threshold: does nothing without `down_lr_weight`, `mid_lr_weight` or `up_lr_weight`",
        ),
        (
            trains_text && network.text_encoder_lr == 0.0,
            "text_encoder_lr: is 0, so that the text encoder is not trained",
        ),
        (!trains_text && !usual_rate, "text_encoder_lr: does nothing without `train_text_encoder: true`"),
        (
            !trains_text && ![1.0, network.loraplus_unet_lr_ratio].contains(&network.loraplus_text_encoder_lr_ratio),
            "loraplus_text_encoder_lr_ratio: does nothing without `train_text_encoder: true`",
        ),
        (!network.use_ema && network.ema_decay != default.ema_decay, "ema_decay: does nothing without `use_ema: true`"),
    ]
}
