// result = (norm, factor, finite, scale): norm = √(Σ g²)/scale over all gradients, which are `scale` times as large as
// they should be; factor = min(1, max_norm/(norm + 1e-6))/scale, or 1/scale where max_norm is 0; finite is 1 or 0, and
// factor is 0 with it.
//
// gradients: shards of (count) vectors of four, one launch of `measure` each; max_norm: (1); scale: (1 or more).
// Dispatch: measure, `workgroups` workgroups; finish, one workgroup.

const REDUCE_LANES: u32 = 256u;
#import shared/reduce.wgsl

struct Params {
    count: u32, // vectors in this shard
    workgroups: u32, // of this shard's launch
    first: u32, // partial result of this shard's first workgroup
    partials: u32, // of all shards
}

@group(0) @binding(0) var<uniform> params: Params;
// measure
@group(0) @binding(1) var<storage, read> gradients: array<vec4<f32>>; // (count)
@group(0) @binding(2) var<storage, read_write> partials: array<vec2<f32>>; // (partials): squares, lanes not finite
// finish
@group(0) @binding(1) var<storage, read> measured: array<vec2<f32>>; // (partials)
@group(0) @binding(2) var<storage, read> max_norm: array<f32>; // (1)
@group(0) @binding(3) var<storage, read> scale: array<f32>; // of which the first counts
@group(0) @binding(4) var<storage, read_write> result: array<vec4<f32>>; // (1)

const EXPONENT: u32 = 0x7f800000u;

// By bits: compilers that assume finite values would drop any other test.
fn all_finite(v: vec4<f32>) -> bool {
    return all((bitcast<vec4<u32>>(v) & vec4<u32>(EXPONENT)) != vec4<u32>(EXPONENT));
}

// Vectors that a lane sums before it adds them to its total: two levels keep the rounding small for 10⁸ elements.
const RUN: u32 = 16u;

@compute @workgroup_size(256)
fn measure(
    @builtin(workgroup_id) workgroup: vec3<u32>,
    @builtin(local_invocation_index) local: u32,
) {
    let step = params.workgroups * REDUCE_LANES;
    var total = vec4<f32>(0.0);
    var finite = true;
    for (var start = workgroup.x * REDUCE_LANES + local; start < params.count; start += RUN * step) {
        let end = min(params.count, start + RUN * step);
        var sum = vec4<f32>(0.0);
        for (var i = start; i < end; i += step) {
            let gradient = gradients[i];
            sum += gradient * gradient;
            finite = finite && all_finite(gradient);
        }
        total += sum;
    }
    let partial = reduce_sum(local, vec2<f32>(horizontal_sum(total), select(1.0, 0.0, finite)));
    if local == 0u {
        partials[params.first + workgroup.x] = partial;
    }
}

@compute @workgroup_size(256)
fn finish(@builtin(local_invocation_index) local: u32) {
    var sum = vec2<f32>(0.0);
    for (var i = local; i < params.partials; i += REDUCE_LANES) {
        sum += measured[i];
    }
    sum = reduce_sum(local, sum);
    if local != 0u {
        return;
    }
    let norm = sqrt(sum.x) / scale[0];
    // The squares may overflow though the gradients are finite: no step is right then either.
    let finite = sum.y == 0.0 && all_finite(vec4<f32>(sum.x));
    var factor = 1.0;
    if max_norm[0] > 0.0 {
        factor = min(1.0, max_norm[0] / (norm + 1e-6));
    }
    let right = vec4<f32>(norm, factor / scale[0], 1.0, scale[0]);
    result[0] = select(vec4<f32>(norm, 0.0, 0.0, scale[0]), right, finite);
}
