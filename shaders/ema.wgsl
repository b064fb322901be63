// One step of a running average: shadow ← shadow + weight·(parameters − shadow).
//
// shadow, parameters: (count) vectors of four; weight: (1).
// Dispatch: flat, one invocation per vector.

#import shared/index.wgsl

struct Params {
    count: u32,
}

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read_write> shadow: array<vec4<f32>>; // (count)
@group(0) @binding(2) var<storage, read> parameters: array<vec4<f32>>; // (count)
@group(0) @binding(3) var<storage, read> weight: array<f32>; // (1)

@compute @workgroup_size(256)
fn step(
    @builtin(workgroup_id) workgroup: vec3<u32>,
    @builtin(num_workgroups) workgroups: vec3<u32>,
    @builtin(local_invocation_index) local: u32,
) {
    let i = flat_index(workgroup, workgroups, local);
    if i >= params.count {
        return;
    }
    shadow[i] += weight[0] * (parameters[i] - shadow[i]);
}
