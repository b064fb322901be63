// y = x̂·gamma + beta with x̂ = (x − mean)·rstd, then SiLU where asked for; mean and rstd of each (sample, group).
//
// x, y: (B, P, C) with P positions; a group is C/groups neighbouring channels, not always a multiple of four.
// Positions are cut into chunks, walked over in columns of four channels, so that a group's width does not matter.
// Partial results of the chunks are combined by one workgroup of REDUCE_LANES per (sample, group), in a fixed order. Its
// results are stored per channel, to be read as vectors.
//
// Dispatch: flat, one invocation per (chunk, column); combine_*: (groups, B) workgroups.

#import shared/activation.wgsl
#import shared/addend.wgsl
#import shared/chunks.wgsl
#import shared/index.wgsl
#import shared/reduce.wgsl

struct Params {
    chunks: Chunks,
    groups: u32,
    silu: u32,
    eps: f32,
    has_addend: u32,
}

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> x: array<Quad>; // (rows, C/4)
@group(0) @binding(2) var<storage, read> statistics: array<vec4<f32>>; // (mean and rstd, B, C/4)
@group(0) @binding(3) var<storage, read> gamma: array<vec4<f32>>; // (C/4)
@group(0) @binding(4) var<storage, read> beta: array<vec4<f32>>; // (C/4)
@group(0) @binding(5) var<storage, read_write> y: array<Quad>; // (rows, C/4)

// measure
@group(0) @binding(2) var<storage, read_write> moments: array<vec4<f32>>; // (chunks, mean and squares, C/4)
// combine_statistics, combine_gradients
@group(0) @binding(1) var<storage, read> partials: array<f32>; // (chunks, 2, C)
@group(0) @binding(2) var<storage, read_write> combined: array<f32>; // (2, B, C)
// sum_gradients, backward
@group(0) @binding(5) var<storage, read> d_y: array<Quad>; // (rows, C/4)
@group(0) @binding(6) var<storage, read_write> sums: array<vec4<f32>>; // (chunks, d_x̂ and d_x̂·x̂, C/4)
@group(0) @binding(6) var<storage, read> means: array<vec4<f32>>; // (d_x̂ and d_x̂·x̂, B, C/4)
@group(0) @binding(7) var<storage, read> addend: array<Quad>; // (rows, C/4), or anything
@group(0) @binding(8) var<storage, read_write> d_x: array<Quad>; // (rows, C/4)

// Where (2, B, C/4) holds the two values of the walk's column.
fn per_channel(walk: ChunkWalk) -> vec2<u32> {
    let first = walk.sample * walk.step + walk.column;
    return vec2<u32>(first, params.chunks.samples * walk.step + first);
}

// Mean and sum of squared distances from it, of each channel over a chunk (Welford's recurrence).
@compute @workgroup_size(256)
fn measure(
    @builtin(workgroup_id) workgroup: vec3<u32>,
    @builtin(num_workgroups) workgroups: vec3<u32>,
    @builtin(local_invocation_index) local: u32,
) {
    let index = flat_index(workgroup, workgroups, local);
    if index >= chunk_invocations(params.chunks) {
        return;
    }
    let walk = chunk_walk(params.chunks, index);
    var count = 0.0;
    var mean = vec4<f32>(0.0);
    var squares = vec4<f32>(0.0);
    for (var at = walk.first; at < walk.end; at += walk.step) {
        let value = unpack4(x[at]);
        let distance = value - mean;
        count += 1.0;
        mean += distance / count;
        squares += distance * (value - mean);
    }
    let partial = 2u * walk.chunk * walk.step + walk.column;
    moments[partial] = mean;
    moments[partial + walk.step] = squares;
}

// One value of `partials`: entry e of a group counts channels first, then chunks.
struct Entry {
    at: u32, // of the first of the two partial results; the second lies `channels` further on
    positions: f32,
}

fn entry(e: u32, sample: u32, group: u32) -> Entry {
    let width = params.chunks.channels / params.groups;
    let chunk = e / width;
    let channel = group * width + e % width;
    let positions = min(params.chunks.length, params.chunks.positions - chunk * params.chunks.length);
    return Entry(2u * (sample * params.chunks.per_sample + chunk) * params.chunks.channels + channel, f32(positions));
}

fn store_per_channel(local: u32, sample: u32, group: u32, values: vec2<f32>) {
    let width = params.chunks.channels / params.groups;
    for (var i = local; i < width; i += REDUCE_LANES) {
        let channel = sample * params.chunks.channels + group * width + i;
        combined[channel] = values.x;
        combined[params.chunks.samples * params.chunks.channels + channel] = values.y;
    }
}

// mean = Σ n·mean_e / N, variance = Σ (squares_e + n·(mean_e − mean)²) / N over the group's entries e of n positions.
@compute @workgroup_size(REDUCE_LANES)
fn combine_statistics(
    @builtin(workgroup_id) workgroup: vec3<u32>,
    @builtin(local_invocation_index) local: u32,
) {
    let width = params.chunks.channels / params.groups;
    let total = f32(width) * f32(params.chunks.positions);
    var sum = 0.0;
    for (var e = local; e < width * params.chunks.per_sample; e += REDUCE_LANES) {
        let entry = entry(e, workgroup.y, workgroup.x);
        sum += entry.positions * partials[entry.at];
    }
    let mean = reduce_sum(local, vec2<f32>(sum, 0.0)).x / total;
    var squares = 0.0;
    for (var e = local; e < width * params.chunks.per_sample; e += REDUCE_LANES) {
        let entry = entry(e, workgroup.y, workgroup.x);
        let distance = partials[entry.at] - mean;
        squares += partials[entry.at + params.chunks.channels] + entry.positions * distance * distance;
    }
    let variance = reduce_sum(local, vec2<f32>(squares, 0.0)).x / total;
    store_per_channel(local, workgroup.y, workgroup.x, vec2<f32>(mean, 1.0 / sqrt(variance + params.eps)));
}

@compute @workgroup_size(256)
fn forward(
    @builtin(workgroup_id) workgroup: vec3<u32>,
    @builtin(num_workgroups) workgroups: vec3<u32>,
    @builtin(local_invocation_index) local: u32,
) {
    let index = flat_index(workgroup, workgroups, local);
    if index >= chunk_invocations(params.chunks) {
        return;
    }
    let walk = chunk_walk(params.chunks, index);
    let channel = per_channel(walk);
    let mean = statistics[channel.x];
    let scale = statistics[channel.y] * gamma[walk.column];
    let shift = beta[walk.column];
    for (var at = walk.first; at < walk.end; at += walk.step) {
        let z = (unpack4(x[at]) - mean) * scale + shift;
        if params.silu != 0u {
            y[at] = pack4(silu(z));
        } else {
            y[at] = pack4(z);
        }
    }
}

struct Normalized {
    x: vec4<f32>, // x̂
    d_x: vec4<f32>, // gradient by x̂
}

// y = silu(x̂·gamma + beta): d_x̂ = d_y·silu'(x̂·gamma + beta)·gamma.
fn normalized(at: u32, walk: ChunkWalk) -> Normalized {
    let channel = per_channel(walk);
    let x_hat = (unpack4(x[at]) - statistics[channel.x]) * statistics[channel.y];
    let scale = gamma[walk.column];
    var d_z = unpack4(d_y[at]);
    if params.silu != 0u {
        d_z *= silu_derivative(x_hat * scale + beta[walk.column]);
    }
    return Normalized(x_hat, d_z * scale);
}

// Sums of d_x̂ and d_x̂·x̂, of each channel over a chunk.
@compute @workgroup_size(256)
fn sum_gradients(
    @builtin(workgroup_id) workgroup: vec3<u32>,
    @builtin(num_workgroups) workgroups: vec3<u32>,
    @builtin(local_invocation_index) local: u32,
) {
    let index = flat_index(workgroup, workgroups, local);
    if index >= chunk_invocations(params.chunks) {
        return;
    }
    let walk = chunk_walk(params.chunks, index);
    var plain = vec4<f32>(0.0);
    var weighted = vec4<f32>(0.0);
    for (var at = walk.first; at < walk.end; at += walk.step) {
        let normalized = normalized(at, walk);
        plain += normalized.d_x;
        weighted += normalized.d_x * normalized.x;
    }
    let partial = 2u * walk.chunk * walk.step + walk.column;
    sums[partial] = plain;
    sums[partial + walk.step] = weighted;
}

// Means over the group.
@compute @workgroup_size(REDUCE_LANES)
fn combine_gradients(
    @builtin(workgroup_id) workgroup: vec3<u32>,
    @builtin(local_invocation_index) local: u32,
) {
    let width = params.chunks.channels / params.groups;
    var sum = vec2<f32>(0.0);
    for (var e = local; e < width * params.chunks.per_sample; e += REDUCE_LANES) {
        let at = entry(e, workgroup.y, workgroup.x).at;
        sum += vec2<f32>(partials[at], partials[at + params.chunks.channels]);
    }
    let means = reduce_sum(local, sum) / (f32(width) * f32(params.chunks.positions));
    store_per_channel(local, workgroup.y, workgroup.x, means);
}

// x̂ = (x − mean)·rstd: d_x = rstd·(d_x̂ − mean(d_x̂) − x̂·mean(d_x̂·x̂)) (+ addend).
@compute @workgroup_size(256)
fn backward(
    @builtin(workgroup_id) workgroup: vec3<u32>,
    @builtin(num_workgroups) workgroups: vec3<u32>,
    @builtin(local_invocation_index) local: u32,
) {
    let index = flat_index(workgroup, workgroups, local);
    if index >= chunk_invocations(params.chunks) {
        return;
    }
    let walk = chunk_walk(params.chunks, index);
    let channel = per_channel(walk);
    let rstd = statistics[channel.y];
    let mean_plain = means[channel.x];
    let mean_weighted = means[channel.y];
    for (var at = walk.first; at < walk.end; at += walk.step) {
        let normalized = normalized(at, walk);
        let gradient = rstd * (normalized.d_x - mean_plain - normalized.x * mean_weighted);
        d_x[at] = pack4(with_addend(gradient, at));
    }
}
