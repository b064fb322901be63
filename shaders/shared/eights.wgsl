// Rows loaded eight values at a time, for drivers that load lane by lane: there one load of 32 bytes costs little more
// than one of 16.

alias Eight = array<vec4<f32>, 2>;

// A lane's weights between eight values of K and 4·QUADS of N: block 2·q + h times values 4·h to 4·h + 3 of K gives
// the sums of quad q.
alias Blocks = array<mat4x4<f32>, 2 * QUADS>;

// The f32 values of four 64-bit words, lower halves first.
fn unpack8(words: vec4<u64>) -> Eight {
    let low = vec4<u32>(words);
    let high = vec4<u32>(words >> vec4<u32>(32u));
    return Eight(
        bitcast<vec4<f32>>(vec4<u32>(low.x, high.x, low.y, high.y)),
        bitcast<vec4<f32>>(vec4<u32>(low.z, high.z, low.w, high.w)),
    );
}

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
