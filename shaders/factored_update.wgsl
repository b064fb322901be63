// The step that Adafactor and CAME have in common (Shazeer and Stern 2018, arXiv 1804.04235), tensor by tensor:
//
//     g ← factor·g;  R ← beta·R + (1 − beta)·mean over columns of (g² + eps);  C likewise over rows
//     update = g/√(R/mean(R) ⊗ C), or g/√v with v ← beta·v + (1 − beta)·(g² + eps) where a tensor has one axis
//     update ← update/max(1, rms(update)/threshold)
//
// Nothing is touched where the gradients are not finite.
//
// gradients, update, rows (R, or v), columns (C): (elements) of a shard; tensors: (tensors); clip: grad_norm's (norm,
// factor, finite, scale). Dispatch: one workgroup per tensor.

#import shared/factored.wgsl

struct Params {
    tensors: u32,
}

struct Settings {
    beta: f32,
    one_minus_beta: f32,
    eps: f32,
    threshold: f32,
}

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> tensors: array<Tensor>; // (tensors)
@group(0) @binding(2) var<storage, read> gradients: array<f32>; // (elements)
@group(0) @binding(3) var<storage, read_write> rows: array<f32>; // (elements)
@group(0) @binding(4) var<storage, read_write> columns: array<f32>; // (elements)
@group(0) @binding(5) var<storage, read_write> update: array<f32>; // (elements)
@group(0) @binding(6) var<storage, read> clip: vec4<f32>;
@group(0) @binding(7) var<storage, read> settings: Settings;

fn term(i: u32) -> f32 {
    let gradient = clip.y * gradients[i];
    return gradient * gradient + settings.eps;
}

// Sets the update of a value, and gives its square.
fn set_update(t: Tensor, element: u32, mean: f32) -> f32 {
    let at = place(t, element);
    let i = place_address(t, at);
    var scale = 0.0;
    if t.factored != 0u {
        scale = inverse_root(t, at, mean);
    } else {
        let moment = t.offset + element;
        let second = settings.beta * rows[moment] + settings.one_minus_beta * term(i);
        rows[moment] = second;
        scale = 1.0 / sqrt(second);
    }
    let value = clip.y * gradients[i] * scale;
    update[i] = value;
    return value * value;
}

@compute @workgroup_size(256)
fn estimate(
    @builtin(workgroup_id) workgroup: vec3<u32>,
    @builtin(num_workgroups) workgroups: vec3<u32>,
    @builtin(local_invocation_index) local: u32,
) {
    let index = workgroup.y * workgroups.x + workgroup.x;
    if index >= params.tensors || clip.z == 0.0 {
        return;
    }
    let t = tensors[index];
    var mean = 1.0;
    if t.factored != 0u {
        advance_means(local, t, settings.beta, settings.one_minus_beta);
        storageBarrier();
        mean = mean_of_rows(local, t);
    }
    var squares = 0.0;
    for (var start = local; start < t.elements; start += RUN * REDUCE_LANES) {
        let end = min(t.elements, start + RUN * REDUCE_LANES);
        var sum = 0.0;
        for (var element = start; element < end; element += REDUCE_LANES) {
            sum += set_update(t, element, mean);
        }
        squares += sum;
    }
    let rms = sqrt(reduce_sum(local, vec2<f32>(squares, 0.0)).x / f32(t.elements));
    let shrink = 1.0 / max(1.0, rms / settings.threshold);
    for (var element = local; element < t.elements; element += REDUCE_LANES) {
        update[place_address(t, place(t, element))] *= shrink;
    }
}
