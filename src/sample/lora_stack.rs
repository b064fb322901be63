//! Several LoRAs as one: along the rank their matrices stand side by side, and each LoRA's strength is multiplied into
//! its columns of `up`, so that one program draws every strength.

use std::collections::BTreeMap;

use crate::{
    gpu::{Buffer, Gpu},
    nn::{Adapter, Adapters, LowRank, padded},
    tape::{DType, Tape},
    weights::lora::{LoraModule, Part, Site},
};

/// What several LoRAs have for one network, on the device.
pub struct LoraStack {
    modules: Vec<StackedModule>,
    scale: Buffer, // (1): one, as strengths and alphas are in `up`
}

struct StackedModule {
    path: String,
    in_features: usize,
    out_features: usize,
    /// Sum of the ranks, padded.
    rank: usize,
    /// Each with the index of its LoRA.
    parts: Vec<(usize, LoraModule)>,
    down: Buffer, // (rank, in)
    up: Buffer,   // (out, rank)
}

impl LoraStack {
    /// Stacks what `loras` have for `part`. Nothing is allocated yet; strengths count in the order of `loras`.
    pub fn new(part: Part, loras: &[Vec<LoraModule>]) -> Self {
        let mut by_path: BTreeMap<&str, Vec<(usize, LoraModule)>> = BTreeMap::new();
        for (index, modules) in loras.iter().enumerate() {
            for module in modules.iter().filter(|module| module.site.part == part) {
                by_path.entry(&module.site.path).or_default().push((index, module.clone()));
            }
        }
        let modules = by_path.into_values().map(StackedModule::new).collect();
        Self { modules, scale: Buffer::declare("LoRA scale", 4) }
    }

    /// Puts the stack onto a tape.
    pub fn record(&self, tape: &mut Tape) -> Adapters {
        let scale = tape.external("LoRA scale", &[1], DType::F32, &self.scale.whole());
        let record = |module: &StackedModule| {
            let StackedModule { path, in_features, out_features, rank, .. } = module;
            let mut matrix = |name: &str, shape: &[usize], buffer: &Buffer| {
                tape.external(&format!("{path}.{name}"), shape, DType::F32, &buffer.whole())
            };
            let down = matrix("lora_down", &[*rank, *in_features], &module.down);
            let up = matrix("lora_up", &[*out_features, *rank], &module.up);
            (path.clone(), Adapter::LowRank(LowRank { down, up, scale, dropped: None }))
        };
        self.modules.iter().map(record).collect()
    }

    /// Uploads what does not depend on strengths.
    pub fn upload(&self, gpu: &Gpu) {
        gpu.upload(&self.scale.whole(), bytemuck::cast_slice(&[1f32, 0.0, 0.0, 0.0]));
        for module in &self.modules {
            gpu.upload(&module.down.whole(), bytemuck::cast_slice(&module.stacked_down()));
        }
    }

    /// Sets the strength of each LoRA; any number, 0 is without.
    pub fn set_strengths(&self, gpu: &Gpu, strengths: &[f32]) {
        for module in &self.modules {
            gpu.upload(&module.up.whole(), bytemuck::cast_slice(&module.stacked_up(strengths)));
        }
    }
}

impl StackedModule {
    fn new(parts: Vec<(usize, LoraModule)>) -> Self {
        let Site { path, in_features, out_features, .. } = parts[0].1.site.clone();
        let rank = padded(parts.iter().map(|(_, module)| module.rank).sum());
        let declare = |name: &str, width: usize| Buffer::declare(format!("{path}.{name}"), 4 * (rank * width) as u64);
        let (down, up) = (declare("lora_down", in_features), declare("lora_up", out_features));
        Self { path, in_features, out_features, rank, parts, down, up }
    }

    /// (rank, in): rows of one LoRA after the other, then zeros.
    fn stacked_down(&self) -> Vec<f32> {
        let mut rows: Vec<f32> = self.parts.iter().flat_map(|(_, module)| &module.down).copied().collect();
        rows.resize(self.rank * self.in_features, 0.0);
        rows
    }

    /// (out, rank): columns of one LoRA after the other, times strength · alpha / rank, then zeros.
    fn stacked_up(&self, strengths: &[f32]) -> Vec<f32> {
        let mut stacked = vec![0.0; self.out_features * self.rank];
        let mut column = 0;
        for (lora, module) in &self.parts {
            let factor = strengths[*lora] * module.alpha / module.rank as f32;
            for (to, from) in stacked.chunks_exact_mut(self.rank).zip(module.up.chunks_exact(module.rank)) {
                to[column..].iter_mut().zip(from).for_each(|(to, from)| *to = factor * from);
            }
            column += module.rank;
        }
        stacked
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::weights::lora::SiteKind;

    fn module(rank: usize, alpha: f32, first: f32) -> LoraModule {
        let values = |count: usize| (0..count).map(|index| first + index as f32).collect();
        let (in_features, out_features) = (2, 3);
        let (down, up) = (values(rank * in_features), values(out_features * rank));
        LoraModule {
            site: Site { part: Part::Unet, path: "a".to_owned(), kind: SiteKind::Linear, in_features, out_features },
            rank,
            alpha,
            down,
            up,
        }
    }

    /// up · down of the stack is the weighted sum of every LoRA's own.
    #[test]
    fn a_stack_is_the_sum_of_its_loras() {
        let (one, two) = (module(1, 2.0, 1.0), module(2, 1.0, -3.0));
        let stack = LoraStack::new(Part::Unet, &[vec![one.clone()], vec![two.clone()]]);
        let stacked = &stack.modules[0];
        let (down, up) = (stacked.stacked_down(), stacked.stacked_up(&[0.5, -2.0]));
        for row in 0..3 {
            for column in 0..2 {
                let product = |up: &[f32], down: &[f32], rank: usize| -> f32 {
                    (0..rank).map(|r| up[row * rank + r] * down[r * 2 + column]).sum()
                };
                let expected = 0.5 * 2.0 * product(&one.up, &one.down, 1) - 2.0 * 0.5 * product(&two.up, &two.down, 2);
                assert_eq!(product(&up, &down, stacked.rank), expected);
            }
        }
    }
}
