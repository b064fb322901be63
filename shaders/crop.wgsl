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
@group(0) @binding(1) var<storage, read> source: array<vec4<f32>>; // (B, H, W, C / 4); backward: (B, H', W', C / 4)
@group(0) @binding(2) var<storage, read_write> result: array<vec4<f32>>; // the other of the two

@compute @workgroup_size(256)
fn forward(
    @builtin(workgroup_id) workgroup: vec3<u32>,
    @builtin(num_workgroups) workgroups: vec3<u32>,
    @builtin(local_invocation_index) local: u32,
) {
    let i = flat_index(workgroup, workgroups, local);
    let quad = i % params.quads;
    let column = i / params.quads % params.width;
    let row = i / params.quads / params.width % params.height;
    let image = i / params.quads / params.width / params.height;
    if image < params.images {
        let pixel = (image * params.source_height + row) * params.source_width + column;
        result[i] = source[pixel * params.quads + quad];
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
    let column = i / params.quads % params.source_width;
    let row = i / params.quads / params.source_width % params.source_height;
    let image = i / params.quads / params.source_width / params.source_height;
    if image < params.images {
        var value = vec4<f32>();
        if row < params.height && column < params.width {
            let pixel = (image * params.height + row) * params.width + column;
            value = source[pixel * params.quads + quad];
        }
        result[i] = value;
    }
}
