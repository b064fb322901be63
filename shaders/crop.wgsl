// forward:  out[b, y, x, c] = source[b, y, x, c] for the pixels that are kept: the first rows and columns
// backward: d_source is d_out there, and zero where pixels were cut off
//
// source: (B, H, W, C), out: (B, H', W', C); four channels at a time.
// Dispatch: flat over the quads of the result.

#import shared/index.wgsl

struct Params {
    images: u32,
    source_height: u32,
    source_width: u32,
    height: u32,
    width: u32,
    quads: u32, // C / 4
}

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> source: array<Quad>; // (B, H, W, C / 4); backward: (B, H', W', C / 4)
@group(0) @binding(2) var<storage, read_write> result: array<Quad>; // the other of the two

struct Place {
    image: u32,
    row: u32,
    column: u32,
    quad: u32,
}

// Where quad i of pictures of this size lies.
fn place(i: u32, height: u32, width: u32) -> Place {
    let pixel = i / params.quads;
    return Place(pixel / width / height, pixel / width % height, pixel % width, i % params.quads);
}

// The quad at this place, of pictures of this size.
fn quad_at(place: Place, height: u32, width: u32) -> u32 {
    return ((place.image * height + place.row) * width + place.column) * params.quads + place.quad;
}

@compute @workgroup_size(256)
fn forward(
    @builtin(workgroup_id) workgroup: vec3<u32>,
    @builtin(num_workgroups) workgroups: vec3<u32>,
    @builtin(local_invocation_index) local: u32,
) {
    let i = flat_index(workgroup, workgroups, local);
    let at = place(i, params.height, params.width);
    if at.image < params.images {
        result[i] = source[quad_at(at, params.source_height, params.source_width)];
    }
}

@compute @workgroup_size(256)
fn backward(
    @builtin(workgroup_id) workgroup: vec3<u32>,
    @builtin(num_workgroups) workgroups: vec3<u32>,
    @builtin(local_invocation_index) local: u32,
) {
    let i = flat_index(workgroup, workgroups, local);
    let at = place(i, params.source_height, params.source_width);
    if at.image < params.images {
        var value = Quad();
        if at.row < params.height && at.column < params.width {
            value = source[quad_at(at, params.height, params.width)];
        }
        result[i] = value;
    }
}
