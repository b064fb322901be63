// One step of gradient descent with Nesterov's momentum on each parameter p with gradient g, as torch.optim.SGD:
//
//     g ← factor·g + weight_decay·p;  b ← momentum·b + g;  p ← p − rate·(g + momentum·b)
//
// b begins as 0, so that it is g after the first step. Nothing is touched where the gradients are not finite.
//
// parameters, gradients, b: (count) vectors of four; clip: grad_norm's (norm, factor, finite, scale).
// Dispatch: flat, one invocation per vector.

#import shared/index.wgsl

struct Params {
    count: u32,
}

struct Settings {
    rate: f32,
    momentum: f32,
    weight_decay: f32,
}

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read_write> parameters: array<vec4<f32>>; // (count)
@group(0) @binding(2) var<storage, read> gradients: array<vec4<f32>>; // (count)
@group(0) @binding(3) var<storage, read_write> b: array<vec4<f32>>; // (count)
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
    let gradient = clip.y * gradients[i] + settings.weight_decay * parameters[i];
    let momentum = settings.momentum * b[i] + gradient;
    b[i] = momentum;
    parameters[i] -= settings.rate * (gradient + settings.momentum * momentum);
}
