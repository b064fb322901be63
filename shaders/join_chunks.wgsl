// forward:  joined = [first chunk's begin, what lies between begin and end in each chunk, last chunk's end]
// backward: d_states is d_joined there, and zero for the other begins and ends
//
// states: (B·n, L, C), joined: (B, (L − 2)·n + 2, C); four channels at a time.
// Dispatch: flat over the quads of the result.

#import shared/index.wgsl

struct Params {
    count: u32, // quads of the result
    quads: u32, // C / 4
    chunks: u32, // n
    length: u32, // L
}

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> source: array<Quad>;
@group(0) @binding(2) var<storage, read_write> result: array<Quad>;

fn joined_length() -> u32 {
    return (params.length - 2u) * params.chunks + 2u;
}

@compute @workgroup_size(256)
fn forward(
    @builtin(workgroup_id) workgroup: vec3<u32>,
    @builtin(num_workgroups) workgroups: vec3<u32>,
    @builtin(local_invocation_index) local: u32,
) {
    let i = flat_index(workgroup, workgroups, local);
    if i >= params.count {
        return;
    }
    let text = i / params.quads / joined_length();
    let token = i / params.quads % joined_length();
    // The last end belongs to the last chunk though it lies where another one would begin.
    let chunk = min((max(token, 1u) - 1u) / (params.length - 2u), params.chunks - 1u);
    let state = (text * params.chunks + chunk) * params.length + token - chunk * (params.length - 2u);
    result[i] = source[state * params.quads + i % params.quads];
}

@compute @workgroup_size(256)
fn backward(
    @builtin(workgroup_id) workgroup: vec3<u32>,
    @builtin(num_workgroups) workgroups: vec3<u32>,
    @builtin(local_invocation_index) local: u32,
) {
    let i = flat_index(workgroup, workgroups, local);
    if i >= params.count {
        return;
    }
    let state = i / params.quads % params.length;
    let row = i / params.quads / params.length;
    let chunk = row % params.chunks;
    let dropped = (state == 0u && chunk > 0u) || (state == params.length - 1u && chunk < params.chunks - 1u);
    var value = Quad();
    if !dropped {
        let token = row / params.chunks * joined_length() + chunk * (params.length - 2u) + state;
        value = source[token * params.quads + i % params.quads];
    }
    result[i] = value;
}
