// C = scale · op(A) · op(B) + bias (+ C) (+ addend), register-tiled, within WebGPU's default limits.
//
// op(A): (M, K), op(B): (K, N), C: (M, N), for every batch. Rows are strided; see shared/gemm.wgsl.
// A workgroup of LANES_N × LANES_M invocations computes TILE_M × TILE_N elements, an invocation 4·ROWS4 × 4·COLUMNS4 of
// them. Tiles of A and B pass through workgroup memory sixteen k at a time, read from the device as blocks of four by
// four so that whichever dimension is contiguous is read as vectors: A_EACH blocks of A and B_EACH of B for each
// invocation. The next tiles are read into registers, as they are stored, while the present ones are multiplied.
// Edges: reads outside give zero, stores are guarded. No read is behind a branch: compilers wait for it there.
// Where K is no multiple of 4, columns from K up to the next multiple must be zero in an A along k.
// Long sums are cut into slices of k that different workgroups add up; gemm_reduce.wgsl then sums the slices.
// Dispatch: (⌈N/TILE_N⌉, ⌈M/TILE_M⌉, batches · slices).

#import shared/gemm.wgsl

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> a: array<Quad>; // A_ALONG_K: (M, K/4), else (K, M/4)
@group(0) @binding(2) var<storage, read> weight: array<WeightVec>; // B_ALONG_K: (N, K/4), else (K, N/4)
@group(0) @binding(3) var<storage, read> bias: array<vec4<f32>>; // (N/4), or anything
@group(0) @binding(4) var<storage, read> scale: array<f32>; // (1), or anything
@group(0) @binding(5) var<storage, read> addend: array<ResultQuad>; // (M, N/4), or anything
@group(0) @binding(6) var<storage, read_write> out: array<ResultQuad>; // (M, N/4), or (slices, M, N/4)

const TILE_K: u32 = 16u;
const TILE_K4: u32 = 4u;
const TILE_M4: u32 = ROWS4 * LANES_M;
const TILE_N4: u32 = COLUMNS4 * LANES_N;
const WORKGROUP: u32 = LANES_M * LANES_N;

var<workgroup> a_tile: array<vec4<f32>, TILE_K * TILE_M4>; // (k, m/4), lanes mixed by `mixed`
var<workgroup> b_tile: array<vec4<f32>, TILE_K * TILE_N4>; // (k, n/4), likewise

// A block of a tile, in fours along M or N and along K.
struct Block {
    across: u32,
    k4: u32,
}

// Neighbouring invocations read neighbouring vectors of the contiguous dimension.
fn block_of(index: u32, tile_across4: u32, along_k: bool) -> Block {
    if along_k {
        return Block(index / TILE_K4, index % TILE_K4);
    }
    return Block(index % tile_across4, index / tile_across4);
}

// Where in its row of workgroup memory a vector lies, so that invocations that write blocks of different k4 and the same
// `across` write to different banks.
fn mixed(across: u32, k4: u32, lanes: u32) -> u32 {
    return across ^ ((2u * k4) & (lanes - 1u));
}

// Row and vector, in memory, of line i of a block that starts at 4·across in M or N and at 4·k4 in K.
fn line(along_k: bool, across: u32, k4: u32, i: u32) -> vec2<u32> {
    return select(vec2<u32>(4u * k4 + i, across), vec2<u32>(4u * across + i, k4), along_k);
}

// Whether that line lies within `across_end` in M or N and within `k_end` in K.
fn inside(along_k: bool, at: vec2<u32>, across_end: u32, k_end: u32) -> bool {
    let end = select(vec2<u32>(k_end, vectors(across_end)), vec2<u32>(across_end, vectors(k_end)), along_k);
    return all(at < end);
}

fn a_line(start: u32, m4: u32, k4: u32, k_end: u32, i: u32) -> Quad {
    let at = line(A_ALONG_K != 0u, m4, k4, i);
    let within = inside(A_ALONG_K != 0u, at, params.m, k_end);
    return select(Quad(), a[select(0u, start + at.x * params.rows.x + at.y, within)], within);
}

fn b_line(start: u32, n4: u32, k4: u32, k_end: u32, i: u32) -> WeightVec {
    let at = line(B_ALONG_K != 0u, n4, k4, i);
    let within = inside(B_ALONG_K != 0u, at, params.n, k_end);
    let index = start + at.x * params.rows.y + in_panels(at.y, params.panel_stride);
    return select(WeightVec(), weight[select(0u, index, within)], within);
}

// Block `index` of the tile of A that begins at `k`; past the last block, of whatever lies beyond.
fn load_a(start: u32, tile_m: u32, index: u32, k: u32, k_end: u32) -> array<Quad, 4> {
    let block = block_of(index, TILE_M4, A_ALONG_K != 0u);
    return array<Quad, 4>(
#for i in 0..4
        a_line(start, TILE_M4 * tile_m + block.across, k / 4u + block.k4, k_end, $(i)u),
#end
    );
}

fn load_b(start: u32, tile_n: u32, index: u32, k: u32, k_end: u32) -> array<WeightVec, 4> {
    let block = block_of(index, TILE_N4, B_ALONG_K != 0u);
    return array<WeightVec, 4>(
#for i in 0..4
        b_line(start, TILE_N4 * tile_n + block.across, k / 4u + block.k4, k_end, $(i)u),
#end
    );
}

fn put_a(lines: array<Quad, 4>, index: u32) {
    if index >= TILE_M4 * TILE_K4 {
        return;
    }
    let block = block_of(index, TILE_M4, A_ALONG_K != 0u);
    var values = mat4x4<f32>(unpack4(lines[0]), unpack4(lines[1]), unpack4(lines[2]), unpack4(lines[3]));
    if A_ALONG_K != 0u {
        values = transpose(values);
    }
#for i in 0..4
    a_tile[(4u * block.k4 + $(i)u) * TILE_M4 + mixed(block.across, block.k4, LANES_M)] = values[$i];
#end
}

fn put_b(lines: array<WeightVec, 4>, index: u32) {
    if index >= TILE_N4 * TILE_K4 {
        return;
    }
    let block = block_of(index, TILE_N4, B_ALONG_K != 0u);
    var values = mat4x4<f32>(
        unpack_weight(lines[0]), unpack_weight(lines[1]), unpack_weight(lines[2]), unpack_weight(lines[3]),
    );
    if B_ALONG_K != 0u {
        values = transpose(values);
    }
#for i in 0..4
    b_tile[(4u * block.k4 + $(i)u) * TILE_N4 + mixed(block.across, block.k4, LANES_N)] = values[$i];
#end
}

// Index of a vector of C, of the addend as well; of the first where it lies outside.
fn result_at(start: u32, row: u32, column: u32) -> u32 {
    return select(0u, start + row * params.rows.z + column, row < params.m && column < vectors(params.n));
}

@compute @workgroup_size(WORKGROUP)
fn multiply(@builtin(workgroup_id) tile: vec3<u32>, @builtin(local_invocation_index) local: u32) {
    let start = batch_start(tile.z / params.slices);
    let slice = tile.z % params.slices;
    let k_start = slice * params.slice_k;
    let k_end = min(k_start + params.slice_k, params.k);
    let lane_n = local % LANES_N;
    let lane_m = local / LANES_N;
#for i in 0..4*ROWS4
#for j in 0..COLUMNS4
    var c$(i)_$j = vec4<f32>();
#end
#end
#for p in 0..A_EACH
    var a_next$p = load_a(start.x, tile.y, local + $(p)u * WORKGROUP, k_start, k_end);
#end
#for p in 0..B_EACH
    var b_next$p = load_b(start.y, tile.x, local + $(p)u * WORKGROUP, k_start, k_end);
#end
    for (var k = k_start; k < k_end; k += TILE_K) {
#for p in 0..A_EACH
        put_a(a_next$p, local + $(p)u * WORKGROUP);
#end
#for p in 0..B_EACH
        put_b(b_next$p, local + $(p)u * WORKGROUP);
#end
        workgroupBarrier();
#for p in 0..A_EACH
        a_next$p = load_a(start.x, tile.y, local + $(p)u * WORKGROUP, k + TILE_K, k_end);
#end
#for p in 0..B_EACH
        b_next$p = load_b(start.y, tile.x, local + $(p)u * WORKGROUP, k + TILE_K, k_end);
#end
        for (var i = 0u; i < TILE_K; i++) {
            let a_at = i * TILE_M4 + mixed(lane_m, i / 4u, LANES_M);
            let b_at = i * TILE_N4 + mixed(lane_n, i / 4u, LANES_N);
#for r in 0..ROWS4
            let a$r = a_tile[a_at + $(r)u * LANES_M];
#end
#for j in 0..COLUMNS4
            let b$j = b_tile[b_at + $(j)u * LANES_N];
#end
#for r in 0..4*ROWS4
#for j in 0..COLUMNS4
            c$(r)_$j += a$(r/4)[$(r%4)] * b$j;
#end
#end
        }
        workgroupBarrier();
    }
    let out_start = start.z + slice * params.slice_stride;
#for i in 0..4*ROWS4
    let row$i = 4u * (TILE_M4 * tile.y + $(i/4)u * LANES_M + lane_m) + $(i%4)u;
#end
#for j in 0..COLUMNS4
    let column$j = TILE_N4 * tile.x + $(j)u * LANES_N + lane_n;
#end
    let factor = factor();
#for i in 0..4*ROWS4
#for j in 0..COLUMNS4
    c$(i)_$j *= factor;
#end
#end
    if params.has_bias != 0u {
#for j in 0..COLUMNS4
        let bias$j = bias[min(column$j, vectors(params.n) - 1u)];
#for i in 0..4*ROWS4
        c$(i)_$j += bias$j;
#end
#end
    }
    if params.accumulate != 0u {
#for i in 0..4*ROWS4
#for j in 0..COLUMNS4
        c$(i)_$j += unpack_result(out[result_at(out_start, row$i, column$j)]);
#end
#end
    }
    if params.has_addend != 0u {
#for i in 0..4*ROWS4
#for j in 0..COLUMNS4
        c$(i)_$j += unpack_result(addend[result_at(out_start, row$i, column$j)]);
#end
#end
    }
#for i in 0..4*ROWS4
#for j in 0..COLUMNS4
    if row$i < params.m && column$j < vectors(params.n) {
        out[out_start + row$i * params.rows.z + column$j] = pack_result(c$(i)_$j);
    }
#end
#end
}
