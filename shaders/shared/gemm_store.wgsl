// The last step of a GEMM kernel that holds four columns of a row: scale, bias, accumulation, guarded store.
// The shader declares `bias` as an array of vectors, `addend` and `out` of `ResultQuad`.

fn store(row: u32, column: u32, start: u32, sum: vec4<f32>) {
    if row >= params.m || column >= vectors(params.n) {
        return;
    }
    let at = start + row * params.rows.z + column;
    var value = factor() * sum;
    if params.has_bias != 0u {
        value += bias[column];
    }
    if params.accumulate != 0u {
        value += unpack_result(out[at]);
    }
    if params.has_addend != 0u {
        value += unpack_result(addend[at]);
    }
    out[at] = pack_result(value);
}
