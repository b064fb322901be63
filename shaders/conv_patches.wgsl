// patches[i, 3·ky + kx, c] = x[b, y·stride + ky − pad, x·stride + kx − pad, c] for output pixel i = (b, y, x); zero outside
// of the picture.
//
// x: (B, H, W, C), patches: (pixels, 9, C) from `first_pixel` on, in f32 whatever the type of x; four channels at a time.
// Dispatch: flat over the vectors of `patches`.

#import shared/index.wgsl

struct Params {
    count: u32, // vectors of this launch
    quads: u32, // C / 4
    height: u32,
    width: u32,
    out_height: u32,
    out_width: u32,
    stride: u32,
    pad: u32,
    first_pixel: u32, // output pixel of the first row of `patches`
    source_start: u32, // quads of x that lie before its binding
}

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> source: array<Quad>; // (B, H, W, C / 4)
@group(0) @binding(2) var<storage, read_write> patches: array<vec4<f32>>; // (pixels, 9, C / 4)

@compute @workgroup_size(256)
fn gather(
    @builtin(workgroup_id) workgroup: vec3<u32>,
    @builtin(num_workgroups) workgroups: vec3<u32>,
    @builtin(local_invocation_index) local: u32,
) {
    let i = flat_index(workgroup, workgroups, local);
    if i >= params.count {
        return;
    }
    let tap = i / params.quads % 9u;
    let pixel = params.first_pixel + i / params.quads / 9u;
    let out_row = pixel / params.out_width;
    // A position before the first wraps to one beyond the last.
    let row = out_row % params.out_height * params.stride + tap / 3u - params.pad;
    let column = pixel % params.out_width * params.stride + tap % 3u - params.pad;
    var value = vec4<f32>();
    if row < params.height && column < params.width {
        let at = (out_row / params.out_height * params.height + row) * params.width + column;
        value = unpack4(source[at * params.quads + i % params.quads - params.source_start]);
    }
    patches[i] = value;
}
