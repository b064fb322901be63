// How fast the device multiplies and adds: STEPS·`rounds` times v ← factor·v + offset, in registers only.
//
//   out = Σ over CHAINS of chain(x + c)
//
// x, out: (count) vectors of four. CHAINS independent values hide the latency of one.
// Dispatch: flat, one invocation per vector.

#import shared/index.wgsl

struct Params {
    count: u32,
    rounds: u32,
    factor: f32,
    offset: f32,
}

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> x: array<vec4<f32>>; // (count)
@group(0) @binding(2) var<storage, read_write> out: array<vec4<f32>>; // (count)

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
    let start = x[i];
#for c in 0..CHAINS
    var v$c = start + f32($c);
#end
    for (var round = 0u; round < params.rounds; round++) {
#for c in 0..CHAINS
#for s in 0..STEPS
        v$c = params.factor * v$c + params.offset;
#end
#end
    }
    var sum = vec4<f32>();
#for c in 0..CHAINS
    sum += v$c;
#end
    out[i] = sum;
}
