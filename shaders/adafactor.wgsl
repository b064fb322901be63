// Adafactor's step (Shazeer and Stern 2018, arXiv 1804.04235), tensor by tensor, as transformers' Adafactor:
//
//     rate ← rate·max(smallest, rms(p)) where rates are scaled;  p ← p − weight_decay·rate·p − rate·update
//
// update is factored_update.wgsl's. Nothing is touched where the gradients are not finite.
//
// parameters, update: (elements) of a shard; tensors: (tensors); clip: grad_norm's (norm, factor, finite, scale).
// Dispatch: one workgroup per tensor.

#import shared/tensors.wgsl

struct Params {
    tensors: u32,
}

struct Settings {
    estimate: vec4<f32>, // factored_update's
    rate: f32,
    scales: f32, // 1 where the rate is relative to the parameters, or 0
    smallest: f32,
    weight_decay: f32,
}

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> tensors: array<Tensor>; // (tensors)
@group(0) @binding(2) var<storage, read_write> parameters: array<f32>; // (elements)
@group(0) @binding(3) var<storage, read> update: array<f32>; // (elements)
@group(0) @binding(4) var<storage, read> clip: vec4<f32>;
@group(0) @binding(5) var<storage, read> settings: Settings;

@compute @workgroup_size(256)
fn apply(
    @builtin(workgroup_id) workgroup: vec3<u32>,
    @builtin(num_workgroups) workgroups: vec3<u32>,
    @builtin(local_invocation_index) local: u32,
) {
    let index = workgroup.y * workgroups.x + workgroup.x;
    if index >= params.tensors || clip.z == 0.0 {
        return;
    }
    let t = tensors[index];
    var squares = 0.0;
    for (var start = local; start < t.elements; start += RUN * REDUCE_LANES) {
        let end = min(t.elements, start + RUN * REDUCE_LANES);
        var sum = 0.0;
        for (var element = start; element < end; element += REDUCE_LANES) {
            let p = parameters[place_address(t, place(t, element))];
            sum += p * p;
        }
        squares += sum;
    }
    let rms = sqrt(reduce_sum(local, vec2<f32>(squares, 0.0)).x / f32(t.elements));
    let rate = settings.rate * select(1.0, max(settings.smallest, rms), settings.scales != 0.0);
    for (var element = local; element < t.elements; element += REDUCE_LANES) {
        let i = place_address(t, place(t, element));
        let p = parameters[i];
        parameters[i] = p - settings.weight_decay * rate * p - rate * update[i];
    }
}
