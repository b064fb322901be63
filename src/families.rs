//! The families of models that are known, a row each: what differs from family to family stands here alone, and messages
//! take its name from here. A leaf below `weights`, `diffusion` and `config`, which ask it too.

/// What all models of a family have in common.
#[derive(Clone, Copy, Debug)]
pub struct Family {
    /// As messages call it.
    pub name: &'static str,
    pub latent: LatentSpace,
    pub noise: NoiseNumbers,
    /// Pixels along both sides of the pictures that it was made with.
    pub side: usize,
    pub lora_prefixes: LoraPrefixes,
    pub labels: Labels,
}

/// What its VAE makes of pictures.
#[derive(Clone, Copy, Debug)]
pub struct LatentSpace {
    /// Pixels along each side of one place of a latent.
    pub cell: usize,
    pub channels: usize,
    /// The U-Net reads the encoder's mean times this.
    pub scale: f32,
}

/// The noise that it was made with, diffusers' `scaled_linear`: √β is linear over all timesteps.
#[derive(Clone, Copy, Debug)]
pub struct NoiseNumbers {
    pub beta_start: f64,
    pub beta_end: f64,
    pub timesteps: usize,
}

/// What kohya's names of a network's modules begin with.
#[derive(Clone, Copy, Debug)]
pub struct LoraPrefixes {
    pub unet: &'static str,
    pub text_encoder: &'static str,
}

/// What it is called in the files of others.
#[derive(Clone, Copy, Debug)]
pub struct Labels {
    /// sd-scripts' `ss_base_model_version`.
    pub base_model_version: &'static str,
    /// ModelSpec's `modelspec.architecture`.
    pub architecture: &'static str,
    /// "sd version" on the cards of WebUIs.
    pub card: &'static str,
}

/// What a U-Net is made to predict.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Prediction {
    /// The noise ε.
    Epsilon,
    /// The velocity v = √ᾱ·ε − √(1−ᾱ)·x₀.
    VPrediction,
}

impl Prediction {
    pub const ALL: [Self; 2] = [Self::Epsilon, Self::VPrediction];

    /// diffusers' word.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Epsilon => "epsilon",
            Self::VPrediction => "v_prediction",
        }
    }

    /// The one that diffusers calls `name`.
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|prediction| prediction.name() == name)
    }
}

/// Rombach et al., "High-Resolution Image Synthesis with Latent Diffusion Models".
pub const SD_V1: Family = Family {
    name: "Stable Diffusion v1",
    latent: LatentSpace { cell: 8, channels: 4, scale: 0.18215 },
    noise: NoiseNumbers { beta_start: 0.00085, beta_end: 0.012, timesteps: 1000 },
    side: 512,
    lora_prefixes: LoraPrefixes { unet: "lora_unet_", text_encoder: "lora_te_" },
    labels: Labels { base_model_version: "sd_v1", architecture: "stable-diffusion-v1", card: "SD1" },
};
