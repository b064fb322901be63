//! CLIP's text model: every layout uses the same names, some without their first element.

/// The modules of `text_model`; anything else in the file (a projection, a logit scale) is not used by SD v1.x.
const MODULES: [&str; 3] = ["embeddings.", "encoder.", "final_layer_norm."];

/// The name with `text_model.` in front; `None` for the stored position numbers and for foreign tensors.
pub(super) fn diffusers_name(name: &str) -> Option<String> {
    let inner = name.strip_prefix("text_model.").unwrap_or(name);
    let known = MODULES.iter().any(|module| inner.starts_with(module));
    (known && inner != "embeddings.position_ids").then(|| format!("text_model.{inner}"))
}
