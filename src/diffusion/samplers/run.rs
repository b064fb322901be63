//! From noise to latents, step by step.

use super::{
    Sampler, SamplingPlan, ddim, dpmpp_2m, dpmpp_sde, euler, heun, lcm,
    walk::{Callbacks, StepReport, Walk},
};
use crate::diffusion::sigmas::Level;

/// Samples: `latents` holds unit normal noise and becomes the finished latents. `image` holds a picture's latents to
/// begin from, for a plan of strength below 1.
pub fn run<E>(
    plan: &SamplingPlan,
    image: Option<&[f32]>,
    latents: &mut Vec<f32>,
    callbacks: &mut Callbacks<E>,
) -> Result<(), E> {
    *latents = plan.begin(image, latents);
    let mut walk = Walk { plan, callbacks, calls: 0, previous: None };
    for (index, levels) in plan.levels.windows(2).enumerate() {
        let denoised = walk.denoised(latents, levels[0])?;
        *latents = step(&mut walk, latents, &denoised, levels[0], levels[1])?;
        let report = StepReport { index, steps: plan.steps(), latents, denoised: &denoised };
        (walk.callbacks.on_step)(report)?;
        walk.previous = Some((levels[0], denoised));
    }
    Ok(())
}

/// The latents at `to` from those at `from`.
fn step<E>(walk: &mut Walk<E>, x: &[f32], denoised: &[f32], from: Level, to: Level) -> Result<Vec<f32>, E> {
    Ok(match walk.plan.sampler {
        Sampler::Euler => euler::step(x, denoised, from.sigma, to.sigma),
        Sampler::EulerA => euler::ancestral_step(walk, x, denoised, from.sigma, to.sigma),
        Sampler::Ddim => ddim::step(x, denoised, from, to),
        Sampler::Heun => heun::step(walk, x, denoised, from, to)?,
        Sampler::Dpmpp2m | Sampler::Dpmpp2mKarras => {
            let previous = walk.previous.as_ref().map(|(level, denoised)| (level.sigma, &denoised[..]));
            dpmpp_2m::step(x, denoised, previous, from.sigma, to.sigma)
        }
        Sampler::DpmppSde => dpmpp_sde::step(walk, x, denoised, from.sigma, to.sigma)?,
        Sampler::Lcm => lcm::step(walk, x, denoised, from, to),
    })
}
