//! The U-Net: the single file counts blocks straight through, diffusers counts levels and layers.

use super::Rename;

const LEVELS: usize = 4;
/// Transformers stand in every level but the deepest.
const ATTENTION_LEVELS: usize = 3;
const DOWN_LAYERS: usize = 2;
/// One more on the way up; on the way down the sampler takes that place in the count.
const UP_LAYERS: usize = 3;

const RESNET: &[(&str, &str)] = &[
    ("in_layers.0", "norm1"),
    ("in_layers.2", "conv1"),
    ("emb_layers.1", "time_emb_proj"),
    ("out_layers.0", "norm2"),
    ("out_layers.3", "conv2"),
    ("skip_connection", "conv_shortcut"),
];

pub(super) fn from_original() -> Vec<Rename> {
    let mut rules = ends();
    for level in 0..LEVELS {
        rules.extend(down_level(level));
        rules.extend(up_level(level));
    }
    rules
}

/// What lies outside the levels.
fn ends() -> Vec<Rename> {
    vec![
        Rename::new("time_embed.0", "time_embedding.linear_1"),
        Rename::new("time_embed.2", "time_embedding.linear_2"),
        Rename::new("input_blocks.0.0", "conv_in"),
        Rename::new("middle_block.0", "mid_block.resnets.0").with_layers(RESNET),
        Rename::new("middle_block.1", "mid_block.attentions.0"),
        Rename::new("middle_block.2", "mid_block.resnets.1").with_layers(RESNET),
        Rename::new("out.0", "conv_norm_out"),
        Rename::new("out.2", "conv_out"),
    ]
}

/// Input block 0 is `conv_in`; each level then takes its layers and a downsampler, which the deepest lacks.
fn down_level(level: usize) -> Vec<Rename> {
    let first = level * (DOWN_LAYERS + 1) + 1;
    let mut rules = Vec::new();
    for layer in 0..DOWN_LAYERS {
        let block = format!("input_blocks.{}", first + layer);
        rules.push(resnet(&block, &format!("down_blocks.{level}.resnets.{layer}")));
        if level < ATTENTION_LEVELS {
            rules.push(Rename::new(format!("{block}.1"), format!("down_blocks.{level}.attentions.{layer}")));
        }
    }
    if level + 1 < LEVELS {
        rules.push(Rename::new(
            format!("input_blocks.{}.0.op", first + DOWN_LAYERS),
            format!("down_blocks.{level}.downsamplers.0.conv"),
        ));
    }
    rules
}

/// The upsampler stands last within the level's last block: after its attention, where it has one.
fn up_level(level: usize) -> Vec<Rename> {
    let has_attention = level >= LEVELS - ATTENTION_LEVELS;
    let block = |layer| format!("output_blocks.{}", level * UP_LAYERS + layer);
    let mut rules = Vec::new();
    for layer in 0..UP_LAYERS {
        rules.push(resnet(&block(layer), &format!("up_blocks.{level}.resnets.{layer}")));
        if has_attention {
            rules.push(Rename::new(format!("{}.1", block(layer)), format!("up_blocks.{level}.attentions.{layer}")));
        }
    }
    if level + 1 < LEVELS {
        let place = if has_attention { 2 } else { 1 };
        rules.push(Rename::new(format!("{}.{place}", block(UP_LAYERS - 1)), format!("up_blocks.{level}.upsamplers.0")));
    }
    rules
}

fn resnet(block: &str, to: &str) -> Rename {
    Rename::new(format!("{block}.0"), to).with_layers(RESNET)
}
