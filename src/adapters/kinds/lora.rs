//! LoRA: two matrices whose product is added to the weight.

use crate::{
    adapters::store::TensorShape,
    diffusion::random::adapter_init,
    nn::{Adapter, LowRank},
    weights::lora::{DOWN, Site, UP},
};

use super::{OnTape, TensorSpec};

/// `down` and `up`; a convolution's kernel lies in `down`.
pub fn tensors(site: &Site, rank: usize) -> Vec<TensorSpec> {
    let down = [&[rank, site.in_features], site.kind.kernel()].concat();
    let up = [&[site.out_features, rank], site.kind.ones()].concat();
    vec![
        TensorSpec { name: DOWN, shape: TensorShape::matrix(&down) },
        TensorSpec { name: UP, shape: TensorShape::matrix(&up) },
    ]
}

/// kohya's: `down` uniform as `kaiming_uniform` with a = √5 has it, `up` zero.
pub fn initial(seed: u64, index: usize, site: &Site, rank: usize) -> Vec<Vec<f32>> {
    let inputs = site.in_features * site.kind.taps();
    let mut down = vec![0.0; rank * inputs];
    adapter_init(seed, index as u32, 0).fill_kaiming(inputs, &mut down);
    vec![down, vec![0.0; rank * site.out_features]]
}

/// ΔW = scale · up · down
pub fn record(module: &OnTape<'_>) -> Adapter {
    let &[down, up] = module.tensors else { panic!("a LoRA has two matrices") };
    Adapter::LowRank(LowRank { down, up, scale: module.scale, dropped: module.dropped })
}
