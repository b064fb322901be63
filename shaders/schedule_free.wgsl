// One schedule-free step on each parameter y with gradient g (Defazio et al. 2024, arXiv 2405.15682), as schedulefree:
//
//     g ← factor·g;  v ← beta2·v + (1 − beta2)·g²;  u = g/(√v/correction + eps) + weight_decay·y
//     y ← y + weight·(z − y) − y_rate·u;  z ← z − rate·u
//
// Nothing is touched where the gradients are not finite.
//
// parameters (y), gradients, v, z: (count) vectors of four; clip: grad_norm's (norm, factor, finite, scale).
// Dispatch: flat, one invocation per vector.

#import shared/index.wgsl

struct Params {
    count: u32,
}

struct Settings {
    weight: f32, // of this step in the average of all
    rate: f32,
    y_rate: f32, // rate·(1 − beta1·(1 − weight))
    beta2: f32,
    one_minus_beta2: f32,
    correction: f32, // √(1 − beta2^t)
    eps: f32,
    weight_decay: f32,
}

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read_write> parameters: array<vec4<f32>>; // (count)
@group(0) @binding(2) var<storage, read> gradients: array<vec4<f32>>; // (count)
@group(0) @binding(3) var<storage, read_write> v: array<vec4<f32>>; // (count)
@group(0) @binding(4) var<storage, read_write> z: array<vec4<f32>>; // (count)
@group(0) @binding(5) var<storage, read> clip: vec4<f32>;
@group(0) @binding(6) var<storage, read> settings: Settings;

@compute @workgroup_size(256)
fn step(
    @builtin(workgroup_id) workgroup: vec3<u32>,
    @builtin(num_workgroups) workgroups: vec3<u32>,
    @builtin(local_invocation_index) local: u32,
) {
    let i = flat_index(workgroup, workgroups, local);
    let finite = clip.z != 0.0;
    if i >= params.count || !finite {
        return;
    }
    let gradient = clip.y * gradients[i];
    let second = settings.beta2 * v[i] + settings.one_minus_beta2 * gradient * gradient;
    let y = parameters[i];
    let direction = gradient / (sqrt(second) / settings.correction + settings.eps) + settings.weight_decay * y;
    v[i] = second;
    parameters[i] = y + settings.weight * (z[i] - y) - settings.y_rate * direction;
    z[i] -= settings.rate * direction;
}
