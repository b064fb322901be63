//! The arguments of `lora-wgpu sample`.

use std::path::PathBuf;

use clap::{
    Args,
    builder::{PossibleValuesParser, TypedValueParser},
};

use crate::{cli::device::Kernels, diffusion::Rng, families::Prediction, sample::animation::Change};

/// Draw pictures with a checkpoint and LoRAs
#[derive(Debug, Args)]
pub struct SampleArgs {
    /// The checkpoint: a single file, a diffusers folder, or `demo`
    #[arg(long, value_name = "MODEL")]
    pub base_model: PathBuf,
    /// Another VAE than the checkpoint's
    #[arg(long, value_name = "MODEL")]
    pub vae: Option<PathBuf>,
    /// What to draw, in the WebUIs' words: (stress:1.2), [less], BREAK, <lora:name:0.8>
    #[arg(long, default_value = "")]
    pub prompt: String,
    /// What not to draw
    #[arg(long, default_value = "")]
    pub negative_prompt: String,
    /// Where the LoRA files are that prompts name
    #[arg(long, value_name = "DIR")]
    pub lora_dir: Option<PathBuf>,
    /// euler, euler_a, ddim, heun, dpmpp_2m, dpmpp_2m_karras, dpmpp_sde or lcm
    #[arg(long, default_value = "euler_a")]
    pub sampler: String,
    #[arg(long, default_value_t = 24, value_parser = clap::value_parser!(u32).range(1..=1000))]
    pub steps: u32,
    /// How strongly the prompt guides; 1 leaves the negative prompt out
    #[arg(long, default_value_t = 7.0)]
    pub cfg_scale: f32,
    /// The first picture's seed; the next ones have the next numbers. Without it, a random one, which is said
    #[arg(long)]
    pub seed: Option<u64>,
    /// Pixels, a multiple of 8 [default: 512, or 192 for `demo`]
    #[arg(long)]
    pub width: Option<u32>,
    /// Pixels, a multiple of 8 [default: 512, or 192 for `demo`]
    #[arg(long)]
    pub height: Option<u32>,
    /// How many pictures
    #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..=1000))]
    pub batch: u32,
    /// Layer of the text encoder, counted from its end
    #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..=12))]
    pub clip_skip: u32,
    /// Which generator draws the noise: as on the GPU in AUTOMATIC1111's and Forge's WebUIs, or as on the CPU in ComfyUI
    #[arg(long, default_value = Rng::Gpu.name(), value_parser = generator())]
    pub rng: Rng,
    /// What the checkpoint predicts, where its files do not say it
    #[arg(long, value_parser = prediction())]
    pub prediction_type: Option<Prediction>,
    /// A picture to start from
    #[arg(long, value_name = "FILE")]
    pub init_image: Option<PathBuf>,
    /// How much of --init-image is drawn anew, up to 1
    #[arg(long, default_value_t = 0.75, requires = "init_image")]
    pub strength: f64,
    /// Draw a second time at this factor of the size, from the first picture
    #[arg(long, value_name = "FACTOR")]
    pub hires_scale: Option<f64>,
    /// How much the second time draws anew, up to 1
    #[arg(long, default_value_t = 0.7, requires = "hires_scale")]
    pub hires_strength: f64,
    /// One picture of many: strength=0,0.6,0.8,1 prompt=@FILE seed=1,2 lora=a,b; the first along the columns
    #[arg(long, value_name = "AXIS=VALUES", num_args = 1.., conflicts_with = "batch")]
    pub grid: Vec<String>,
    /// An animation: strength=0..1, seed=43 (on the way to another composition) or prompt=TEXT (to another prompt)
    #[arg(long, value_name = "CHANGE", conflicts_with_all = ["batch", "grid"])]
    pub animate: Option<Change>,
    /// Frames of an animation
    #[arg(long, default_value_t = 24, requires = "animate", value_parser = clap::value_parser!(u16).range(2..=1000))]
    pub frames: u16,
    /// Frames of an animation in a second
    #[arg(long, default_value_t = 8, requires = "animate", value_parser = clap::value_parser!(u16).range(1..=50))]
    pub fps: u16,
    /// The picture, a .png; several are numbered. An animation is a .gif, a .png that moves, or a folder of numbered pictures
    #[arg(short, long, value_name = "FILE", default_value = "out.png")]
    pub out: PathBuf,
    /// Kernels to use instead of the device's best ones
    #[arg(long, value_enum)]
    pub kernels: Option<Kernels>,
    /// Device by index or part of its name, as `lora-wgpu devices` lists it
    #[arg(long)]
    pub device: Option<String>,
}

/// Reads what is predicted, by diffusers' word.
fn prediction() -> impl TypedValueParser<Value = Prediction> {
    let names = PossibleValuesParser::new(Prediction::ALL.map(Prediction::name));
    names.map(|name| Prediction::from_name(&name).expect("a possible value"))
}

/// Reads the generator's name.
fn generator() -> impl TypedValueParser<Value = Rng> {
    PossibleValuesParser::new(Rng::NAMES).map(|name| Rng::from_name(&name).expect("a possible value"))
}
