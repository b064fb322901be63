//! The networks of a checkpoint.

/// The three networks of Stable Diffusion v1.x.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Component {
    Unet,
    Vae,
    TextEncoder,
}

impl Component {
    /// Where the single file keeps it.
    pub(super) fn original_prefix(self) -> &'static str {
        match self {
            Self::Unet => "model.diffusion_model.",
            Self::Vae => "first_stage_model.",
            Self::TextEncoder => "cond_stage_model.transformer.",
        }
    }

    /// Where a diffusers folder keeps it.
    pub(super) fn folder(self) -> &'static str {
        match self {
            Self::Unet => "unet",
            Self::Vae => "vae",
            Self::TextEncoder => "text_encoder",
        }
    }
}
