// y = f(x) and d_x = d_y·f'(x), element by element, for f = SiLU, exact GELU, quick GELU.
//
// x, y, d_y, d_x: (count) vectors of four.
// Dispatch: flat, one invocation per vector.

#import shared/activation.wgsl
#import shared/index.wgsl

struct Params {
    count: u32,
}

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> x: array<Quad>; // (count)
// forward
@group(0) @binding(2) var<storage, read_write> y: array<Quad>; // (count)
// backward
@group(0) @binding(2) var<storage, read> d_y: array<Quad>; // (count)
@group(0) @binding(3) var<storage, read_write> d_x: array<Quad>; // (count)

@compute @workgroup_size(256)
fn silu_forward(
    @builtin(workgroup_id) workgroup: vec3<u32>,
    @builtin(num_workgroups) workgroups: vec3<u32>,
    @builtin(local_invocation_index) local: u32,
) {
    let i = flat_index(workgroup, workgroups, local);
    if i < params.count {
        y[i] = pack4(silu(unpack4(x[i])));
    }
}

@compute @workgroup_size(256)
fn silu_backward(
    @builtin(workgroup_id) workgroup: vec3<u32>,
    @builtin(num_workgroups) workgroups: vec3<u32>,
    @builtin(local_invocation_index) local: u32,
) {
    let i = flat_index(workgroup, workgroups, local);
    if i < params.count {
        d_x[i] = pack4(unpack4(d_y[i]) * silu_derivative(unpack4(x[i])));
    }
}

@compute @workgroup_size(256)
fn gelu_forward(
    @builtin(workgroup_id) workgroup: vec3<u32>,
    @builtin(num_workgroups) workgroups: vec3<u32>,
    @builtin(local_invocation_index) local: u32,
) {
    let i = flat_index(workgroup, workgroups, local);
    if i < params.count {
        y[i] = pack4(gelu(unpack4(x[i])));
    }
}

@compute @workgroup_size(256)
fn gelu_backward(
    @builtin(workgroup_id) workgroup: vec3<u32>,
    @builtin(num_workgroups) workgroups: vec3<u32>,
    @builtin(local_invocation_index) local: u32,
) {
    let i = flat_index(workgroup, workgroups, local);
    if i < params.count {
        d_x[i] = pack4(unpack4(d_y[i]) * gelu_derivative(unpack4(x[i])));
    }
}

@compute @workgroup_size(256)
fn quick_gelu_forward(
    @builtin(workgroup_id) workgroup: vec3<u32>,
    @builtin(num_workgroups) workgroups: vec3<u32>,
    @builtin(local_invocation_index) local: u32,
) {
    let i = flat_index(workgroup, workgroups, local);
    if i < params.count {
        y[i] = pack4(quick_gelu(unpack4(x[i])));
    }
}

@compute @workgroup_size(256)
fn quick_gelu_backward(
    @builtin(workgroup_id) workgroup: vec3<u32>,
    @builtin(num_workgroups) workgroups: vec3<u32>,
    @builtin(local_invocation_index) local: u32,
) {
    let i = flat_index(workgroup, workgroups, local);
    if i < params.count {
        d_x[i] = pack4(unpack4(d_y[i]) * quick_gelu_derivative(unpack4(x[i])));
    }
}
