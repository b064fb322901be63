//! The autoencoder: the single file counts the decoder's levels backwards, and its attention is made of 1×1 convs.

use super::Rename;

const LEVELS: usize = 4;
const ENCODER_LAYERS: usize = 2;
const DECODER_LAYERS: usize = 3;

const RESNET: &[(&str, &str)] = &[("nin_shortcut", "conv_shortcut")];
const ATTENTION: &[(&str, &str)] =
    &[("norm", "group_norm"), ("q", "to_q"), ("k", "to_k"), ("v", "to_v"), ("proj_out", "to_out.0")];
/// Names in diffusers folders from before the attention classes were unified.
const OLD_ATTENTION: &[(&str, &str)] =
    &[("query", "to_q"), ("key", "to_k"), ("value", "to_v"), ("proj_attn", "to_out.0")];

const HALVES: [&str; 2] = ["encoder", "decoder"];

pub(super) fn from_original() -> Vec<Rename> {
    let mut rules = vec![same("quant_conv"), same("post_quant_conv")];
    for half in HALVES {
        rules.extend(ends_and_middle(half));
    }
    for level in 0..LEVELS {
        rules.extend(encoder_level(level));
        rules.extend(decoder_level(level));
    }
    rules
}

pub(super) fn from_old_diffusers() -> Vec<Rename> {
    HALVES.map(|half| same(&format!("{half}.mid_block.attentions.0")).with_layers(OLD_ATTENTION)).into()
}

/// Whether diffusers holds this tensor as a linear layer's weight.
pub(super) fn is_linear(diffusers_name: &str) -> bool {
    diffusers_name.contains(".attentions.") && diffusers_name.ends_with(".weight")
}

fn same(path: &str) -> Rename {
    Rename::new(path, path)
}

fn ends_and_middle(half: &str) -> Vec<Rename> {
    vec![
        same(&format!("{half}.conv_in")),
        same(&format!("{half}.conv_out")),
        Rename::new(format!("{half}.norm_out"), format!("{half}.conv_norm_out")),
        resnet(format!("{half}.mid.block_1"), format!("{half}.mid_block.resnets.0")),
        resnet(format!("{half}.mid.block_2"), format!("{half}.mid_block.resnets.1")),
        Rename::new(format!("{half}.mid.attn_1"), format!("{half}.mid_block.attentions.0")).with_layers(ATTENTION),
    ]
}

fn encoder_level(level: usize) -> Vec<Rename> {
    let (from, to) = (format!("encoder.down.{level}"), format!("encoder.down_blocks.{level}"));
    let mut rules = resnets(&from, &to, ENCODER_LAYERS);
    rules.push(Rename::new(format!("{from}.downsample"), format!("{to}.downsamplers.0")));
    rules
}

fn decoder_level(level: usize) -> Vec<Rename> {
    let from = format!("decoder.up.{}", LEVELS - 1 - level);
    let to = format!("decoder.up_blocks.{level}");
    let mut rules = resnets(&from, &to, DECODER_LAYERS);
    rules.push(Rename::new(format!("{from}.upsample"), format!("{to}.upsamplers.0")));
    rules
}

fn resnets(from: &str, to: &str, layers: usize) -> Vec<Rename> {
    (0..layers).map(|layer| resnet(format!("{from}.block.{layer}"), format!("{to}.resnets.{layer}"))).collect()
}

fn resnet(from: String, to: String) -> Rename {
    Rename::new(from, to).with_layers(RESNET)
}
