// C = scale · op(A) · op(B) + bias (+ C) (+ addend), register-tiled, within WebGPU's default limits.
//
// op(A): (M, K), op(B): (K, N), C: (M, N), for every batch. Rows are strided; see shared/gemm.wgsl.
// A workgroup of LANES_N × LANES_M invocations computes TILE_M × TILE_N elements, an invocation 4·ROWS4 × 4·COLUMNS4 of
// them. Tiles of A and B pass through workgroup memory sixteen k at a time, read from the device as blocks of four by
// four so that whichever dimension is contiguous is read as vectors.
// Edges: loads outside give zero, stores are guarded. Where K is no multiple of 4, columns from K up to the next multiple
// must be zero in an A along k.
// Long sums are cut into slices of k that different workgroups add up; gemm_reduce.wgsl then sums the slices.
// Dispatch: (⌈N/TILE_N⌉, ⌈M/TILE_M⌉, batches · slices).

#import shared/gemm.wgsl
#import shared/gemm_store.wgsl

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> a: array<Quad>; // A_ALONG_K: (M, K/4), else (K, M/4)
@group(0) @binding(2) var<storage, read> weight: array<WeightVec>; // B_ALONG_K: (N, K/4), else (K, N/4)
@group(0) @binding(3) var<storage, read> bias: array<vec4<f32>>; // (N/4), or anything
@group(0) @binding(4) var<storage, read> scale: array<f32>; // (1), or anything
@group(0) @binding(5) var<storage, read> addend: array<ResultQuad>; // (M, N/4), or anything
@group(0) @binding(6) var<storage, read_write> out: array<ResultQuad>; // (M, N/4), or (slices, M, N/4)

const TILE_K: u32 = 16u;
const TILE_M4: u32 = ROWS4 * LANES_M;
const TILE_N4: u32 = COLUMNS4 * LANES_N;
const WORKGROUP: u32 = LANES_M * LANES_N;

var<workgroup> a_tile: array<vec4<f32>, TILE_K * TILE_M4>; // (k, m/4)
var<workgroup> b_tile: array<vec4<f32>, TILE_K * TILE_N4>; // (k, n/4)

// Row and vector, in memory, of line i of a block that starts at 4·across in M or N and at 4·k4 in K.
fn line(along_k: bool, across: u32, k4: u32, i: u32) -> vec2<u32> {
    return select(vec2<u32>(4u * k4 + i, across), vec2<u32>(4u * across + i, k4), along_k);
}

// Whether that line lies within `across_end` in M or N and within `k_end` in K.
fn inside(along_k: bool, at: vec2<u32>, across_end: u32, k_end: u32) -> bool {
    let end = select(vec2<u32>(k_end, vectors(across_end)), vec2<u32>(across_end, vectors(k_end)), along_k);
    return all(at < end);
}

// Lines of the answer are four consecutive k, of four consecutive m each.
fn load_a(start: u32, m4: u32, k4: u32, k_end: u32) -> mat4x4<f32> {
    let along_k = A_ALONG_K != 0u;
    var block = mat4x4<f32>();
#for i in 0..4
    let at$i = line(along_k, m4, k4, $(i)u);
    if inside(along_k, at$i, params.m, k_end) {
        block[$i] = unpack4(a[start + at$i.x * params.rows.x + at$i.y]);
    }
#end
    if along_k {
        return transpose(block);
    }
    return block;
}

// Lines of the answer are four consecutive k, of four consecutive n each.
fn load_b(start: u32, n4: u32, k4: u32, k_end: u32) -> mat4x4<f32> {
    let along_k = B_ALONG_K != 0u;
    var block = mat4x4<f32>();
#for i in 0..4
    let at$i = line(along_k, n4, k4, $(i)u);
    if inside(along_k, at$i, params.n, k_end) {
        block[$i] = weight4(start + at$i.x * params.rows.y + in_panels(at$i.y, params.panel_stride));
    }
#end
    if along_k {
        return transpose(block);
    }
    return block;
}

fn fill_tiles(start: vec3<u32>, tile: vec3<u32>, local: u32, k: u32, k_end: u32) {
    for (var i = local; i < TILE_M4 * TILE_K / 4u; i += WORKGROUP) {
        let across = select(i % TILE_M4, i / (TILE_K / 4u), A_ALONG_K != 0u);
        let k4 = select(i / TILE_M4, i % (TILE_K / 4u), A_ALONG_K != 0u);
        let block = load_a(start.x, TILE_M4 * tile.y + across, k / 4u + k4, k_end);
#for j in 0..4
        a_tile[(4u * k4 + $(j)u) * TILE_M4 + across] = block[$j];
#end
    }
    for (var i = local; i < TILE_N4 * TILE_K / 4u; i += WORKGROUP) {
        let across = select(i % TILE_N4, i / (TILE_K / 4u), B_ALONG_K != 0u);
        let k4 = select(i / TILE_N4, i % (TILE_K / 4u), B_ALONG_K != 0u);
        let block = load_b(start.y, TILE_N4 * tile.x + across, k / 4u + k4, k_end);
#for j in 0..4
        b_tile[(4u * k4 + $(j)u) * TILE_N4 + across] = block[$j];
#end
    }
}

@compute @workgroup_size(WORKGROUP)
fn multiply(@builtin(workgroup_id) tile: vec3<u32>, @builtin(local_invocation_index) local: u32) {
    let start = batch_start(tile.z / params.slices);
    let slice = tile.z % params.slices;
    let k_end = min((slice + 1u) * params.slice_k, params.k);
    let lane_n = local % LANES_N;
    let lane_m = local / LANES_N;
#for i in 0..4*ROWS4
#for j in 0..COLUMNS4
    var c$(i)_$j = vec4<f32>();
#end
#end
    for (var k = slice * params.slice_k; k < k_end; k += TILE_K) {
        fill_tiles(start, tile, local, k, k_end);
        workgroupBarrier();
        for (var i = 0u; i < TILE_K; i++) {
#for r in 0..ROWS4
            let a$r = a_tile[i * TILE_M4 + $(r)u * LANES_M + lane_m];
#end
#for j in 0..COLUMNS4
            let b$j = b_tile[i * TILE_N4 + $(j)u * LANES_N + lane_n];
#end
#for r in 0..4*ROWS4
#for j in 0..COLUMNS4
            c$(r)_$j += a$(r/4)[$(r%4)] * b$j;
#end
#end
        }
        workgroupBarrier();
    }
    let row = 4u * (TILE_M4 * tile.y + lane_m);
    let column = TILE_N4 * tile.x + lane_n;
    let out_start = start.z + slice * params.slice_stride;
#for i in 0..4*ROWS4
#for j in 0..COLUMNS4
    store(row + 4u * $(i/4)u * LANES_M + $(i%4)u, column + $(j)u * LANES_N, out_start, c$(i)_$j);
#end
#end
}
