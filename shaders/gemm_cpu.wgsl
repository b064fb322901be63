// C = scale · op(A) · op(B) + bias (+ C) for software drivers with subgroups of exactly eight lanes.
//
// op(A): (M, K), op(B): (K, N), C: (M, N), for every batch. Rows are strided; see shared/gemm.wgsl.
// A workgroup is one subgroup and computes ROWS × 32·QUADS results: each lane holds ROWS rows of QUADS times four
// columns. A lane loads what no other lane loads, and values of A are shared by broadcasts from constant lanes: on these
// drivers a load costs one memory access per lane, and workgroup memory costs the same.
// Edges: loads are clamped to the last row or vector, stores are guarded. Where K is no multiple of 4, nt and nn want
// the columns of A from K up to the next multiple to be zero.
// Dispatch: (⌈N/(32·QUADS)⌉, ⌈M/ROWS⌉, batches).

#import shared/gemm.wgsl
#import shared/gemm_store.wgsl

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> a: array<vec4<f32>>; // nt, nn: (M, K/4); tn: (K, M/4)
@group(0) @binding(2) var<storage, read> weight: array<WeightVec>; // nt: (N, K/4); nn, tn: (K, N/4)
@group(0) @binding(3) var<storage, read> bias: array<vec4<f32>>; // (N/4), or anything
@group(0) @binding(4) var<storage, read> scale: array<f32>; // (1), or anything
@group(0) @binding(5) var<storage, read_write> out: array<vec4<f32>>; // (M, N/4)

// C = A · Bᵀ
@compute @workgroup_size(8)
fn nt(@builtin(workgroup_id) tile: vec3<u32>, @builtin(local_invocation_index) lane: u32) {
    let start = batch_start(tile.z);
    let row = ROWS * tile.y;
    let column = 8u * QUADS * tile.x + lane;
#for g in 0..ROWS/8
    let a$g = start.x + min(row + lane + $(8*g)u, params.m - 1u) * params.rows.x;
#end
#for q in 0..QUADS
#for j in 0..4
    let b$(4*q+j) = start.y + min(4u * (column + $(8*q)u) + $(j)u, params.n - 1u) * params.rows.y;
#end
#for i in 0..ROWS
    var c$(32*q+i) = vec4<f32>();
#end
#end
    for (var k = 0u; k < vectors(params.k); k++) {
#for g in 0..ROWS/8
        let own$g = a[a$g + k];
#end
#for q in 0..QUADS
#for j in 0..4
        let w$(4*q+j) = weight4(b$(4*q+j) + k);
#end
        let x$q = vec4<f32>(w$(4*q).x, w$(4*q+1).x, w$(4*q+2).x, w$(4*q+3).x);
        let y$q = vec4<f32>(w$(4*q).y, w$(4*q+1).y, w$(4*q+2).y, w$(4*q+3).y);
        let z$q = vec4<f32>(w$(4*q).z, w$(4*q+1).z, w$(4*q+2).z, w$(4*q+3).z);
        let w_$q = vec4<f32>(w$(4*q).w, w$(4*q+1).w, w$(4*q+2).w, w$(4*q+3).w);
#end
#for i in 0..ROWS
        let s$i = subgroupBroadcast(own$(i/8), $(i%8)u);
#for q in 0..QUADS
        c$(32*q+i) = c$(32*q+i) + s$i.x * x$q + s$i.y * y$q + s$i.z * z$q + s$i.w * w_$q;
#end
#end
    }
#for q in 0..QUADS
#for i in 0..ROWS
    store(row + $(i)u, column + $(8*q)u, start.z, c$(32*q+i));
#end
#end
}

// C = A · B
@compute @workgroup_size(8)
fn nn(@builtin(workgroup_id) tile: vec3<u32>, @builtin(local_invocation_index) lane: u32) {
    let start = batch_start(tile.z);
    let row = ROWS * tile.y;
    let column = 8u * QUADS * tile.x + lane;
#for g in 0..ROWS/8
    let a$g = start.x + min(row + lane + $(8*g)u, params.m - 1u) * params.rows.x;
#end
#for q in 0..QUADS
    let b$q = start.y + min(column + $(8*q)u, vectors(params.n) - 1u);
#for i in 0..ROWS
    var c$(32*q+i) = vec4<f32>();
#end
#end
    for (var k = 0u; k < vectors(params.k); k++) {
#for g in 0..ROWS/8
        let own$g = a[a$g + k];
#end
#for j in 0..4
        let r$j = min(4u * k + $(j)u, params.k - 1u) * params.rows.y;
#end
#for q in 0..QUADS
        let x$q = weight4(b$q + r0);
        let y$q = weight4(b$q + r1);
        let z$q = weight4(b$q + r2);
        let w_$q = weight4(b$q + r3);
#end
#for i in 0..ROWS
        let s$i = subgroupBroadcast(own$(i/8), $(i%8)u);
#for q in 0..QUADS
        c$(32*q+i) = c$(32*q+i) + s$i.x * x$q + s$i.y * y$q + s$i.z * z$q + s$i.w * w_$q;
#end
#end
    }
#for q in 0..QUADS
#for i in 0..ROWS
    store(row + $(i)u, column + $(8*q)u, start.z, c$(32*q+i));
#end
#end
}

// C = Aᵀ · B: the lanes load the tile's ROWS rows of one k, four each.
@compute @workgroup_size(8)
fn tn(@builtin(workgroup_id) tile: vec3<u32>, @builtin(local_invocation_index) lane: u32) {
    let start = batch_start(tile.z);
    let row = ROWS * tile.y;
    let column = 8u * QUADS * tile.x + lane;
    let a0 = start.x + min(row / 4u + lane, vectors(params.m) - 1u);
#for q in 0..QUADS
    let b$q = start.y + min(column + $(8*q)u, vectors(params.n) - 1u);
#for i in 0..ROWS
    var c$(32*q+i) = vec4<f32>();
#end
#end
    for (var k = 0u; k < params.k; k++) {
        let own = a[a0 + k * params.rows.x];
#for q in 0..QUADS
        let x$q = weight4(b$q + k * params.rows.y);
#end
#for g in 0..ROWS/4
        let s$g = subgroupBroadcast(own, $(g)u);
#for q in 0..QUADS
        c$(32*q+4*g) = c$(32*q+4*g) + s$g.x * x$q;
        c$(32*q+4*g+1) = c$(32*q+4*g+1) + s$g.y * x$q;
        c$(32*q+4*g+2) = c$(32*q+4*g+2) + s$g.z * x$q;
        c$(32*q+4*g+3) = c$(32*q+4*g+3) + s$g.w * x$q;
#end
#end
    }
#for q in 0..QUADS
#for i in 0..ROWS
    store(row + $(i)u, column + $(8*q)u, start.z, c$(32*q+i));
#end
#end
}
