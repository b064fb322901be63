// Matrices whose rows may be cut into panels; see src/ops/panels.rs.

// Where vector `q` of a row lies, counted from the row's first, when panels of 16 vectors begin `stride` vectors apart.
fn in_panels(q: u32, stride: u32) -> u32 {
    return q / 16u * stride + q % 16u;
}
