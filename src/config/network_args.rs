//! Keys that stand for several: `network_args` of sd-scripts and LyCORIS, and LoRA+'s ratio for both networks.

use super::{range::above, suggest, value};
use anyhow::{Context, Result, bail, ensure};
use serde_yaml::Value;

/// Arguments that are a name of a key.
const KEYS: &[&str] = &[
    "algo",
    "dora_wd",
    "wd_on_output",
    "factor",
    "conv_dim",
    "conv_alpha",
    "block_dims",
    "block_alphas",
    "conv_block_dims",
    "conv_block_alphas",
    "down_lr_weight",
    "mid_lr_weight",
    "up_lr_weight",
    "block_lr_zero_threshold",
    "loraplus_lr_ratio",
    "loraplus_unet_lr_ratio",
    "loraplus_text_encoder_lr_ratio",
    "rs_lora",
    "rank_dropout",
    "module_dropout",
];
/// Arguments with another name than their key.
const RENAMED: &[(&str, &str)] = &[("preset", "lora_target"), ("dropout", "network_dropout")];
/// Arguments of LyCORIS that are not built: only `False` is taken.
const OFF: &[&str] = &[
    "use_tucker",
    "use_cp",
    "use_scalar",
    "decompose_both",
    "rank_dropout_scale",
    "train_norm",
    "bypass_mode",
    "full_matrix",
    "unbalanced_factorization",
];
/// Arguments that say nothing of the kinds that are built.
const IGNORED: &[&str] = &["verbose", "block_size", "constraint", "rescaled"];

/// The keys that the arguments stand for.
///
/// # Errors
/// An unknown argument, with the nearest one; a feature that is not built; DoRA of another kind than a LoRA.
pub(super) fn expand(value: &Value) -> Result<Vec<(String, Value)>> {
    let mut settings = Vec::new();
    for (name, value) in value::arguments(value)? {
        let value = from_python(value);
        if let Some((_, key)) = RENAMED.iter().find(|(argument, _)| *argument == name) {
            settings.push(((*key).to_owned(), value));
        } else if KEYS.contains(&name.as_str()) {
            settings.push((name, value));
        } else if OFF.contains(&name.as_str()) {
            let on = !value.is_null() && value::expect_flag(&value).with_context(|| format!("`{name}`"))?;
            ensure!(!on, "`{name}`: true is not implemented yet; set it to False, or leave it out");
        } else if !IGNORED.contains(&name.as_str()) {
            bail!(unknown(&name));
        }
    }
    merge_dora(settings)
}

/// LyCORIS says with two arguments what is one key here: a kind, and whether it is decomposed.
fn merge_dora(mut settings: Vec<(String, Value)>) -> Result<Vec<(String, Value)>> {
    let Some(at) = settings.iter().position(|(name, _)| name == "dora_wd") else { return Ok(settings) };
    if !settings[at].1.is_null() && !value::expect_flag(&settings[at].1).context("`dora_wd`")? {
        settings.remove(at);
        return Ok(settings);
    }
    if let Some((_, kind)) = settings.iter().find(|(name, _)| name == "algo") {
        let kind = value::text(kind)?.to_lowercase();
        ensure!(
            ["lora", "locon", "dora"].contains(&kind.as_str()),
            "`dora_wd`: only a LoRA can be decomposed here; leave it out with `algo={kind}`"
        );
    }
    settings.retain(|(name, _)| name != "algo");
    Ok(settings)
}

/// What the user should know about arguments.
pub(super) fn notes(value: &Value) -> Vec<&'static str> {
    let Ok(given) = value::arguments(value) else { return Vec::new() };
    let has = |names: &[&str]| given.iter().any(|(name, _)| names.contains(&name.as_str()));
    let rows = [
        (
            has(OFF) || has(IGNORED),
            "arguments that say what happens anyway, such as `use_tucker=False`, have no effect",
        ),
        (
            has(&["algo"]) && !has(&["conv_dim"]),
            "LyCORIS trains convolutions too where no `conv_dim` says otherwise; here that key decides",
        ),
    ];
    rows.into_iter().filter(|(holds, _)| *holds).map(|(_, note)| note).collect()
}

fn unknown(name: &str) -> String {
    let names = KEYS.iter().chain(OFF).chain(IGNORED).chain(RENAMED.iter().map(|(name, _)| name)).copied();
    match suggest::nearest(name, names) {
        Some(nearest) => format!("unknown argument `{name}`; did you mean `{nearest}`?"),
        None => format!(
            "unknown argument `{name}`; it takes {}, `preset`, `dropout`",
            KEYS.iter().map(|key| format!("`{key}`")).collect::<Vec<_>>().join(", ")
        ),
    }
}

/// Truth values and `None`, as Python writes them.
fn from_python(value: Value) -> Value {
    match value.as_str() {
        Some("True" | "true") => true.into(),
        Some("False" | "false") => false.into(),
        Some("None") => Value::Null,
        _ => value,
    }
}

/// LoRA+'s ratio for U-Net and text encoder.
///
/// # Errors
/// No number, or one out of range.
pub(super) fn expand_ratio(value: &Value) -> Result<Vec<(String, Value)>> {
    let ratio = value::expect_number(value, &above(0.0).to(1000.0))?;
    let keys = ["loraplus_unet_lr_ratio", "loraplus_text_encoder_lr_ratio"];
    Ok(keys.into_iter().map(|key| (key.to_owned(), ratio.into())).collect())
}

#[cfg(test)]
mod tests {
    use super::{super::keys, *};

    #[test]
    fn every_argument_is_a_key() {
        for name in KEYS.iter().chain(RENAMED.iter().map(|(_, key)| key)) {
            assert!(keys::find(name).is_some_and(|(key, _)| key.is_built()), "{name}");
        }
    }
}
