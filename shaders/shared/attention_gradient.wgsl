// What the flash kernels of attention's gradients share: the values that they read, and their streamed block.
//
// Scores are products of rows, q·k, and so is their gradient before the softmax, dp = d_out·v. One kernel owns the rows
// of q and d_out and streams those of k and v, the other one the other way round.

#import shared/attention.wgsl
#import shared/attention_tile.wgsl

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> q: array<Quad>; // (B, N, C)
@group(0) @binding(2) var<storage, read> k: array<Quad>; // (B, M, C)
@group(0) @binding(3) var<storage, read> v: array<Quad>; // (B, M, C)
@group(0) @binding(4) var<storage, read> d_out: array<Quad>; // (B, N, C)
@group(0) @binding(5) var<storage, read> lse: array<f32>; // (B, heads, N)
@group(0) @binding(6) var<storage, read> delta: array<f32>; // (B, heads, N)

const EXCHANGED: u32 = 2u;

// The streamed factor of the scores (q or k), and that of dp (d_out or v).
var<workgroup> score_tile: array<vec4<f32>, BLOCK>;
var<workgroup> dp_tile: array<vec4<f32>, BLOCK>;

fn put(i: u32, score_quad: Quad, dp_quad: Quad, inside: bool) {
    if i < BLOCK {
        score_tile[i] = select(vec4<f32>(), unpack4(score_quad), inside);
        dp_tile[i] = select(vec4<f32>(), unpack4(dp_quad), inside);
    }
}
