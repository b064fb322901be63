// C = scale · op(A) · op(B) + bias (+ C) for software drivers with subgroups of exactly eight lanes.
//
// op(A): (M, K), op(B): (K, N), C: (M, N), for every batch. Rows are strided; see shared/gemm.wgsl.
// A workgroup is one subgroup and computes 32 rows × 32 columns: each lane holds 32 rows of its own four columns. A lane
// loads what no other lane loads, and values of A are shared by broadcasts from constant lanes: on these drivers a load
// costs one memory access per lane, and workgroup memory costs the same.
// Edges: loads are clamped to the last row or vector, stores are guarded. Where K is no multiple of 4, nt and nn want
// the columns of A from K up to the next multiple to be zero.
// Dispatch: (⌈N/32⌉, ⌈M/32⌉, batches).

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
    let row = 32u * tile.y;
    let column = 8u * tile.x + lane;
#for g in 0..4
    let a$g = start.x + min(row + lane + $(8*g)u, params.m - 1u) * params.rows.x;
#end
#for j in 0..4
    let b$j = start.y + min(4u * column + $(j)u, params.n - 1u) * params.rows.y;
#end
#for i in 0..32
    var c$i = vec4<f32>();
#end
    for (var k = 0u; k < vectors(params.k); k++) {
#for g in 0..4
        let own$g = a[a$g + k];
#end
#for j in 0..4
        let w$j = weight4(b$j + k);
#end
        let x = vec4<f32>(w0.x, w1.x, w2.x, w3.x);
        let y = vec4<f32>(w0.y, w1.y, w2.y, w3.y);
        let z = vec4<f32>(w0.z, w1.z, w2.z, w3.z);
        let w = vec4<f32>(w0.w, w1.w, w2.w, w3.w);
#for i in 0..32
        let s$i = subgroupBroadcast(own$(i/8), $(i%8)u);
        c$i = c$i + s$i.x * x + s$i.y * y + s$i.z * z + s$i.w * w;
#end
    }
#for i in 0..32
    store(row + $(i)u, column, start.z, c$i);
#end
}

// C = A · B
@compute @workgroup_size(8)
fn nn(@builtin(workgroup_id) tile: vec3<u32>, @builtin(local_invocation_index) lane: u32) {
    let start = batch_start(tile.z);
    let row = 32u * tile.y;
    let column = 8u * tile.x + lane;
#for g in 0..4
    let a$g = start.x + min(row + lane + $(8*g)u, params.m - 1u) * params.rows.x;
#end
    let b = start.y + min(column, vectors(params.n) - 1u);
#for i in 0..32
    var c$i = vec4<f32>();
#end
    for (var k = 0u; k < vectors(params.k); k++) {
#for g in 0..4
        let own$g = a[a$g + k];
#end
        let x = weight4(b + min(4u * k, params.k - 1u) * params.rows.y);
        let y = weight4(b + min(4u * k + 1u, params.k - 1u) * params.rows.y);
        let z = weight4(b + min(4u * k + 2u, params.k - 1u) * params.rows.y);
        let w = weight4(b + min(4u * k + 3u, params.k - 1u) * params.rows.y);
#for i in 0..32
        let s$i = subgroupBroadcast(own$(i/8), $(i%8)u);
        c$i = c$i + s$i.x * x + s$i.y * y + s$i.z * z + s$i.w * w;
#end
    }
#for i in 0..32
    store(row + $(i)u, column, start.z, c$i);
#end
}

// C = Aᵀ · B: the eight lanes load the tile's 32 rows of one k.
@compute @workgroup_size(8)
fn tn(@builtin(workgroup_id) tile: vec3<u32>, @builtin(local_invocation_index) lane: u32) {
    let start = batch_start(tile.z);
    let row = 32u * tile.y;
    let column = 8u * tile.x + lane;
    let a0 = start.x + min(8u * tile.y + lane, vectors(params.m) - 1u);
    let b = start.y + min(column, vectors(params.n) - 1u);
#for i in 0..32
    var c$i = vec4<f32>();
#end
    for (var k = 0u; k < params.k; k++) {
        let own = a[a0 + k * params.rows.x];
        let x = weight4(b + k * params.rows.y);
#for g in 0..8
        let s$g = subgroupBroadcast(own, $(g)u);
        c$(4*g) = c$(4*g) + s$g.x * x;
        c$(4*g+1) = c$(4*g+1) + s$g.y * x;
        c$(4*g+2) = c$(4*g+2) + s$g.z * x;
        c$(4*g+3) = c$(4*g+3) + s$g.w * x;
#end
    }
#for i in 0..32
    store(row + $(i)u, column, start.z, c$i);
#end
}
