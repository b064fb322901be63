// out = a + b, element by element.
//
// a, b, out: (count), read four at a time; the tail of up to three elements is handled by one invocation.
// Dispatch: flat, one invocation per four elements.

#import shared/index.wgsl

struct Params {
    count: u32,
}

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> a: array<f32>; // (count)
@group(0) @binding(2) var<storage, read> b: array<f32>; // (count)
@group(0) @binding(3) var<storage, read_write> out: array<f32>; // (count)

@compute @workgroup_size(256)
fn forward(
    @builtin(workgroup_id) workgroup: vec3<u32>,
    @builtin(num_workgroups) workgroups: vec3<u32>,
    @builtin(local_invocation_index) local: u32,
) {
    let first = 4u * flat_index(workgroup, workgroups, local);
    let end = min(first + 4u, params.count);
    for (var i = first; i < end; i++) {
        out[i] = a[i] + b[i];
    }
}
