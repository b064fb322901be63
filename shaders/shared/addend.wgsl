// What is added to results last, from the global `addend: array<Quad>`, which lies as the results do.
// The shader's parameters say whether there is any.

fn with_addend(sum: vec4<f32>, at: u32) -> vec4<f32> {
    if params.has_addend == 0u {
        return sum;
    }
    return sum + unpack4(addend[at]);
}
