//! DoRA: a LoRA of which only the direction counts, and a magnitude that is trained beside it (Liu et al.,
//! <https://arxiv.org/abs/2402.09353>), with LyCORIS' names.

use std::rc::Rc;

use crate::{
    adapters::store::TensorShape,
    nn::Adapter,
    ops::{self, DoraAxis, DoraShape},
    weights::lora::{MAGNITUDE, Site},
};

use super::{OnTape, TensorSpec, factors::as_layer_has_it, lora};

/// A LoRA's matrices and the magnitudes: (out, 1) or (1, in), with a kernel's axes behind.
pub fn tensors(site: &Site, rank: usize, axis: DoraAxis) -> Vec<TensorSpec> {
    let magnitudes = match axis {
        DoraAxis::Out => [site.out_features, 1],
        DoraAxis::In => [1, site.in_features],
    };
    let shape = [&magnitudes, site.kind.ones()].concat();
    let mut tensors = lora::tensors(site, rank);
    tensors.push(TensorSpec { name: MAGNITUDE, shape: TensorShape::vector(&shape) });
    tensors
}

/// The norms of `weight`, (out, in · taps): where magnitudes begin.
pub fn norms(site: &Site, axis: DoraAxis, weight: &[f32]) -> Vec<f32> {
    let (columns, taps) = (weight.len() / site.out_features, site.kind.taps());
    let mut squares = vec![0f64; if axis == DoraAxis::Out { site.out_features } else { site.in_features }];
    for (index, value) in weight.iter().enumerate() {
        let group = if axis == DoraAxis::Out { index / columns } else { index % columns / taps };
        squares[group] += f64::from(*value).powi(2);
    }
    squares.into_iter().map(|square| square.sqrt() as f32).collect()
}

/// W' = magnitude ⊙ V / ‖V‖ with V = W + scale · up · down; at another strength than 1, W + strength · (W' − W), as
/// readers of files have it.
pub fn record(module: &OnTape<'_>, axis: DoraAxis, detached: bool) -> Adapter {
    let &[down, up, magnitude] = module.tensors else { panic!("a DoRA has two matrices and magnitudes") };
    let (kind, scale, blend) = (module.site.kind, module.scale, module.blend);
    let shape = DoraShape { axis, taps: kind.taps(), detached };
    Adapter::Weight(Rc::new(move |tape, frozen| {
        let change = ops::matmul(tape, up, down);
        let direction = ops::add_to_weight(tape, frozen, kind.taps(), change, scale);
        let mut weight = ops::dora(tape, direction, magnitude, shape);
        if let Some((minus_one, minus_strength)) = blend {
            // W − strength · (W − W')
            let difference = ops::add_to_weight(tape, frozen, kind.taps(), weight, minus_one);
            weight = ops::add_to_weight(tape, frozen, kind.taps(), difference, minus_strength);
        }
        as_layer_has_it(tape, kind, weight)
    }))
}
