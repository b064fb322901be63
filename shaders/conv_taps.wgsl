// taps[tap, c, o] = v[o, 9·c + tap] and back: a convolution's weight as its kernels read it, and in PyTorch's order.
//
// v: (out, in·9), taps: (9, in, out).
// Dispatch: (⌈out/32⌉, ⌈in/32⌉), one invocation per four rows of v and the nine taps of a channel.

struct Params {
    rows: u32, // out
    channels: u32, // in
}

@group(0) @binding(0) var<uniform> params: Params;
// forward
@group(0) @binding(1) var<storage, read> matrix: array<f32>; // (out, in·9)
@group(0) @binding(2) var<storage, read_write> taps: array<vec4<f32>>; // (9, in, out / 4)
// backward
@group(0) @binding(1) var<storage, read> d_taps: array<vec4<f32>>; // (9, in, out / 4)
@group(0) @binding(2) var<storage, read_write> d_matrix: array<f32>; // (out, in·9)

// Where tap 0 of a row and channel of the matrix lies.
fn matrix_index(row: u32, channel: u32) -> u32 {
    return (row * params.channels + channel) * 9u;
}

fn taps_index(tap: u32, channel: u32, quad: u32) -> u32 {
    return (tap * params.channels + channel) * (params.rows / 4u) + quad;
}

@compute @workgroup_size(8, 32)
fn forward(@builtin(global_invocation_id) id: vec3<u32>) {
    if 4u * id.x >= params.rows || id.y >= params.channels {
        return;
    }
    for (var tap = 0u; tap < 9u; tap++) {
        taps[taps_index(tap, id.y, id.x)] = vec4<f32>(
#for j in 0..4
            matrix[matrix_index(4u * id.x + $(j)u, id.y) + tap],
#end
        );
    }
}

@compute @workgroup_size(8, 32)
fn backward(@builtin(global_invocation_id) id: vec3<u32>) {
    if 4u * id.x >= params.rows || id.y >= params.channels {
        return;
    }
    for (var tap = 0u; tap < 9u; tap++) {
        let values = d_taps[taps_index(tap, id.y, id.x)];
#for j in 0..4
        d_matrix[matrix_index(4u * id.x + $(j)u, id.y) + tap] = values[$j];
#end
    }
}
