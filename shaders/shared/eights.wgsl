// A tile's weights from rows loaded eight values at a time.

#import shared/eight.wgsl

// A lane's weights between eight values of K and 4·QUADS of N: block 2·q + h times values 4·h to 4·h + 3 of K gives
// the sums of quad q.
alias Blocks = array<mat4x4<f32>, 2 * QUADS>;

// From the weights of 4·QUADS values of N, each along K.
fn blocks_along_k(rows: array<Eight, 4 * QUADS>) -> Blocks {
    return Blocks(
#for q in 0..QUADS
#for h in 0..2
        transpose(mat4x4<f32>(rows[$(4*q)][$h], rows[$(4*q+1)][$h], rows[$(4*q+2)][$h], rows[$(4*q+3)][$h])),
#end
#end
    );
}

// From the weights of eight values of K, each along N.
fn blocks_along_n(rows: array<array<vec4<f32>, QUADS>, 8>) -> Blocks {
    return Blocks(
#for q in 0..QUADS
#for h in 0..2
        mat4x4<f32>(rows[$(4*h)][$q], rows[$(4*h+1)][$q], rows[$(4*h+2)][$q], rows[$(4*h+3)][$q]),
#end
#end
    );
}
