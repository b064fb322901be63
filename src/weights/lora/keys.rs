//! Tensor names in LoRA files: built for two layouts, understood for all.

use crate::families::{LoraPrefixes, SD_V1};

use super::{DOWN, MAGNITUDE, Part, UP};

/// Which of a module's tensors a key names.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Role {
    Down,
    Up,
    Alpha,
    /// Of an adapter that is no plain LoRA: the tensor's name in LyCORIS.
    Factor(&'static str),
}

/// A module as a file names it.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(super) enum ModuleName {
    /// The whole kohya name, dots already lost: `lora_unet_mid_block_attentions_0_proj_in`.
    Flat(String),
    /// diffusers' module path.
    Dotted(Part, String),
}

const FLAT: LoraPrefixes = SD_V1.lora_prefixes;

/// kohya's name of a module: a prefix, then the diffusers path with underscores for dots.
pub(super) fn kohya_name(part: Part, path: &str) -> String {
    let prefix = match part {
        Part::Unet => FLAT.unet,
        Part::TextEncoder => FLAT.text_encoder,
    };
    format!("{prefix}{}", path.replace('.', "_"))
}

/// diffusers' key of a module's tensor, which LyCORIS calls `name`; `None` where diffusers has none.
///
/// diffusers' own writer uses these names for attention only and leaves `lora_A`, `lora_B` on feed-forward layers and
/// projections; its reader then judges a whole file by its first key and drops the attention (seen with diffusers
/// 0.42). With one naming throughout it loads every module.
pub(super) fn diffusers_key(part: Part, path: &str, name: &str) -> Option<String> {
    let (prefix, matrices) = match part {
        Part::Unet => ("unet", "lora"),
        Part::TextEncoder => ("text_encoder", "lora_linear_layer"),
    };
    match name {
        DOWN => Some(format!("{prefix}.{path}.{matrices}.down.weight")),
        UP => Some(format!("{prefix}.{path}.{matrices}.up.weight")),
        MAGNITUDE => Some(format!("{prefix}.{path}.lora_magnitude_vector")),
        _ => None,
    }
}

/// Ends of keys, over all layouts.
const ENDS: [(&str, Role); 13] = [
    (".lora_down.weight", Role::Down),
    (".lora_up.weight", Role::Up),
    (".alpha", Role::Alpha),
    (".lora.down.weight", Role::Down),
    (".lora.up.weight", Role::Up),
    (".lora_linear_layer.down.weight", Role::Down),
    (".lora_linear_layer.up.weight", Role::Up),
    (".lora_A.weight", Role::Down),
    (".lora_B.weight", Role::Up),
    (".lora_A.default.weight", Role::Down),
    (".lora_B.default.weight", Role::Up),
    // attn1.processor.to_q_lora.down.weight
    ("_lora.down.weight", Role::Down),
    ("_lora.up.weight", Role::Up),
];

/// Ends of keys of LoHa, LoKr, DoRA, and of convolutions in Tucker form.
const FACTOR_ENDS: [(&str, &str); 17] = [
    (".lora_mid.weight", "lora_mid"),
    (".dora_scale", "dora_scale"),
    (".lora_magnitude_vector", "lora_magnitude_vector"),
    (".lora_magnitude_vector.weight", "lora_magnitude_vector"),
    (".hada_w1_a", "hada_w1_a"),
    (".hada_w1_b", "hada_w1_b"),
    (".hada_w2_a", "hada_w2_a"),
    (".hada_w2_b", "hada_w2_b"),
    (".hada_t1", "hada_t1"),
    (".hada_t2", "hada_t2"),
    (".lokr_w1", "lokr_w1"),
    (".lokr_w1_a", "lokr_w1_a"),
    (".lokr_w1_b", "lokr_w1_b"),
    (".lokr_w2", "lokr_w2"),
    (".lokr_w2_a", "lokr_w2_a"),
    (".lokr_w2_b", "lokr_w2_b"),
    (".lokr_t2", "lokr_t2"),
];

/// Takes a key apart; `None` where it is no tensor of an adapter that is known here.
pub(super) fn parse(key: &str) -> Option<(ModuleName, Role)> {
    let plain = ENDS.iter().find_map(|(end, role)| Some((key.strip_suffix(end)?, *role)));
    let factor = || FACTOR_ENDS.iter().find_map(|(end, name)| Some((key.strip_suffix(end)?, Role::Factor(name))));
    let (module, role) = plain.or_else(factor)?;
    if module.starts_with(FLAT.unet) || module.starts_with(FLAT.text_encoder) {
        return Some((ModuleName::Flat(module.to_owned()), role));
    }
    let (part, path) = split_part(module.strip_prefix("base_model.model.").unwrap_or(module));
    Some((ModuleName::Dotted(part, modern_path(part, path)), role))
}

/// Files of a single network carry no prefix; their first module tells which network.
fn split_part(module: &str) -> (Part, &str) {
    if let Some(path) = module.strip_prefix("unet.") {
        (Part::Unet, path)
    } else if let Some(path) = module.strip_prefix("text_encoder.") {
        (Part::TextEncoder, path)
    } else if module.starts_with("text_model.") {
        (Part::TextEncoder, module)
    } else {
        (Part::Unet, module)
    }
}

/// The module path of today: attention processors have dissolved into their attention, and CLIP's path is complete.
fn modern_path(part: Part, path: &str) -> String {
    match part {
        Part::TextEncoder if !path.starts_with("text_model.") => format!("text_model.{path}"),
        Part::TextEncoder => path.to_owned(),
        Part::Unet => match path.split_once(".processor.") {
            Some((attention, "to_out")) => format!("{attention}.to_out.0"),
            Some((attention, projection)) => format!("{attention}.{projection}"),
            None => path.to_owned(),
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const QUERY: &str = "down_blocks.0.attentions.0.transformer_blocks.0.attn1.to_q";

    #[test]
    fn kohya_names_lose_their_dots() {
        assert_eq!(
            kohya_name(Part::Unet, QUERY),
            "lora_unet_down_blocks_0_attentions_0_transformer_blocks_0_attn1_to_q"
        );
        assert_eq!(
            kohya_name(Part::TextEncoder, "text_model.encoder.layers.0.self_attn.q_proj"),
            "lora_te_text_model_encoder_layers_0_self_attn_q_proj"
        );
    }

    #[test]
    fn diffusers_keys_have_one_naming_throughout() {
        for (part, path, name, key) in [
            (Part::Unet, "a.to_out.0", DOWN, "unet.a.to_out.0.lora.down.weight"),
            (Part::Unet, "a.ff.net.2", UP, "unet.a.ff.net.2.lora.up.weight"),
            (Part::TextEncoder, "t.fc1", UP, "text_encoder.t.fc1.lora_linear_layer.up.weight"),
        ] {
            assert_eq!(diffusers_key(part, path, name).as_deref(), Some(key));
        }
    }

    #[test]
    fn every_layout_leads_to_the_same_module() {
        let dotted = ModuleName::Dotted(Part::Unet, QUERY.to_owned());
        for key in [
            format!("unet.{QUERY}.lora.down.weight"),
            format!("unet.{QUERY}.lora_A.weight"),
            format!("base_model.model.{QUERY}.lora_A.weight"),
            format!("base_model.model.unet.{QUERY}.lora_A.default.weight"),
            format!("unet.{}", QUERY.replace("to_q", "processor.to_q_lora.down.weight")),
            QUERY.replace("to_q", "processor.to_q_lora.down.weight"),
        ] {
            assert_eq!(parse(&key), Some((dotted.clone(), Role::Down)), "{key}");
        }
        let out = ModuleName::Dotted(Part::Unet, "a.attn1.to_out.0".to_owned());
        assert_eq!(parse("unet.a.attn1.processor.to_out_lora.up.weight"), Some((out, Role::Up)));
    }

    #[test]
    fn text_encoder_modules_are_told_by_prefix_or_first_module() {
        let path = "text_model.encoder.layers.0.mlp.fc1";
        let expected = Some((ModuleName::Dotted(Part::TextEncoder, path.to_owned()), Role::Up));
        for key in [
            format!("text_encoder.{path}.lora_B.weight"),
            format!("{path}.lora_B.weight"),
            "text_encoder.encoder.layers.0.mlp.fc1.lora_B.weight".to_owned(),
        ] {
            assert_eq!(parse(&key), expected, "{key}");
        }
    }

    #[test]
    fn kohya_keys_and_foreign_keys() {
        let flat = ModuleName::Flat("lora_te_x".to_owned());
        assert_eq!(parse("lora_te_x.alpha"), Some((flat, Role::Alpha)));
        let loha = ModuleName::Flat("lora_unet_x".to_owned());
        assert_eq!(parse("lora_unet_x.hada_w1_a"), Some((loha, Role::Factor("hada_w1_a"))));
        assert_eq!(parse("conv_in.weight"), None);
    }
}
