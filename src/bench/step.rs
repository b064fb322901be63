//! Measuring a training step.

use std::time::Instant;

use anyhow::Result;

use crate::{
    config::AdamW,
    gpu::{Gpu, KernelTime},
    models::{UNet, UNetConfig},
    nn::{Builder, Module},
    tape::Program,
    train::{
        lora::{Lora, is_target},
        memory_plan::MemoryPlan,
        step::{Batch, StepPlans, StepPrograms, UpdateSettings, first_loss_scale},
    },
    weights::{PartTensors, StorageType},
};

use super::{
    peaks, processor_seconds,
    report::{Family, Report, Timing, median},
    workload::Workload,
};

const SETTINGS: UpdateSettings = UpdateSettings {
    adamw: AdamW { betas: (0.9, 0.999), weight_decay: 0.01, eps: 1e-8 },
    learning_rate: 1e-4,
    max_grad_norm: 1.0,
    step: 1,
};

/// How often the commands of a step are encoded for the median, some milliseconds each.
const ENCODINGS: usize = 15;

/// Times `repeats` updates and forward passes of `workload` in a U-Net of the given widths, after one of each that is
/// not counted.
///
/// # Errors
/// Sizes that the device cannot hold, or a failure of the device.
pub fn measure(gpu: &Gpu, config: &UNetConfig, workload: &Workload, repeats: usize) -> Result<Report> {
    let peaks = peaks::measure(gpu)?;
    let weights = generated(config, workload.weights);
    let builder = Builder::new(&weights);
    let unet = UNet::new(&builder, config.clone());
    let built = builder.finish("U-Net")?;
    let lora = lora(gpu, &built.modules, workload);
    let plans = StepPlans::new(gpu, &unet, &lora, workload.shape(), workload.options())?;
    let memory = MemoryPlan::new(&built, &lora, &plans, None);
    built.upload(gpu, |_| {})?;
    lora.initialize(gpu, 0);
    let batch = workload.batch(config.cross_attention_dim);

    let start = Instant::now();
    let programs = plans.compile(gpu)?;
    let stepper = Stepper { gpu, programs: &programs, lora: &lora, batch: &batch, accumulation: workload.accumulation };
    stepper.update()?;
    let first_step = start.elapsed().as_secs_f64();
    programs.probe(gpu, &batch)?;
    let step = Timing::of(repeats, || stepper.update())?;
    let forward = Timing::of(repeats, || programs.probe(gpu, &batch).map(drop).map_err(Into::into))?;
    let encoding = |program: &Program| median(&mut [(); ENCODINGS].map(|()| program.encoding_seconds(gpu)));
    let times: Vec<KernelTime> = [programs.step.profile(gpu)?, programs.update.profile(gpu)?].concat();
    Ok(Report {
        device: gpu.summary().name.clone(),
        driver: gpu.summary().driver.clone(),
        kernels: gpu.caps().variant,
        peaks,
        memory,
        first_step_seconds: first_step,
        step,
        forward,
        encoding_seconds: encoding(&programs.step) + encoding(&programs.update),
        dispatches: programs.step.dispatch_count() + programs.update.dispatch_count(),
        pipelines: gpu.kernel_count(),
        flops: programs.step.flops() * workload.accumulation as u64,
        families: Family::group(&times),
    })
}

/// Small random numbers as the weights of a U-Net.
fn generated(config: &UNetConfig, dtype: StorageType) -> PartTensors {
    PartTensors::generated(Builder::tensors_of(|builder| drop(UNet::new(builder, config.clone()))), dtype)
}

fn lora(gpu: &Gpu, modules: &[Module], workload: &Workload) -> Lora {
    let modules = modules.iter().filter(|module| is_target(workload.target, &module.path)).cloned().collect();
    let accumulate = workload.accumulation > 1;
    Lora::new(modules, workload.rank, workload.rank as f32, gpu.caps().max_binding, accumulate)
        .with_loss_scale(first_loss_scale(workload.activations))
}

/// One optimizer update after another.
struct Stepper<'a> {
    gpu: &'a Gpu,
    programs: &'a StepPrograms,
    lora: &'a Lora,
    batch: &'a Batch,
    accumulation: usize,
}

impl Stepper<'_> {
    /// Runs one update to its end.
    fn update(&self) -> Result<()> {
        for _ in 0..self.accumulation {
            self.programs.run(self.gpu, self.batch)?;
        }
        let pending = self.programs.update(self.gpu, &SETTINGS);
        if self.programs.accumulates() {
            self.lora.clear_accumulated(self.gpu);
        }
        pending.wait(self.gpu)?;
        Ok(())
    }
}

impl Timing {
    fn of(repeats: usize, mut run: impl FnMut() -> Result<()>) -> Result<Self> {
        let (mut seconds, mut processor) = (Vec::with_capacity(repeats), Vec::with_capacity(repeats));
        for _ in 0..repeats {
            let (start, before) = (Instant::now(), processor_seconds());
            run()?;
            seconds.push(start.elapsed().as_secs_f64());
            processor.push(processor_seconds() - before);
        }
        let median_processor = median(&mut processor);
        Ok(Self { median_seconds: median(&mut seconds), processor_seconds: median_processor, seconds })
    }
}
