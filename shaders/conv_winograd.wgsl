// A 3×3 convolution with stride 1 by Winograd's F(2×2, 3×3) (Lavin and Gray, arXiv 1509.09308): 16 products for four
// pixels instead of 36. The picture is cut into tiles of 2×2 results, each of which sees 4×4 sources:
//
//   filter    U = G·w·Gᵀ           for each pair of channels
//   source    V = Bᵀ·x·B           for each tile and source channel
//   result    out = Aᵀ·M·A + bias (+ addend)  for each tile and result channel, where M = Σ over source channels of V∘U
//
//   G = 1  0  0     Bᵀ = 1  0 -1  0     Aᵀ = 1  1  1  0
//       ½  ½  ½          0  1  1  0          0  1 -1 -1
//       ½ -½  ½          0 -1  1  0
//       0  0  1          0  1  0 -1
//
// Taps turned by 180° have the same U with its first and last rows, and columns, in each other's place: V and M are then
// stored in that order.
//
// w: (9, pairs of channels), U: (16, pairs), x and out: (B, H, W, channels), V: (16, T, K), M: (16, T, N); channels by
// vectors of four.
// Dispatch: flat, one invocation for each vector of a plane of U, of V, or of M.

#import shared/addend.wgsl
#import shared/index.wgsl

struct Params {
    count: u32, // vectors of a plane
    quads: u32, // vectors of a pixel
    height: u32, // H
    width: u32, // W
    first_row: u32, // rows of tiles of all images before those of this launch
    start: u32, // vectors of the picture that lie before its binding
    turned: u32, // whether the taps are turned by 180°
    has_addend: u32,
}

@group(0) @binding(0) var<uniform> params: Params;

@group(0) @binding(1) var<storage, read> weight: array<WeightVec>; // (9, count)
@group(0) @binding(2) var<storage, read_write> filters: array<vec4<f32>>; // (16, count)

@group(0) @binding(1) var<storage, read> picture: array<Quad>; // (B, H, W, quads)
@group(0) @binding(2) var<storage, read_write> sources: array<vec4<f32>>; // (16, count)

@group(0) @binding(1) var<storage, read> products: array<vec4<f32>>; // (16, count)
@group(0) @binding(2) var<storage, read> addend: array<Quad>; // as out, or anything
@group(0) @binding(3) var<storage, read_write> out: array<Quad>; // (B, H, W, quads)
@group(0) @binding(4) var<storage, read> bias: array<vec4<f32>>; // (quads)

// Where a tile lies: its image, and the row and column of its first result.
struct Tile {
    image: u32,
    row: u32,
    column: u32,
}

fn tile_at(index: u32) -> Tile {
    let across = (params.width + 1u) / 2u;
    let down = (params.height + 1u) / 2u;
    let row = params.first_row + index / across;
    return Tile(row / down, row % down * 2u, index % across * 2u);
}

fn pixel_at(image: u32, row: u32, column: u32) -> u32 {
    return ((image * params.height + row) * params.width + column) * params.quads - params.start;
}

@compute @workgroup_size(256)
fn filter_taps(
    @builtin(workgroup_id) workgroup: vec3<u32>,
    @builtin(num_workgroups) workgroups: vec3<u32>,
    @builtin(local_invocation_index) local: u32,
) {
    let i = flat_index(workgroup, workgroups, local);
    if i >= params.count {
        return;
    }
#for t in 0..9
    let w$t = weight4($(t)u * params.count + i);
#end
    // Rows of G·w.
#for c in 0..3
    let sum$c = 0.5 * (w$(c) + w$(6+c));
    let g0$c = w$c;
    let g1$c = sum$c + 0.5 * w$(3+c);
    let g2$c = sum$c - 0.5 * w$(3+c);
    let g3$c = w$(6+c);
#end
#for r in 0..4
    let half$r = 0.5 * (g$(r)0 + g$(r)2);
    filters[$(4*r)u * params.count + i] = g$(r)0;
    filters[$(4*r+1)u * params.count + i] = half$r + 0.5 * g$(r)1;
    filters[$(4*r+2)u * params.count + i] = half$r - 0.5 * g$(r)1;
    filters[$(4*r+3)u * params.count + i] = g$(r)2;
#end
}

fn turned(index: u32) -> u32 {
    return select(index, 3u - index, index % 3u == 0u);
}

// Where the vectors of a position of V or M begin.
fn plane(row: u32, column: u32) -> u32 {
    return params.count * select(4u * row + column, 4u * turned(row) + turned(column), params.turned == 1u);
}

// A pixel's vector, zero outside of the picture; a row or column before the first wraps to a large number.
fn source_at(tile: Tile, row: u32, column: u32, quad: u32) -> vec4<f32> {
    let inside = tile.row + row - 1u < params.height && tile.column + column - 1u < params.width;
    let at = pixel_at(tile.image, tile.row + row - 1u, tile.column + column - 1u) + quad;
    return select(vec4<f32>(), unpack4(picture[select(0u, at, inside)]), inside);
}

@compute @workgroup_size(256)
fn source(
    @builtin(workgroup_id) workgroup: vec3<u32>,
    @builtin(num_workgroups) workgroups: vec3<u32>,
    @builtin(local_invocation_index) local: u32,
) {
    let i = flat_index(workgroup, workgroups, local);
    if i >= params.count {
        return;
    }
    let tile = tile_at(i / params.quads);
    let quad = i % params.quads;
    // Rows of Bᵀ·x, column by column.
#for c in 0..4
#for r in 0..4
    let x$(r)$c = source_at(tile, $(r)u, $(c)u, quad);
#end
    let b0$c = x0$c - x2$c;
    let b1$c = x1$c + x2$c;
    let b2$c = x2$c - x1$c;
    let b3$c = x1$c - x3$c;
#end
#for r in 0..4
    sources[plane($(r)u, 0u) + i] = b$(r)0 - b$(r)2;
    sources[plane($(r)u, 1u) + i] = b$(r)1 + b$(r)2;
    sources[plane($(r)u, 2u) + i] = b$(r)2 - b$(r)1;
    sources[plane($(r)u, 3u) + i] = b$(r)1 - b$(r)3;
#end
}

fn store(tile: Tile, row: u32, column: u32, quad: u32, value: vec4<f32>) {
    if tile.row + row < params.height && tile.column + column < params.width {
        let at = pixel_at(tile.image, tile.row + row, tile.column + column) + quad;
        out[at] = pack4(with_addend(value, at));
    }
}

@compute @workgroup_size(256)
fn result(
    @builtin(workgroup_id) workgroup: vec3<u32>,
    @builtin(num_workgroups) workgroups: vec3<u32>,
    @builtin(local_invocation_index) local: u32,
) {
    let i = flat_index(workgroup, workgroups, local);
    if i >= params.count {
        return;
    }
    let tile = tile_at(i / params.quads);
    let quad = i % params.quads;
    // Rows of Aᵀ·M, column by column.
#for c in 0..4
#for r in 0..4
    let m$(r)$c = products[plane($(r)u, $(c)u) + i];
#end
    let a0$c = m0$c + m1$c + m2$c;
    let a1$c = m1$c - m2$c - m3$c;
#end
    let added = bias4(quad);
#for r in 0..2
    store(tile, $(r)u, 0u, quad, a$(r)0 + a$(r)1 + a$(r)2 + added);
    store(tile, $(r)u, 1u, quad, a$(r)1 - a$(r)2 - a$(r)3 + added);
#end
}
