//! LoKr: a Kronecker product of a small matrix and a larger one, which may be a product itself (Yeh et al., "Navigating
//! Text-to-Image Customization", <https://arxiv.org/abs/2309.14859>), with LyCORIS' names, sizes and first values.

use crate::{
    adapters::store::TensorShape,
    diffusion::random::adapter_init,
    nn::Adapter,
    ops::{self, KronShape},
    weights::lora::Site,
};

use super::{OnTape, TensorSpec, factors::changed_weight};

/// `(l · k, m · n)`: w1 is (l, m), w2 (k, n) with the kernel behind.
fn sizes(site: &Site, factor: i32) -> KronShape {
    let ((l, k), (m, n)) = (factorization(site.out_features, factor), factorization(site.in_features, factor));
    KronShape { l, m, k, n, taps: site.kind.taps() }
}

/// LyCORIS' `factorization`: `factor` and what it leaves, the smaller first, where it divides `dimension`; else the pair
/// of divisors nearest to each other whose smaller one is at most `factor` (−1: of any size).
fn factorization(dimension: usize, factor: i32) -> (usize, usize) {
    let wanted = usize::try_from(factor).unwrap_or(dimension);
    if factor > 0 && dimension.is_multiple_of(wanted) {
        let other = dimension / wanted;
        return (wanted.min(other), wanted.max(other));
    }
    let small = (1..=wanted).take_while(|small| small * small <= dimension);
    let small = small.filter(|small| dimension.is_multiple_of(*small)).last().unwrap_or(1);
    (small, dimension / small)
}

/// Whether w2 stands whole: a product of this rank would not be smaller.
fn is_whole(shape: KronShape, rank: usize) -> bool {
    2 * rank >= shape.k.max(shape.n)
}

/// w1, and w2 or its two factors.
pub fn tensors(site: &Site, rank: usize, factor: i32) -> Vec<TensorSpec> {
    let shape @ KronShape { l, m, k, n, taps } = sizes(site, factor);
    let spec = |name, shape: &[usize]| TensorSpec { name, shape: TensorShape::matrix(shape) };
    let w1 = spec("lokr_w1", &[l, m]);
    if is_whole(shape, rank) {
        return vec![w1, spec("lokr_w2", &[&[k, n], site.kind.kernel()].concat())];
    }
    vec![w1, spec("lokr_w2_a", &[k, rank]), spec("lokr_w2_b", &[rank, n * taps])]
}

/// w1 and w2_a uniform as `kaiming_uniform` with a = √5 has it; w2, or w2_b, zero: the change begins at nothing.
pub fn initial(seed: u64, index: usize, site: &Site, rank: usize, factor: i32) -> Vec<Vec<f32>> {
    let values = |(number, spec): (usize, TensorSpec)| {
        let mut values = vec![0.0; spec.shape.elements()];
        if matches!(spec.name, "lokr_w1" | "lokr_w2_a") {
            adapter_init(seed, index as u32, number as u32).fill_kaiming(spec.shape.shape[1], &mut values);
        }
        values
    };
    tensors(site, rank, factor).into_iter().enumerate().map(values).collect()
}

/// Whether both factors stand whole.
pub fn is_whole_at(site: &Site, rank: usize, factor: i32) -> bool {
    is_whole(sizes(site, factor), rank)
}

/// alpha / rank; 1 where both factors stand whole, as LyCORIS and all readers have it.
pub fn factor_of_change(site: &Site, rank: usize, alpha: f32, factor: i32) -> f32 {
    if is_whole_at(site, rank, factor) { 1.0 } else { alpha / rank as f32 }
}

/// ΔW = scale · w1 ⊗ w2
pub fn record(module: &OnTape<'_>, factor: i32) -> Adapter {
    let shape = sizes(module.site, factor);
    let tensors = module.tensors.to_vec();
    changed_weight(module.site, module.scale, move |tape| {
        let w2 = match tensors[..] {
            [_, whole] => whole,
            [_, a, b] => ops::matmul(tape, a, b),
            _ => panic!("a LoKr has two or three matrices"),
        };
        ops::kron(tape, tensors[0], w2, shape)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Recorded from LyCORIS 4.1.3.
    #[test]
    fn dimensions_are_cut_as_lycoris_cuts_them() {
        for (dimension, factor, expected) in [
            (320, -1, (16, 20)),
            (640, -1, (20, 32)),
            (768, -1, (24, 32)),
            (1280, -1, (32, 40)),
            (320, 16, (16, 20)),
            (320, 4, (4, 80)),
            (320, 2, (2, 160)),
            (127, 8, (1, 127)),
            (5120, 16, (16, 320)),
        ] {
            assert_eq!(factorization(dimension, factor), expected, "{dimension}, {factor}");
        }
    }
}
