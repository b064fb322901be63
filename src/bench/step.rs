//! Measuring a training step.

use std::time::Instant;

use anyhow::Result;

use crate::{
    families::SD_V1,
    gpu::Gpu,
    models::{UNet, UNetConfig},
    nn::Builder,
    tape::Program,
    train::{
        engine::{MicroBatch, Programs},
        tasks::diffusion::{BatchWriter, MemoryPlan, Trained},
    },
    weights::{PartTensors, StorageType, lora::Part},
};

use super::{
    peaks, processor_seconds,
    report::{Family, Report, Timing, median},
    workload::Workload,
};

const LEARNING_RATE: f64 = 1e-4;
const MAX_GRAD_NORM: f64 = 1.0;

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
    let builder = Builder::adaptable(&weights, Part::Unet);
    let unet = UNet::new(&builder, config.clone());
    let built = builder.finish(SD_V1.name, "U-Net")?;
    let trained = workload.trained(gpu.caps().max_binding, &built.sites);
    let plans = trained.plan(gpu, (&unet, None), &[workload.shape()], &workload.options())?;
    let memory = MemoryPlan::new(built.bytes(), &trained, &plans, None);
    built.upload(gpu, |_| {})?;
    trained.load(gpu, &trained.adapters.initial(0, &|site| weights.matrix(site))?)?;
    let batch = workload.batch(config.cross_attention_dim);
    let batch = BatchWriter::new(&unet, workload.options().objective).micro_batch(&batch);

    let start = Instant::now();
    let (programs, _) = plans.compile(gpu)?;
    let stepper =
        Stepper { gpu, programs: &programs, trained: &trained, batch: &batch, accumulation: workload.accumulation };
    stepper.update()?;
    let first_step_seconds = start.elapsed().as_secs_f64();
    programs.probe(gpu, &batch)?;
    let step = Timing::of(repeats, || stepper.update())?;
    let forward = Timing::of(repeats, || programs.probe(gpu, &batch).map(drop).map_err(Into::into))?;
    let (step_program, update_program) = (programs.step(0), programs.update_program());
    Ok(Report {
        device: gpu.summary().name.clone(),
        driver: gpu.summary().driver.clone(),
        kernels: gpu.caps().variant,
        peaks,
        memory,
        first_step_seconds,
        step,
        forward,
        encoding_seconds: encoding_seconds(gpu, step_program) + encoding_seconds(gpu, update_program),
        dispatches: step_program.dispatch_count() + update_program.dispatch_count(),
        pipelines: gpu.kernel_count(),
        flops: step_program.flops() * workload.accumulation as u64,
        families: Family::group(&[step_program.profile(gpu)?, update_program.profile(gpu)?].concat()),
    })
}

/// CPU time of recording a program's launches.
fn encoding_seconds(gpu: &Gpu, program: &Program) -> f64 {
    median(&mut [(); ENCODINGS].map(|()| program.encoding_seconds(gpu)))
}

/// Small random numbers as the weights of a U-Net.
fn generated(config: &UNetConfig, dtype: StorageType) -> PartTensors {
    PartTensors::generated(Builder::tensors_of(|builder| drop(UNet::new(builder, config.clone()))), dtype)
}

/// One optimizer update after another.
struct Stepper<'a> {
    gpu: &'a Gpu,
    programs: &'a Programs,
    trained: &'a Trained,
    batch: &'a MicroBatch,
    accumulation: usize,
}

impl Stepper<'_> {
    /// Runs one update to its end.
    fn update(&self) -> Result<()> {
        for _ in 0..self.accumulation {
            self.programs.run(self.gpu, self.batch)?;
        }
        let numbers = self.trained.update_numbers(1, &[LEARNING_RATE], MAX_GRAD_NORM);
        self.programs.update(self.gpu, &self.trained.adapters.store, &numbers).wait(self.gpu)?;
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
