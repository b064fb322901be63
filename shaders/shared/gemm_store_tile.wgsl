// Stores a tile of ROWS × QUADS vectors `sum0`, `sum1`, … from `row` and `column` on, as `gemm_store.wgsl` does one
// vector: what a lane needs for all of them is loaded once.
    let factor = factor();
#for q in 0..QUADS
    let inside$q = column + $(q)u < vectors(params.n);
    var added$q = vec4<f32>();
    if params.has_bias != 0u {
        added$q = bias[min(column + $(q)u, vectors(params.n) - 1u)];
    }
#end
#for i in 0..ROWS*QUADS
    if inside$(i%QUADS) && row + $(i/QUADS)u < params.m {
        let at = start.z + (row + $(i/QUADS)u) * params.rows.z + column + $(i%QUADS)u;
        var value = factor * sum$i + added$(i%QUADS);
        if params.accumulate != 0u {
            value += unpack_result(out[at]);
        }
        if params.has_addend != 0u {
            value += unpack_result(addend[at]);
        }
        out[at] = pack_result(value);
    }
#end
