//! LoHa: the product, element by element, of two products of matrices (Hyeon-Woo et al., "FedPara",
//! <https://arxiv.org/abs/2108.06098>), with LyCORIS' names and first values.

use crate::{adapters::store::TensorShape, diffusion::random::adapter_init, nn::Adapter, ops, weights::lora::Site};

use super::{OnTape, TensorSpec, factors::changed_weight};

/// Deviation of `hada_w1_a` at first.
const FIRST_DEVIATION: f32 = 0.1;

/// w1_a, w1_b, w2_a and w2_b; a convolution's kernel lies in the columns of `b`.
pub fn tensors(site: &Site, rank: usize) -> Vec<TensorSpec> {
    let (left, right) = ([site.out_features, rank], [rank, site.in_features * site.kind.taps()]);
    let spec = |name, shape: &[usize]| TensorSpec { name, shape: TensorShape::matrix(shape) };
    vec![spec("hada_w1_a", &left), spec("hada_w1_b", &right), spec("hada_w2_a", &left), spec("hada_w2_b", &right)]
}

/// Normal, but w2_a zero: the change begins at nothing.
pub fn initial(seed: u64, index: usize, site: &Site, rank: usize) -> Vec<Vec<f32>> {
    let values = |(number, spec): (usize, TensorSpec)| {
        let mut values = vec![0.0; spec.shape.elements()];
        if spec.name != "hada_w2_a" {
            adapter_init(seed, index as u32, number as u32).fill_normal(&mut values);
        }
        if spec.name == "hada_w1_a" {
            values.iter_mut().for_each(|value| *value *= FIRST_DEVIATION);
        }
        values
    };
    tensors(site, rank).into_iter().enumerate().map(values).collect()
}

/// ΔW = scale · (w1_a · w1_b) ⊙ (w2_a · w2_b)
pub fn record(module: &OnTape<'_>) -> Adapter {
    let &[w1_a, w1_b, w2_a, w2_b] = module.tensors else { panic!("a LoHa has four matrices") };
    changed_weight(module.site, module.scale, move |tape| {
        let (first, second) = (ops::matmul(tape, w1_a, w1_b), ops::matmul(tape, w2_a, w2_b));
        ops::multiply(tape, first, second)
    })
}
