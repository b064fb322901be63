// One Lion step on each parameter p with gradient g (Chen et al. 2023, arXiv 2302.06675), in lion-pytorch's order:
//
//     g ← factor·g;  p ← decay·p − rate·sign(beta1·m + (1 − beta1)·g);  m ← beta2·m + (1 − beta2)·g
//
// Nothing is touched where the gradients are not finite.
//
// parameters, gradients, m: (count) vectors of four; clip: grad_norm's (norm, factor, finite, scale).
// Dispatch: flat, one invocation per vector.

#import shared/index.wgsl

struct Params {
    count: u32,
}

struct Settings {
    decay: f32, // 1 − rate·weight_decay
    rate: f32,
    beta1: f32,
    one_minus_beta1: f32,
    beta2: f32,
    one_minus_beta2: f32,
}

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read_write> parameters: array<vec4<f32>>; // (count)
@group(0) @binding(2) var<storage, read> gradients: array<vec4<f32>>; // (count)
@group(0) @binding(3) var<storage, read_write> m: array<vec4<f32>>; // (count)
@group(0) @binding(4) var<storage, read> clip: vec4<f32>;
@group(0) @binding(5) var<storage, read> settings: Settings;

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
    let direction = sign(settings.beta1 * m[i] + settings.one_minus_beta1 * gradient);
    parameters[i] = settings.decay * parameters[i] - settings.rate * direction;
    m[i] = settings.beta2 * m[i] + settings.one_minus_beta2 * gradient;
}
