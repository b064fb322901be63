//! Tensor names of SD v1.x: from what files hold to what diffusers calls them.
//!
//! The names are not listed but generated from the topology (levels, resnets per level), like the models themselves.

mod text_encoder;
mod unet;
mod vae;

use super::component::Component;

/// How the tensors of a file are named.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Layout {
    /// CompVis' single file: `model.diffusion_model.input_blocks.1.0.in_layers.2.weight`.
    Original,
    /// A component of a diffusers folder: `down_blocks.0.resnets.0.conv1.weight`.
    Diffusers,
}

/// Translates names of one component, its prefix already removed.
pub(super) struct NameMap {
    component: Component,
    layout: Layout,
    rules: Vec<Rename>,
}

impl NameMap {
    pub(super) fn new(component: Component, layout: Layout) -> Self {
        let rules = match (component, layout) {
            (Component::Unet, Layout::Original) => unet::from_original(),
            (Component::Vae, Layout::Original) => vae::from_original(),
            (Component::Vae, Layout::Diffusers) => vae::from_old_diffusers(),
            (Component::Unet, Layout::Diffusers) | (Component::TextEncoder, _) => Vec::new(),
        };
        Self { component, layout, rules }
    }

    /// The diffusers name, or `None` for a tensor that is no part of the SD v1.x component.
    pub(super) fn diffusers_name(&self, name: &str) -> Option<String> {
        match (self.component, self.layout) {
            (Component::TextEncoder, _) => text_encoder::diffusers_name(name),
            (_, Layout::Original) => rename(&self.rules, name),
            (_, Layout::Diffusers) => Some(rename(&self.rules, name).unwrap_or_else(|| name.to_owned())),
        }
    }

    /// The diffusers shape: attention projections that the file holds as 1×1 convs are linear in diffusers' VAE.
    pub(super) fn diffusers_shape(&self, diffusers_name: &str, shape: &[usize]) -> Vec<usize> {
        match shape {
            [rows, columns, 1, 1] if self.component == Component::Vae && vae::is_linear(diffusers_name) => {
                vec![*rows, *columns]
            }
            _ => shape.to_vec(),
        }
    }
}

/// One module's renaming: its path in each layout, and the layers inside it whose names differ.
struct Rename {
    from: String,
    to: String,
    layers: &'static [(&'static str, &'static str)],
}

impl Rename {
    fn new(from: impl Into<String>, to: impl Into<String>) -> Self {
        Self { from: from.into(), to: to.into(), layers: &[] }
    }

    fn with_layers(mut self, layers: &'static [(&'static str, &'static str)]) -> Self {
        self.layers = layers;
        self
    }
}

fn rename(rules: &[Rename], name: &str) -> Option<String> {
    rules.iter().find_map(|rule| {
        let rest = below(name, &rule.from)?;
        let layer = rule.layers.iter().find_map(|(from, to)| Some(format!("{to}.{}", below(rest, from)?)));
        Some(format!("{}.{}", rule.to, layer.unwrap_or_else(|| rest.to_owned())))
    })
}

/// What follows `path.` in `name`.
fn below<'a>(name: &'a str, path: &str) -> Option<&'a str> {
    name.strip_prefix(path)?.strip_prefix('.')
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(component: Component, layout: Layout, pairs: &[(&str, &str)]) {
        let names = NameMap::new(component, layout);
        for (from, to) in pairs {
            assert_eq!(names.diffusers_name(from).as_deref(), Some(*to), "{from}");
        }
    }

    #[test]
    fn original_unet_names() {
        check(
            Component::Unet,
            Layout::Original,
            &[
                ("time_embed.2.bias", "time_embedding.linear_2.bias"),
                ("input_blocks.0.0.weight", "conv_in.weight"),
                ("input_blocks.1.0.in_layers.2.weight", "down_blocks.0.resnets.0.conv1.weight"),
                ("input_blocks.3.0.op.weight", "down_blocks.0.downsamplers.0.conv.weight"),
                ("input_blocks.4.0.skip_connection.bias", "down_blocks.1.resnets.0.conv_shortcut.bias"),
                (
                    "input_blocks.8.1.transformer_blocks.0.attn2.to_out.0.bias",
                    "down_blocks.2.attentions.1.transformer_blocks.0.attn2.to_out.0.bias",
                ),
                ("input_blocks.11.0.out_layers.3.bias", "down_blocks.3.resnets.1.conv2.bias"),
                ("middle_block.0.emb_layers.1.weight", "mid_block.resnets.0.time_emb_proj.weight"),
                ("middle_block.1.proj_in.weight", "mid_block.attentions.0.proj_in.weight"),
                ("middle_block.2.in_layers.0.weight", "mid_block.resnets.1.norm1.weight"),
                ("output_blocks.2.1.conv.weight", "up_blocks.0.upsamplers.0.conv.weight"),
                ("output_blocks.3.1.norm.bias", "up_blocks.1.attentions.0.norm.bias"),
                ("output_blocks.5.2.conv.bias", "up_blocks.1.upsamplers.0.conv.bias"),
                ("output_blocks.8.2.conv.bias", "up_blocks.2.upsamplers.0.conv.bias"),
                ("output_blocks.11.0.out_layers.0.bias", "up_blocks.3.resnets.2.norm2.bias"),
                ("out.0.weight", "conv_norm_out.weight"),
                ("out.2.weight", "conv_out.weight"),
            ],
        );
        let names = NameMap::new(Component::Unet, Layout::Original);
        assert_eq!(names.diffusers_name("label_emb.0.0.weight"), None);
        assert_eq!(names.diffusers_name("input_blocks.12.0.in_layers.0.weight"), None);
    }

    #[test]
    fn original_vae_names() {
        check(
            Component::Vae,
            Layout::Original,
            &[
                ("encoder.conv_in.weight", "encoder.conv_in.weight"),
                ("encoder.norm_out.bias", "encoder.conv_norm_out.bias"),
                ("encoder.down.1.block.0.nin_shortcut.weight", "encoder.down_blocks.1.resnets.0.conv_shortcut.weight"),
                ("encoder.down.2.downsample.conv.bias", "encoder.down_blocks.2.downsamplers.0.conv.bias"),
                ("encoder.mid.block_2.norm2.weight", "encoder.mid_block.resnets.1.norm2.weight"),
                ("encoder.mid.attn_1.norm.weight", "encoder.mid_block.attentions.0.group_norm.weight"),
                ("decoder.mid.attn_1.proj_out.bias", "decoder.mid_block.attentions.0.to_out.0.bias"),
                ("decoder.up.0.block.2.conv1.weight", "decoder.up_blocks.3.resnets.2.conv1.weight"),
                ("decoder.up.3.upsample.conv.weight", "decoder.up_blocks.0.upsamplers.0.conv.weight"),
                ("quant_conv.weight", "quant_conv.weight"),
            ],
        );
    }

    #[test]
    fn old_diffusers_vae_attention_is_renamed_and_the_rest_kept() {
        check(
            Component::Vae,
            Layout::Diffusers,
            &[
                ("encoder.mid_block.attentions.0.query.weight", "encoder.mid_block.attentions.0.to_q.weight"),
                ("decoder.mid_block.attentions.0.proj_attn.bias", "decoder.mid_block.attentions.0.to_out.0.bias"),
                ("decoder.mid_block.attentions.0.to_k.bias", "decoder.mid_block.attentions.0.to_k.bias"),
                ("encoder.conv_in.weight", "encoder.conv_in.weight"),
            ],
        );
    }

    #[test]
    fn text_model_is_always_in_front() {
        for name in ["text_model.final_layer_norm.weight", "final_layer_norm.weight"] {
            check(Component::TextEncoder, Layout::Original, &[(name, "text_model.final_layer_norm.weight")]);
        }
        let names = NameMap::new(Component::TextEncoder, Layout::Original);
        assert_eq!(names.diffusers_name("text_model.embeddings.position_ids"), None);
    }

    #[test]
    fn only_vae_attention_convs_become_linear() {
        let vae = NameMap::new(Component::Vae, Layout::Original);
        let attention = "encoder.mid_block.attentions.0.to_out.0.weight";
        assert_eq!(vae.diffusers_shape(attention, &[8, 8, 1, 1]), [8, 8]);
        assert_eq!(vae.diffusers_shape("quant_conv.weight", &[8, 8, 1, 1]), [8, 8, 1, 1]);
        let unet = NameMap::new(Component::Unet, Layout::Original);
        let projection = "mid_block.attentions.0.proj_in.weight";
        assert_eq!(unet.diffusers_shape(projection, &[8, 8, 1, 1]), [8, 8, 1, 1]);
    }
}
