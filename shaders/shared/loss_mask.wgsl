// A pixel counts as much as the mask says. The including kernel declares `const MASK_BINDING: u32`, the mask's binding,
// and params.per_pixel.

@group(0) @binding($MASK_BINDING) var<storage, read> mask: array<f32>; // (B, H, W), of vector `at` its pixel's

fn masked(value: vec4<f32>, at: u32) -> vec4<f32> {
    return mask[at / params.per_pixel] * value;
}
