//! kohya's 25 blocks of the U-Net, by which ranks and learning rates may differ.

use crate::config::NETWORK_BLOCKS;

/// The middle one, after 12 on the way down, of which the first is `conv_in`.
const MIDDLE: usize = NETWORK_BLOCKS / 2;

/// The block of a U-Net module (sd-scripts' `get_block_index`): resnets and attentions count by their layer, samplers are
/// the third of their level.
pub fn block_of(path: &str) -> usize {
    let parts: Vec<&str> = path.split('.').collect();
    let number = |index: usize| parts.get(index).and_then(|part| part.parse::<usize>().ok());
    let first = match parts[0] {
        "down_blocks" => 1,
        "up_blocks" => MIDDLE + 1,
        _ => return MIDDLE,
    };
    let level = number(1).unwrap_or(0);
    let sampler = parts.get(2).is_some_and(|part| part.ends_with("samplers"));
    let layer = if sampler { 2 } else { number(3).unwrap_or(0) };
    first + 3 * level + layer
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn modules_lie_in_the_blocks_that_kohya_counts() {
        for (path, block) in [
            ("down_blocks.0.attentions.0.transformer_blocks.0.attn1.to_q", 1),
            ("down_blocks.2.downsamplers.0.conv", 9),
            ("down_blocks.3.resnets.1.conv2", 11),
            ("mid_block.attentions.0.proj_in", 12),
            ("up_blocks.0.resnets.0.conv1", 13),
            ("up_blocks.0.upsamplers.0.conv", 15),
            ("up_blocks.3.attentions.2.proj_out", 24),
        ] {
            assert_eq!(block_of(path), block, "{path}");
        }
    }
}
