// What the optimizers share that find their step size from d, an estimate of the distance between the parameters and the
// solution: the kernels, in the order of their launches. With g ← factor·g:
//
//     begin    numbers of the step for each group, from the d of the step before; dlr = d·rate·correction
//     measure  numerator += numerator_rate·Σ numerator_term;  m ← beta1·m + m_rate·g;  v ← beta2·v + v_rate·g²
//              s ← beta3·s + s_rate·g;  denominator += Σ|s|
//     finish   the next d, from numerator and denominator
//     apply    p ← p − decoupled_decay·dlr·p − movement
//
// Nothing is touched where the gradients are not finite, where all s are 0, or in a group whose rate is 0. The including
// file says what m_rate, v_rate, s_rate, numerator_rate, numerator_term, movement and the next d are.
//
// parameters, gradients, m, v, s: (count) vectors of four; clip: grad_norm's (norm, factor, finite, scale).
// Dispatch: begin, one invocation for each group; measure, `workgroups` workgroups for each shard; finish, one workgroup;
// apply, flat, one invocation per vector of a shard.

const REDUCE_LANES: u32 = 256u;
#import shared/index.wgsl
#import shared/reduce.wgsl

struct Params {
    count: u32, // vectors in this shard
    workgroups: u32, // of this shard's launch of `measure`
    first: u32, // partial result of this shard's first workgroup
    partials: u32, // of all shards
    group: u32, // of this shard
}

struct Settings {
    rate: f32,
    largest_rate: f32, // of all groups
    beta1: f32,
    one_minus_beta1: f32,
    beta2: f32,
    one_minus_beta2: f32,
    beta3: f32,
    one_minus_beta3: f32,
    eps: f32,
    decoupled_decay: f32,
    coupled_decay: f32, // added to the gradient
    corrects_bias: f32, // 1 or 0
    growth_rate: f32,
    // Prodigy's own
    d0: f32,
    d_coef: f32,
    safeguards: f32, // 1 or 0
}

// What lasts from step to step.
struct Distance {
    d: f32,
    d_max: f32,
    numerator: f32,
    moves: f32, // 1 or 0: whether the last step moved anything
    correction: vec2<f32>, // 1 − beta1^k, 1 − beta2^k after k steps that moved something
}

// A step's numbers for a group.
struct Numbers {
    finite: f32, // 1 or 0
    trained: f32, // 1 where finite and the group's rate is not 0, else 0
    factor: f32, // of gradients
    dlr: f32,
    m_rate: f32,
    v_rate: f32,
    s_rate: f32,
    numerator_rate: f32,
    beta1: f32,
    beta2: f32,
    beta3: f32,
    eps: f32,
    decoupled_decay: f32,
    coupled_decay: f32,
    correction: vec2<f32>, // of this step
}

@group(0) @binding(0) var<uniform> params: Params;
// begin
@group(0) @binding(1) var<storage, read> distance: Distance;
@group(0) @binding(2) var<storage, read> clip: vec4<f32>;
@group(0) @binding(3) var<storage, read> settings: Settings;
@group(0) @binding(4) var<storage, read_write> begun: array<Numbers>; // (groups)
// measure
@group(0) @binding(1) var<storage, read> parameters: array<vec4<f32>>; // (count)
@group(0) @binding(2) var<storage, read> gradients: array<vec4<f32>>; // (count)
@group(0) @binding(3) var<storage, read_write> m: array<vec4<f32>>; // (count)
@group(0) @binding(4) var<storage, read_write> v: array<vec4<f32>>; // (count)
@group(0) @binding(5) var<storage, read_write> s: array<vec4<f32>>; // (count)
@group(0) @binding(6) var<storage, read> numbers: array<Numbers>; // (groups)
@group(0) @binding(7) var<storage, read_write> partials: array<vec2<f32>>; // (partials): numerator, denominator
// finish
@group(0) @binding(1) var<storage, read> measured: array<vec2<f32>>; // (partials)
@group(0) @binding(2) var<storage, read> all_numbers: array<Numbers>; // (groups)
@group(0) @binding(3) var<storage, read> of_any: Settings; // the settings of any group
@group(0) @binding(4) var<storage, read_write> found: Distance;
// apply
@group(0) @binding(1) var<storage, read_write> moved: array<vec4<f32>>; // (count)
@group(0) @binding(2) var<storage, read> first: array<vec4<f32>>; // (count)
@group(0) @binding(3) var<storage, read> second: array<vec4<f32>>; // (count)
@group(0) @binding(4) var<storage, read> group_numbers: array<Numbers>; // (groups)
@group(0) @binding(5) var<storage, read> next: Distance;

// Vectors that a lane sums before it adds them to its total: two levels keep the rounding small.
const RUN: u32 = 16u;

// 1 − beta^(k + 1) = beta·(1 − beta^k) + (1 − beta), which loses nothing while beta^k is near 1.
fn advanced_correction() -> vec2<f32> {
    let one_minus = vec2<f32>(settings.one_minus_beta1, settings.one_minus_beta2);
    return distance.correction + one_minus * (vec2<f32>(1.0) - distance.correction);
}

@compute @workgroup_size(1)
fn begin() {
    let correction = advanced_correction();
    let factor = select(1.0, sqrt(correction.y) / correction.x, settings.corrects_bias != 0.0);
    let dlr = distance.d * settings.largest_rate * factor;
    var step = rates(distance.d, dlr);
    step.finite = clip.z;
    step.trained = select(0.0, clip.z, settings.rate > 0.0);
    step.factor = clip.y;
    step.dlr = dlr;
    step.beta1 = settings.beta1;
    step.beta2 = settings.beta2;
    step.beta3 = settings.beta3;
    step.eps = settings.eps;
    step.decoupled_decay = settings.decoupled_decay;
    step.coupled_decay = settings.coupled_decay;
    step.correction = correction;
    begun[params.group] = step;
}

@compute @workgroup_size(256)
fn measure(
    @builtin(workgroup_id) workgroup: vec3<u32>,
    @builtin(local_invocation_index) local: u32,
) {
    let now = numbers[params.group];
    let step = params.workgroups * REDUCE_LANES;
    let count = select(0u, params.count, now.trained != 0.0);
    var total = vec2<f32>(0.0);
    for (var start = workgroup.x * REDUCE_LANES + local; start < count; start += RUN * step) {
        let end = min(count, start + RUN * step);
        var numerator = vec4<f32>(0.0);
        var denominator = vec4<f32>(0.0);
        for (var i = start; i < end; i += step) {
            let gradient = now.factor * gradients[i] + now.coupled_decay * parameters[i];
            numerator += numerator_term(i, gradient, now.eps);
            m[i] = now.beta1 * m[i] + now.m_rate * gradient;
            v[i] = now.beta2 * v[i] + now.v_rate * gradient * gradient;
            let sum = now.beta3 * s[i] + now.s_rate * gradient;
            s[i] = sum;
            denominator += abs(sum);
        }
        total += vec2<f32>(horizontal_sum(numerator), horizontal_sum(denominator));
    }
    let partial = reduce_sum(local, total);
    if local == 0u {
        partials[params.first + workgroup.x] = vec2<f32>(now.numerator_rate * partial.x, partial.y);
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
    let now = all_numbers[0];
    if now.finite == 0.0 || sum.y == 0.0 {
        found.moves = 0.0;
        return;
    }
    var after = advanced(found, sum.x, sum.y);
    after.moves = 1.0;
    after.correction = now.correction;
    found = after;
}

@compute @workgroup_size(256)
fn apply(
    @builtin(workgroup_id) workgroup: vec3<u32>,
    @builtin(num_workgroups) workgroups: vec3<u32>,
    @builtin(local_invocation_index) local: u32,
) {
    let i = flat_index(workgroup, workgroups, local);
    let now = group_numbers[params.group];
    if i >= params.count || now.trained == 0.0 || next.moves == 0.0 {
        return;
    }
    let decayed = moved[i] - now.decoupled_decay * now.dlr * moved[i];
    moved[i] = decayed - movement(i, now);
}
