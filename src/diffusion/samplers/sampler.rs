use crate::diffusion::sigmas::{LCM_DISTILLED_STEPS, Schedule};
use crate::families::SD_V1;

/// A sampler together with its noise schedule.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Sampler {
    Euler,
    EulerA,
    Ddim,
    Heun,
    Dpmpp2m,
    Dpmpp2mKarras,
    DpmppSde,
    Lcm,
}

impl Sampler {
    /// In the order of `NAMES`.
    pub const ALL: [Self; 8] = [
        Self::Euler,
        Self::EulerA,
        Self::Ddim,
        Self::Heun,
        Self::Dpmpp2m,
        Self::Dpmpp2mKarras,
        Self::DpmppSde,
        Self::Lcm,
    ];

    /// Names on the command line.
    pub const NAMES: [&'static str; 8] =
        ["euler", "euler_a", "ddim", "heun", "dpmpp_2m", "dpmpp_2m_karras", "dpmpp_sde", "lcm"];

    pub fn from_name(name: &str) -> Option<Self> {
        Self::NAMES.iter().position(|&known| known == name).map(|index| Self::ALL[index])
    }

    pub fn name(self) -> &'static str {
        Self::NAMES[self as usize]
    }

    /// The WebUIs' label, as infotext has it behind "Sampler".
    pub fn title(self) -> &'static str {
        match self {
            Self::Euler => "Euler",
            Self::EulerA => "Euler a",
            Self::Ddim => "DDIM",
            Self::Heun => "Heun",
            Self::Dpmpp2m | Self::Dpmpp2mKarras => "DPM++ 2M",
            Self::DpmppSde => "DPM++ SDE",
            Self::Lcm => "LCM",
        }
    }

    /// The WebUIs' label behind "Schedule type". "Automatic" would mean Karras for the DPM++ samplers, so those that
    /// take the normal schedule say "Uniform".
    pub fn schedule_title(self) -> &'static str {
        match self {
            Self::Dpmpp2mKarras => "Karras",
            Self::Dpmpp2m | Self::DpmppSde => "Uniform",
            Self::Euler | Self::EulerA | Self::Ddim | Self::Heun | Self::Lcm => "Automatic",
        }
    }

    /// How often a step calls the model; the last step calls it once. The WebUIs count a prompt's schedule in calls.
    pub fn calls_per_step(self) -> usize {
        match self {
            Self::Heun | Self::DpmppSde => 2,
            _ => 1,
        }
    }

    /// The most steps for which it has timesteps.
    pub fn most_steps(self) -> usize {
        match self {
            Self::Lcm => LCM_DISTILLED_STEPS,
            _ => SD_V1.noise.timesteps,
        }
    }

    /// The schedule of the k-diffusion samplers, whose latents are picture + σ·noise; `None` for those whose latents
    /// are √ᾱ·picture + √(1−ᾱ)·noise.
    pub(super) fn schedule(self) -> Option<Schedule> {
        match self {
            Self::Ddim | Self::Lcm => None,
            Self::Dpmpp2mKarras => Some(Schedule::Karras),
            Self::Euler | Self::EulerA | Self::Heun | Self::Dpmpp2m | Self::DpmppSde => Some(Schedule::Normal),
        }
    }
}
