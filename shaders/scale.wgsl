// out = factor·x, element by element; by_value: factor·value·x.
//
// x, out: (count) vectors of four; value: (1).
// Dispatch: flat, one invocation per vector.

#import shared/index.wgsl

struct Params {
    count: u32,
    factor: f32,
}

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> x: array<Quad>; // (count)
@group(0) @binding(2) var<storage, read_write> out: array<Quad>; // (count)
// by_value
@group(0) @binding(3) var<storage, read> value: array<f32>; // (1)

@compute @workgroup_size(256)
fn forward(
    @builtin(workgroup_id) workgroup: vec3<u32>,
    @builtin(num_workgroups) workgroups: vec3<u32>,
    @builtin(local_invocation_index) local: u32,
) {
    let i = flat_index(workgroup, workgroups, local);
    if i < params.count {
        out[i] = pack4(params.factor * unpack4(x[i]));
    }
}

@compute @workgroup_size(256)
fn by_value(
    @builtin(workgroup_id) workgroup: vec3<u32>,
    @builtin(num_workgroups) workgroups: vec3<u32>,
    @builtin(local_invocation_index) local: u32,
) {
    let i = flat_index(workgroup, workgroups, local);
    if i < params.count {
        out[i] = pack4(params.factor * value[0] * unpack4(x[i]));
    }
}
