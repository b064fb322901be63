// CAME's step (Luo et al. 2023, arXiv 2307.02047), tensor by tensor, as came-pytorch. With factored_update.wgsl's update:
//
//     m ← beta1·m + (1 − beta1)·update;  R ← beta3·R + (1 − beta3)·mean over columns of ((update − m)² + eps)
//     C likewise over rows;  p ← p − weight_decay·rate·p − rate·m/√(R/mean(R) ⊗ C)
//
// Where a tensor has one axis, p ← p − weight_decay·rate·p − rate·m. Nothing is touched where the gradients are not
// finite.
//
// parameters, update, m, rows (R), columns (C): (elements) of a shard; tensors: (tensors); clip: grad_norm's (norm,
// factor, finite, scale). Dispatch: one workgroup per tensor, for `confide` and then for `apply`.

#import shared/factored.wgsl

struct Params {
    tensors: u32,
}

struct Settings {
    estimate: vec4<f32>, // factored_update's
    rate: f32,
    beta1: f32,
    one_minus_beta1: f32,
    beta3: f32,
    one_minus_beta3: f32,
    eps: f32,
    weight_decay: f32,
}

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> tensors: array<Tensor>; // (tensors)
@group(0) @binding(2) var<storage, read> clip: vec4<f32>;
@group(0) @binding(3) var<storage, read> settings: Settings;
@group(0) @binding(4) var<storage, read_write> rows: array<f32>; // (elements)
@group(0) @binding(5) var<storage, read_write> columns: array<f32>; // (elements)
@group(0) @binding(6) var<storage, read_write> m: array<f32>; // (elements)
// confide
@group(0) @binding(7) var<storage, read> update: array<f32>; // (elements)
// apply
@group(0) @binding(7) var<storage, read_write> parameters: array<f32>; // (elements)

fn term(i: u32) -> f32 {
    let difference = update[i] - m[i];
    return difference * difference + settings.eps;
}

@compute @workgroup_size(256)
fn confide(
    @builtin(workgroup_id) workgroup: vec3<u32>,
    @builtin(num_workgroups) workgroups: vec3<u32>,
    @builtin(local_invocation_index) local: u32,
) {
    let index = workgroup.y * workgroups.x + workgroup.x;
    if index >= params.tensors || clip.z == 0.0 {
        return;
    }
    let t = tensors[index];
    for (var element = local; element < t.elements; element += REDUCE_LANES) {
        let i = place_address(t, place(t, element));
        m[i] = settings.beta1 * m[i] + settings.one_minus_beta1 * update[i];
    }
    storageBarrier();
    if t.factored != 0u {
        advance_means(local, t, settings.beta3, settings.one_minus_beta3);
    }
}

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
    let mean = mean_of_rows(local, t);
    for (var element = local; element < t.elements; element += REDUCE_LANES) {
        let at = place(t, element);
        let i = place_address(t, at);
        var step = m[i];
        if t.factored != 0u {
            step *= inverse_root(t, at, mean);
        }
        let p = parameters[i];
        parameters[i] = p - settings.weight_decay * settings.rate * p - settings.rate * step;
    }
}
