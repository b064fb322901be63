//! What a recorded training case adapts, by its header; a key that is absent means that its option is off.

use std::str::FromStr;

use anyhow::{Context, Result, bail, ensure};

use crate::{
    adapters::{Kind, Rules, Size, TextRules, UnetRules},
    config::{LoraTarget, NETWORK_BLOCKS},
    ops::DoraAxis,
    optim::EmaRule,
    train::tasks::diffusion::step::Dropouts,
    weights::SafetensorsFile,
};

/// The adapters of a case.
pub(super) struct Adapted {
    pub kind: Kind,
    /// Text encoder rules name all its layers; see [`Adapted::clip_skip`].
    pub rules: Rules,
    /// From 1, as kohya counts.
    pub clip_skip: usize,
    pub average: Option<EmaRule>,
    pub dropouts: Dropouts,
    /// Of scale_weight_norms.
    pub max_norm: Option<f32>,
}

impl Adapted {
    /// # Errors
    /// A key that is missing or holds something else than expected.
    pub fn read(file: &SafetensorsFile) -> Result<Self> {
        let dropouts = Dropouts { rank: number(file, "rank_dropout")?.unwrap_or(0.0), ..Dropouts::default() };
        Ok(Self {
            kind: kind(file)?,
            rules: Rules { unet: Some(unet(file)?), text: text(file)? },
            clip_skip: number(file, "clip_skip")?.unwrap_or(1),
            average: average(file)?,
            dropouts,
            max_norm: number(file, "max_norm")?.filter(|norm| *norm > 0.0),
        })
    }

    /// The rules for a text encoder of `layers` layers.
    pub fn rules_for(&self, layers: usize) -> Rules {
        let mut rules = self.rules.clone();
        rules.text.iter_mut().for_each(|text| text.layers = layers + 1 - self.clip_skip);
        rules
    }
}

fn kind(file: &SafetensorsFile) -> Result<Kind> {
    let axis = match word(file, "dora_axis") {
        Some("in") => DoraAxis::In,
        _ => DoraAxis::Out,
    };
    Ok(match word(file, "adapter") {
        None | Some("lora") => Kind::Lora,
        Some("dora") => Kind::Dora { axis, detached: false },
        Some("dora_detached") => Kind::Dora { axis, detached: true },
        Some("loha") => Kind::Loha,
        Some("lokr") => Kind::Lokr { factor: file.header_number("factor")? },
        Some(other) => bail!("`adapter` is {other:?}, none of lora, dora, dora_detached, loha and lokr"),
    })
}

fn unet(file: &SafetensorsFile) -> Result<UnetRules> {
    let (target, convolutions) = match file.header_text("targets")? {
        "attn" => (LoraTarget::Attention, false),
        "kohya" => (LoraTarget::Transformer, false),
        "kohya_conv" => (LoraTarget::Transformer, true),
        other => bail!("`targets` is {other:?}, not attn, kohya or kohya_conv"),
    };
    let size = Size { rank: file.header_number("rank")?, alpha: file.header_number("alpha")? };
    let conv = match number(file, "conv_rank")? {
        Some(rank) => Size { rank, alpha: file.header_number("conv_alpha")? },
        None => size,
    };
    let blocks = match (by_block::<usize>(file, "block_ranks")?, by_block::<f32>(file, "block_alphas")?) {
        (Some(ranks), Some(alphas)) => Some(std::array::from_fn(|at| Size { rank: ranks[at], alpha: alphas[at] })),
        _ => None,
    };
    Ok(UnetRules {
        target,
        size,
        conv: convolutions.then_some(conv),
        blocks,
        conv_blocks: blocks,
        rate: file.header_number("lr")?,
        block_rates: by_block(file, "block_lrs")?,
        up_ratio: number(file, "loraplus_ratio")?.unwrap_or(1.0),
    })
}

fn text(file: &SafetensorsFile) -> Result<Option<TextRules>> {
    let Some(rank) = number(file, "te_rank")? else { return Ok(None) };
    Ok(Some(TextRules {
        size: Size { rank, alpha: file.header_number("te_alpha")? },
        rate: file.header_number("te_lr")?,
        up_ratio: number(file, "loraplus_ratio")?.unwrap_or(1.0),
        layers: 0,
    }))
}

fn average(file: &SafetensorsFile) -> Result<Option<EmaRule>> {
    let decay = || file.header_number("ema_decay");
    Ok(match word(file, "ema_kind") {
        None => None,
        Some("diffusers") => {
            Some(EmaRule::Diffusers { decay: decay()?, min_decay: 0.0, update_after_step: 0, warmup: None })
        }
        Some("onetrainer") => Some(EmaRule::OneTrainer { decay: decay()?, update_step_interval: 1 }),
        Some(other) => bail!("`ema_kind` is {other:?}, not diffusers or onetrainer"),
    })
}

fn word<'a>(file: &'a SafetensorsFile, key: &str) -> Option<&'a str> {
    file.metadata().get(key).map(String::as_str)
}

fn number<T: FromStr>(file: &SafetensorsFile, key: &str) -> Result<Option<T>> {
    word(file, key).map(|_| file.header_number(key)).transpose()
}

/// A value for each of kohya's blocks, between commas.
fn by_block<T: FromStr>(file: &SafetensorsFile, key: &str) -> Result<Option<[T; NETWORK_BLOCKS]>> {
    let Some(text) = word(file, key) else { return Ok(None) };
    let values: Option<Vec<T>> = text.split(',').map(|value| value.trim().parse().ok()).collect();
    let values = values.with_context(|| format!("`{key}` holds something else than numbers: {text:?}"))?;
    ensure!(values.len() == NETWORK_BLOCKS, "`{key}` holds {} values, not {NETWORK_BLOCKS}", values.len());
    Ok(values.try_into().ok())
}
