// out = value·gelu(gate), where x holds value and gate side by side.
//
// x, d_x: (rows, 2F), value in the first half of a row; out, d_out: (rows, F).
// Dispatch: flat, one invocation per vector of four of out.

#import shared/activation.wgsl
#import shared/index.wgsl

struct Params {
    count: u32, // vectors of out
    columns: u32, // F/4
}

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> x: array<Quad>; // (rows, 2F/4)
// forward
@group(0) @binding(2) var<storage, read_write> out: array<Quad>; // (rows, F/4)
// backward
@group(0) @binding(2) var<storage, read> d_out: array<Quad>; // (rows, F/4)
@group(0) @binding(3) var<storage, read_write> d_x: array<Quad>; // (rows, 2F/4)

// Where x holds the value that out's vector i is computed from; its gate lies `columns` further on.
fn value_index(i: u32) -> u32 {
    return i + i / params.columns * params.columns;
}

@compute @workgroup_size(256)
fn forward(
    @builtin(workgroup_id) workgroup: vec3<u32>,
    @builtin(num_workgroups) workgroups: vec3<u32>,
    @builtin(local_invocation_index) local: u32,
) {
    let i = flat_index(workgroup, workgroups, local);
    if i < params.count {
        let at = value_index(i);
        out[i] = pack4(unpack4(x[at]) * gelu(unpack4(x[at + params.columns])));
    }
}

// d_value = d_out·gelu(gate), d_gate = d_out·value·gelu'(gate).
@compute @workgroup_size(256)
fn backward(
    @builtin(workgroup_id) workgroup: vec3<u32>,
    @builtin(num_workgroups) workgroups: vec3<u32>,
    @builtin(local_invocation_index) local: u32,
) {
    let i = flat_index(workgroup, workgroups, local);
    if i < params.count {
        let at = value_index(i);
        let gate = unpack4(x[at + params.columns]);
        let n = normal(gate);
        d_x[at] = pack4(unpack4(d_out[i]) * gate * n.cdf);
        d_x[at + params.columns] = pack4(unpack4(d_out[i]) * unpack4(x[at]) * (n.cdf + gate * n.pdf));
    }
}
