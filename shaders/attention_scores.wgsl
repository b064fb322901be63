// Row by row over a chunk of the score matrix, in place, for software drivers with subgroups of exactly eight lanes.
//
//   softmax     p = exp(s − lse), lse = log Σ exp(s)         over scores s = q·kᵀ·scale
//   gradient    p = exp(s − lse), ds = p∘(dp − delta)·scale   over scores s and dp = d_out·vᵀ
//
// A chunk holds some queries of some pictures: (pictures, heads, rows, keys4) vec4s, whose padding beyond M becomes
// zero. lse, delta: (B, heads, N).
// Dispatch: (rows, heads, pictures) workgroups, each one subgroup.

struct Params {
    queries: u32, // N
    keys: u32, // M
    first_query: u32, // of the chunk
    first_batch: u32,
    scale: f32,
}

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read_write> scores: array<vec4<f32>>; // (pictures, heads, rows, keys4)

@group(0) @binding(2) var<storage, read_write> lse_out: array<f32>; // (B, heads, N)

@group(0) @binding(2) var<storage, read_write> d_scores: array<vec4<f32>>; // (pictures, heads, rows, keys4)
@group(0) @binding(3) var<storage, read> lse: array<f32>; // (B, heads, N)
@group(0) @binding(4) var<storage, read> delta: array<f32>; // (B, heads, N)

const MASKED: f32 = -3e38;

// Where a row lies: `first` and `end` within the chunk, its entry in lse and delta, and how many keys it sees.
struct Row {
    first: u32,
    end: u32,
    statistic: u32,
    visible: u32,
}

fn row_of(workgroup: vec3<u32>, workgroups: vec3<u32>) -> Row {
    let keys4 = (params.keys + 3u) / 4u;
    let first = ((workgroup.z * workgroups.y + workgroup.y) * workgroups.x + workgroup.x) * keys4;
    let query = params.first_query + workgroup.x;
    let statistic = ((params.first_batch + workgroup.z) * workgroups.y + workgroup.y) * params.queries + query;
    return Row(first, first + keys4, statistic, select(params.keys, query + 1u, CAUSAL == 1u));
}

// Which of four keys the row sees.
fn seen(row: Row, at: u32) -> vec4<bool> {
    return vec4<u32>(4u * (at - row.first)) + vec4<u32>(0u, 1u, 2u, 3u) < vec4<u32>(row.visible);
}

@compute @workgroup_size(8)
fn softmax(
    @builtin(workgroup_id) workgroup: vec3<u32>,
    @builtin(num_workgroups) workgroups: vec3<u32>,
    @builtin(local_invocation_index) lane: u32,
) {
    let row = row_of(workgroup, workgroups);
    var top = vec4<f32>(MASKED);
    for (var i = row.first + lane; i < row.end; i += 8u) {
        top = max(top, select(vec4<f32>(MASKED), scores[i], seen(row, i)));
    }
    let largest = subgroupMax(max(max(top.x, top.y), max(top.z, top.w)));
    var sums = vec4<f32>();
    for (var i = row.first + lane; i < row.end; i += 8u) {
        let p = select(vec4<f32>(), exp(scores[i] - largest), seen(row, i));
        scores[i] = p;
        sums += p;
    }
    let total = subgroupAdd((sums.x + sums.y) + (sums.z + sums.w));
    for (var i = row.first + lane; i < row.end; i += 8u) {
        scores[i] = scores[i] / total;
    }
    if lane == 0u {
        lse_out[row.statistic] = largest + log(total);
    }
}

@compute @workgroup_size(8)
fn gradient(
    @builtin(workgroup_id) workgroup: vec3<u32>,
    @builtin(num_workgroups) workgroups: vec3<u32>,
    @builtin(local_invocation_index) lane: u32,
) {
    let row = row_of(workgroup, workgroups);
    let row_lse = lse[row.statistic];
    let row_delta = delta[row.statistic];
    for (var i = row.first + lane; i < row.end; i += 8u) {
        let p = select(vec4<f32>(), exp(scores[i] - row_lse), seen(row, i));
        scores[i] = p;
        d_scores[i] = p * (d_scores[i] - row_delta) * params.scale;
    }
}
