//! The norm of all gradients, the factor that clips it, and whether they are finite.

use crate::{
    gpu::{
        Access::{Read, Write},
        Cost, KernelSpec,
    },
    tape::{Lowering, Op, Tape, Value},
};

const FILE: &str = "grad_norm.wgsl";

/// Workgroups of 256 invocations that keep a large GPU busy.
const MOST_WORKGROUPS: usize = 1024;

/// Workgroups of a sum over `vectors` vectors of four.
pub fn reduction_workgroups(vectors: usize) -> usize {
    vectors.div_ceil(1024).min(MOST_WORKGROUPS)
}

#[derive(Debug)]
struct GradNorm;

#[repr(C)]
#[derive(Clone, Copy, bytemuck::Pod, bytemuck::Zeroable)]
struct Params {
    count: u32,
    workgroups: u32,
    first: u32,
    partials: u32,
}

/// (4): the L2 norm of all `gradients` together, which are `loss_scale` times as large as they should be; the factor that
/// undoes this and clips them, min(1, `max_norm`/(norm + 1e-6))/`loss_scale` (as `torch.nn.utils.clip_grad_norm_`), or
/// only undoes it where `max_norm` (1) is 0; 1 where everything is finite, else 0; the scale. Of `loss_scale` the first
/// element counts.
///
/// Where something is not finite, so may be the norm, and the factor is 0.
///
/// # Panics
/// Where a gradient's size is no multiple of 4.
pub fn grad_norm(tape: &mut Tape, gradients: &[Value], max_norm: Value, loss_scale: Value) -> Value {
    assert_eq!(tape.shape(max_norm), [1], "grad_norm: shape of max_norm");
    for &gradient in gradients {
        let name = tape.name(gradient);
        assert_eq!(tape.elements(gradient) % 4, 0, "grad_norm: the size of {name} is no multiple of 4");
    }
    let mut inputs = vec![max_norm, loss_scale];
    inputs.extend(gradients);
    tape.push_one(GradNorm, &inputs, &[4])
}

impl Op for GradNorm {
    fn name(&self) -> &'static str {
        "grad_norm"
    }

    fn lower(&self, lowering: &mut Lowering<'_>) {
        let shards: Vec<Value> = (2..lowering.input_count()).map(|index| lowering.input(index)).collect();
        let counts: Vec<usize> = shards.iter().map(|&shard| lowering.elements(shard) / 4).collect();
        let workgroups: Vec<usize> = counts.iter().map(|&count| reduction_workgroups(count)).collect();
        let partials = workgroups.iter().sum::<usize>();
        let scratch = lowering.scratch("partials", &[partials, 2]);
        let kernel = KernelSpec::new(FILE, "measure", &[Read, Write]);
        let mut params = Params { count: 0, workgroups: 0, first: 0, partials: partials as u32 };
        for ((shard, count), workgroups) in shards.into_iter().zip(counts).zip(workgroups) {
            params = Params { count: count as u32, workgroups: workgroups as u32, ..params };
            let cost = Cost { flops: 8 * count as u64, bytes: 16 * count as u64 };
            lowering.launch(
                kernel.clone(),
                vec![shard.into(), scratch.into()],
                &params,
                [params.workgroups, 1, 1],
                cost,
            );
            params.first += params.workgroups;
        }
        let kernel = KernelSpec::new(FILE, "finish", &[Read, Read, Read, Write]);
        let [max_norm, loss_scale] = [0, 1].map(|index| lowering.input(index));
        let args = vec![scratch.into(), max_norm.into(), loss_scale.into(), lowering.output(0).into()];
        let cost = Cost { flops: 2 * partials as u64, bytes: 8 * partials as u64 };
        lowering.launch(kernel, args, &params, [1, 1, 1], cost);
    }
}
