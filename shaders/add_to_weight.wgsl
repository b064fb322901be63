// V = W + scale·delta: a frozen weight and its change as a matrix in PyTorch's order.
//
// linear: W, delta, V: (out, in), W perhaps in panels. Dispatch: flat, one invocation per vector of four.
// conv: W: (9, in, out), each tap perhaps in panels; delta, V: (out, in·9). Dispatch: (⌈out/32⌉, ⌈in/32⌉), one invocation per
// four rows and the nine taps of a channel, so that W is read along its rows and V written along its own.

#import shared/index.wgsl
#import shared/panels.wgsl

struct Params {
    rows: u32, // out
    columns: u32, // linear: in / 4; conv: in
    row_stride: u32, // vectors from one row of W, or of a tap, to the next
    panel_stride: u32, // and from one panel to the next
}

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> weight: array<WeightVec>;
@group(0) @binding(3) var<storage, read> scale: array<f32>; // (1)
// linear
@group(0) @binding(2) var<storage, read> delta: array<vec4<f32>>; // (out, in / 4)
@group(0) @binding(4) var<storage, read_write> sum: array<vec4<f32>>; // (out, in / 4)
// conv
@group(0) @binding(2) var<storage, read> delta_taps: array<f32>; // (out, in·9)
@group(0) @binding(4) var<storage, read_write> sum_taps: array<f32>; // (out, in·9)

@compute @workgroup_size(256)
fn linear(
    @builtin(workgroup_id) workgroup: vec3<u32>,
    @builtin(num_workgroups) workgroups: vec3<u32>,
    @builtin(local_invocation_index) local: u32,
) {
    let i = flat_index(workgroup, workgroups, local);
    let row = i / params.columns;
    if row < params.rows {
        let at = row * params.row_stride + in_panels(i % params.columns, params.panel_stride);
        sum[i] = weight4(at) + scale[0] * delta[i];
    }
}

@compute @workgroup_size(8, 32)
fn conv(@builtin(global_invocation_id) id: vec3<u32>) {
    if 4u * id.x >= params.rows || id.y >= params.columns {
        return;
    }
    let factor = scale[0];
    let first = id.y * params.row_stride + in_panels(id.x, params.panel_stride);
    let tap_size = params.columns * params.rows / 4u;
    for (var tap = 0u; tap < 9u; tap++) {
        let frozen = weight4(first + tap * tap_size);
#for j in 0..4
        let at$j = ((4u * id.x + $(j)u) * params.columns + id.y) * 9u + tap;
        sum_taps[at$j] = frozen[$j] + factor * delta_taps[at$j];
#end
    }
}
