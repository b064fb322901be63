// forward:  out[b, y, x, c] = x[b, y / 2, x / 2, c]
// backward: d_x[b, y, x, c] = Σ over the four pixels of d_out that repeat it
//
// x: (rows, W, C), out: (2·rows, 2·W, C), the rows of all images in one count; four channels at a time.
// Dispatch: flat over the quads of the result.

#import shared/index.wgsl

struct Params {
    rows: u32,
    width: u32,
    quads: u32, // C / 4
}

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> source: array<Quad>; // (rows, W, C / 4); backward: (2·rows, 2·W, C / 4)
@group(0) @binding(2) var<storage, read_write> result: array<Quad>; // the other of the two

@compute @workgroup_size(256)
fn forward(
    @builtin(workgroup_id) workgroup: vec3<u32>,
    @builtin(num_workgroups) workgroups: vec3<u32>,
    @builtin(local_invocation_index) local: u32,
) {
    let i = flat_index(workgroup, workgroups, local);
    let quad = i % params.quads;
    let column = i / params.quads % (2u * params.width);
    let row = i / params.quads / (2u * params.width);
    if row < 2u * params.rows {
        result[i] = source[(row / 2u * params.width + column / 2u) * params.quads + quad];
    }
}

@compute @workgroup_size(256)
fn backward(
    @builtin(workgroup_id) workgroup: vec3<u32>,
    @builtin(num_workgroups) workgroups: vec3<u32>,
    @builtin(local_invocation_index) local: u32,
) {
    let i = flat_index(workgroup, workgroups, local);
    let quad = i % params.quads;
    let column = i / params.quads % params.width;
    let row = i / params.quads / params.width;
    if row < params.rows {
        let above = (4u * row * params.width + 2u * column) * params.quads + quad;
        let below = above + 2u * params.width * params.quads;
        let upper = unpack4(source[above]) + unpack4(source[above + params.quads]);
        result[i] = pack4(upper + (unpack4(source[below]) + unpack4(source[below + params.quads])));
    }
}
