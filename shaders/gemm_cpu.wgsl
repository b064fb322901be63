// C = scale · op(A) · op(B) + bias (+ C) (+ addend) for software drivers with subgroups of exactly eight lanes.
//
// op(A): (M, K), op(B): (K, N), C: (M, N), for every batch. Rows are strided; see shared/gemm.wgsl.
// A workgroup is one subgroup and computes ROWS × 32·QUADS results: each lane holds ROWS rows of QUADS adjacent
// vectors. A lane loads what no other lane loads, and values of A are shared by broadcasts from constant lanes: on these
// drivers a load costs one memory access per lane, and workgroup memory costs the same.
// Edges: loads are clamped to the last row or vector, stores are guarded. Where K is no multiple of 4, nt and nn want
// the columns of A from K up to the next multiple to be zero.
// Dispatch: (⌈N/(32·QUADS)⌉, ⌈M/ROWS⌉, batches).

#import shared/gemm.wgsl

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> source: array<SourceVec>; // A; nt, nn: (M, K); tn: (K, M)
@group(0) @binding(2) var<storage, read> weight: array<WeightVec>; // B; nt: (N, K); nn, tn: (K, N)
@group(0) @binding(3) var<storage, read> bias: array<vec4<f32>>; // (N/4), or anything
@group(0) @binding(4) var<storage, read> scale: array<f32>; // (1), or anything
@group(0) @binding(5) var<storage, read> addend: array<ResultQuad>; // (M, N/4), or anything
@group(0) @binding(6) var<storage, read_write> out: array<ResultQuad>; // (M, N/4)

// C = A · Bᵀ
@compute @workgroup_size(8)
fn nt(@builtin(workgroup_id) tile: vec3<u32>, @builtin(local_invocation_index) lane: u32) {
    let start = batch_start(tile.z);
    let row = ROWS * tile.y;
    let column = QUADS * (8u * tile.x + lane);
#for g in 0..ROWS/8
    let a$g = start.x + min(row + lane + $(8*g)u, params.m - 1u) * params.rows.x;
#end
#for j in 0..4*QUADS
    let b$j = start.y + min(4u * column + $(j)u, params.n - 1u) * params.rows.y;
#end
#for i in 0..ROWS*QUADS
    var sum$i = vec4<f32>();
#end
    for (var k = 0u; k < vectors(params.k); k += 2u) {
        let next = k + 1u < vectors(params.k);
        let along = in_panels(k, params.panel_stride);
#for g in 0..ROWS/8
        let own$g = source8(a$g + k, next);
#end
        let blocks = blocks_along_k(array<Eight, 4 * QUADS>(
#for j in 0..4*QUADS
            weight8(b$j + along, next),
#end
        ));
#include shared/broadcast_rows.wgsl
    }
#include shared/gemm_store_tile.wgsl
}

// C = A · B
@compute @workgroup_size(8)
fn nn(@builtin(workgroup_id) tile: vec3<u32>, @builtin(local_invocation_index) lane: u32) {
    let start = batch_start(tile.z);
    let row = ROWS * tile.y;
    let column = QUADS * (8u * tile.x + lane);
    let b = start.y + in_panels(min(column, vectors(params.n) - QUADS), params.panel_stride);
#for g in 0..ROWS/8
    let a$g = start.x + min(row + lane + $(8*g)u, params.m - 1u) * params.rows.x;
#end
#for i in 0..ROWS*QUADS
    var sum$i = vec4<f32>();
#end
    for (var k = 0u; k < vectors(params.k); k += 2u) {
        let next = k + 1u < vectors(params.k);
#for g in 0..ROWS/8
        let own$g = source8(a$g + k, next);
#end
        let blocks = blocks_along_n(array<array<vec4<f32>, QUADS>, 8>(
#for p in 0..8
            columns(b + min(4u * k + $(p)u, params.k - 1u) * params.rows.y),
#end
        ));
#include shared/broadcast_rows.wgsl
    }
#include shared/gemm_store_tile.wgsl
}

// C = Aᵀ · B: a lane loads eight of the tile's rows of one k.
@compute @workgroup_size(8)
fn tn(@builtin(workgroup_id) tile: vec3<u32>, @builtin(local_invocation_index) lane: u32) {
    let start = batch_start(tile.z);
    let row = ROWS * tile.y;
    let column = QUADS * (8u * tile.x + lane);
    let own_row = min(row / 4u + 2u * lane, (vectors(params.m) - 1u) / 2u * 2u);
    let next = own_row + 1u < vectors(params.m);
    let a = start.x + own_row;
    let b = start.y + min(column, vectors(params.n) - QUADS);
#for i in 0..ROWS*QUADS
    var sum$i = vec4<f32>();
#end
    for (var k = 0u; k < params.k; k += 4u) {
#for p in 0..4
        let k$p = min(k + $(p)u, params.k - 1u);
        let own$p = source8(a + k$p * params.rows.x, next);
        // Beyond the last k zero is added.
        let once$p = f32(k + $(p)u < params.k);
        let row$p = columns(b + k$p * params.rows.y);
#end
#for g in 0..ROWS/4
#for p in 0..4
        let s$(4*g+p) = once$p * subgroupBroadcast(own$p[$(g%2)], $(g/2)u);
#end
#for e in 0..4
#for q in 0..QUADS
        sum$(4*QUADS*g+QUADS*e+q) += s$(4*g)[$e] * row0[$q] + s$(4*g+1)[$e] * row1[$q]
            + s$(4*g+2)[$e] * row2[$q] + s$(4*g+3)[$e] * row3[$q];
#end
#end
#end
    }
#include shared/gemm_store_tile.wgsl
}
