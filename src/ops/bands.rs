//! Dispatch sizes, and cutting work into bands whose bindings a device allows.

/// Workgroups of 256 invocations that cover `invocations`, laid out in x, then y, as `shared/index.wgsl` expects.
pub fn flat_workgroups(invocations: usize) -> [u32; 3] {
    let count = invocations.div_ceil(256).max(1);
    let x = count.min(65_535);
    [x as u32, count.div_ceil(x) as u32, 1]
}
