// loss = Σ_b weight_b·sample_b with sample_b = mean over the sample's elements of mask·loss_of(prediction − target), and
// its gradient d_prediction = scale·2·weight_b/elements·mask·half_slope_of(prediction − target), `scale` times as large
// as it is.
//
// Two imports say what is measured: shared/loss_l2.wgsl, loss_l1.wgsl or loss_pseudo_huber.wgsl the loss of an element
// and half its derivative, shared/loss_mask.wgsl or loss_whole.wgsl how much a pixel counts.
//
// prediction, target, d_prediction: (B, per_sample vectors of four); weight, samples: (B); loss: (1);
// scale: (1 or more).
// Dispatch: measure, one workgroup per sample; total, one invocation.

const REDUCE_LANES: u32 = 256u;
#import shared/reduce.wgsl

struct Params {
    samples: u32,
    per_sample: u32, // vectors
    per_pixel: u32, // vectors that share a value of the mask
}

@group(0) @binding(0) var<uniform> params: Params;
// measure
@group(0) @binding(1) var<storage, read> prediction: array<vec4<f32>>; // (B, per_sample)
@group(0) @binding(2) var<storage, read> expected: array<vec4<f32>>; // (B, per_sample), the target
@group(0) @binding(3) var<storage, read> weight: array<f32>; // (B)
@group(0) @binding(4) var<storage, read_write> samples: array<f32>; // (B)
@group(0) @binding(5) var<storage, read_write> d_prediction: array<vec4<f32>>; // (B, per_sample)
@group(0) @binding(6) var<storage, read> scale: array<f32>; // of which the first counts
// total
@group(0) @binding(1) var<storage, read> measured: array<f32>; // (B)
@group(0) @binding(2) var<storage, read> weight_of_measured: array<f32>; // (B)
@group(0) @binding(3) var<storage, read_write> loss: array<f32>; // (1)

@compute @workgroup_size(256)
fn measure(
    @builtin(workgroup_id) workgroup: vec3<u32>,
    @builtin(local_invocation_index) local: u32,
) {
    let sample = workgroup.x;
    let elements = 4.0 * f32(params.per_sample);
    let slope = scale[0] * (2.0 * weight[sample] / elements);
    var sum = vec4<f32>(0.0);
    for (var i = local; i < params.per_sample; i += REDUCE_LANES) {
        let at = sample * params.per_sample + i;
        let distance = prediction[at] - expected[at];
        sum += masked(loss_of(distance, sample), at);
        d_prediction[at] = slope * masked(half_slope_of(distance, sample), at);
    }
    // Lanes, then halves of the workgroup: sums of like size are added, which keeps the rounding below 1e-7.
    let total = reduce_sum(local, vec2<f32>(horizontal_sum(sum), 0.0)).x;
    if local == 0u {
        samples[sample] = total / elements;
    }
}

@compute @workgroup_size(1)
fn total() {
    var sum = 0.0;
    for (var sample = 0u; sample < params.samples; sample++) {
        sum += weight_of_measured[sample] * measured[sample];
    }
    loss[0] = sum;
}
