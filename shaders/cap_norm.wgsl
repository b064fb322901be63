// Brings a LoRA's norm n = ‖scale·up·down‖ (Frobenius) down to `largest`: up and down ← √(largest/n) times themselves where
// n > largest, as kohya's apply_max_norm_regularization. No product of the weight's size is made:
//
//     ‖up·down‖² = Σ over i, j of (upᵀ·up)[i, j] · (down·downᵀ)[i, j]
//
// Nothing is touched where the gradients are not finite.
//
// down: (rank, columns); up: (rows, rank); clip: grad_norm's (norm, factor, finite, scale); q = rank/4.
// Dispatch: measure, a workgroup per pair of quads of ranks, (q, q); apply, flat over the vectors of down and then of up.

const REDUCE_LANES: u32 = 256u;
#import shared/reduce.wgsl
#import shared/index.wgsl

struct Params {
    rows: u32,
    columns: u32, // vectors of four
    rank: u32, // vectors of four: q
}

@group(0) @binding(0) var<uniform> params: Params;
// measure
@group(0) @binding(1) var<storage, read> down: array<vec4<f32>>; // (rank, columns)
@group(0) @binding(2) var<storage, read> up: array<vec4<f32>>; // (rows, rank)
@group(0) @binding(3) var<storage, read_write> partials: array<f32>; // (q, q)
// apply
@group(0) @binding(1) var<storage, read_write> capped_down: array<vec4<f32>>; // (rank, columns)
@group(0) @binding(2) var<storage, read_write> capped_up: array<vec4<f32>>; // (rows, rank)
@group(0) @binding(3) var<storage, read> squares: array<f32>; // (q, q)
@group(0) @binding(4) var<storage, read> scale: array<f32>; // (1)
@group(0) @binding(5) var<storage, read> largest: array<f32>; // (1)
@group(0) @binding(6) var<storage, read> clip: vec4<f32>;

// The part of both Gram matrices that a pair of quads of ranks has.
struct Grams {
    down: mat4x4<f32>,
    up: mat4x4<f32>,
}

const LANES: u32 = 64u;
var<workgroup> slots: array<Grams, LANES>;

fn down_quad(rank: u32, column: u32) -> mat4x4<f32> {
    let at = 4u * rank * params.columns + column;
    return mat4x4<f32>(down[at], down[at + params.columns], down[at + 2u * params.columns], down[at + 3u * params.columns]);
}

// A lane's share of the columns of down and of the rows of up.
fn share(i: u32, j: u32, local: u32) -> Grams {
    var grams: Grams;
    for (var column = local; column < params.columns; column += LANES) {
        grams.down += transpose(down_quad(j, column)) * down_quad(i, column);
    }
    for (var row = local; row < params.rows; row += LANES) {
        let a = up[row * params.rank + i];
        let b = up[row * params.rank + j];
        grams.up += mat4x4<f32>(b * a.x, b * a.y, b * a.z, b * a.w);
    }
    return grams;
}

@compute @workgroup_size(64)
fn measure(@builtin(workgroup_id) pair: vec3<u32>, @builtin(local_invocation_index) local: u32) {
    let at = pair.y * params.rank + pair.x;
    // Gram matrices are symmetric: a pair above the diagonal stands for the one below, too.
    if pair.x < pair.y {
        if local == 0u {
            partials[at] = 0.0;
        }
        return;
    }
    slots[local] = share(pair.y, pair.x, local);
    workgroupBarrier();
    for (var reach = LANES / 2u; reach > 0u; reach /= 2u) {
        if local < reach {
            slots[local].down += slots[local + reach].down;
            slots[local].up += slots[local + reach].up;
        }
        workgroupBarrier();
    }
    if local == 0u {
        let grams = slots[0];
        let sum = grams.down[0] * grams.up[0] + grams.down[1] * grams.up[1] + grams.down[2] * grams.up[2]
            + grams.down[3] * grams.up[3];
        partials[at] = select(2.0, 1.0, pair.x == pair.y) * horizontal_sum(sum);
    }
}

@compute @workgroup_size(256)
fn apply(
    @builtin(workgroup_id) workgroup: vec3<u32>,
    @builtin(num_workgroups) workgroups: vec3<u32>,
    @builtin(local_invocation_index) local: u32,
) {
    var sum = 0.0;
    for (var i = local; i < params.rank * params.rank; i += REDUCE_LANES) {
        sum += squares[i];
    }
    let norm = abs(scale[0]) * sqrt(max(0.0, reduce_sum(local, vec2<f32>(sum, 0.0)).x));
    if clip.z == 0.0 || norm <= largest[0] {
        return;
    }
    let factor = sqrt(largest[0] / norm);
    let i = flat_index(workgroup, workgroups, local);
    let of_down = 4u * params.rank * params.columns;
    if i < of_down {
        capped_down[i] *= factor;
    } else if i - of_down < params.rows * params.rank {
        capped_up[i - of_down] *= factor;
    }
}
