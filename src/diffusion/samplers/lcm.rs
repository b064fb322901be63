//! Luo et al.: "Latent Consistency Models", as diffusers' `LCMScheduler`.

use super::{walk::Walk, weighted_sum};
use crate::diffusion::sigmas::Level;

const SIGMA_DATA: f64 = 0.5;
const TIMESTEP_SCALING: f64 = 10.0;

/// The consistency function's answer, noised again to the next level; the last step ends at σ = 0 and draws no noise.
pub(super) fn step<E>(walk: &mut Walk<E>, x: &[f32], denoised: &[f32], from: Level, to: Level) -> Vec<f32> {
    let (skip, out) = boundary(from.timestep);
    let answer = weighted_sum([(skip, x), (out, denoised)]);
    if to.sigma == 0.0 {
        return answer;
    }
    let noise = walk.noise(x.len());
    weighted_sum([(to.signal(), &answer), (to.noise(), &noise)])
}

/// (c_skip, c_out): at timestep 0 the function is the identity.
fn boundary(timestep: f64) -> (f64, f64) {
    let scaled = timestep * TIMESTEP_SCALING;
    let squares = scaled * scaled + SIGMA_DATA * SIGMA_DATA;
    (SIGMA_DATA * SIGMA_DATA / squares, scaled / squares.sqrt())
}
