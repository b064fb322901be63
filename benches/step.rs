//! One training step of a real checkpoint: seconds, processor seconds, and the time of each kernel.
//!
//! `cargo bench --bench step -- MODEL [SIDE]` with a checkpoint (a file or a diffusers folder) and the picture's side in
//! pixels, 256 if absent.

use std::{collections::BTreeMap, path::Path, time::Instant};

use anyhow::{Context, Result};
use lora_wgpu::{
    config::LoraTarget,
    diffusion::Prediction,
    gpu::{Gpu, GpuOptions, KernelTime},
    models::{UNet, UNetConfig},
    nn::{Builder, upload},
    tape::Checkpointing,
    train::{
        lora::{Lora, is_target},
        step::{Batch, StepOptions, StepPlans, StepShape},
    },
    weights::Checkpoint,
};

#[path = "support/processor.rs"]
mod processor;

use processor::processor_seconds;

const RANK: usize = 16;
const TOKENS: usize = 77;
const REPEATS: usize = 3;

fn main() -> Result<()> {
    let arguments: Vec<String> = std::env::args().skip(1).filter(|argument| !argument.starts_with('-')).collect();
    let Some(model) = arguments.first() else {
        println!("skipped: give a checkpoint, as in `cargo bench --bench step -- MODEL [SIDE]`");
        return Ok(());
    };
    let side: usize = arguments.get(1).map_or(Ok(256), |text| text.parse()).context("SIDE is a number of pixels")?;
    let checkpoint = Checkpoint::open(Path::new(model), None)?;
    let gpu = Gpu::open(&GpuOptions { shader_checks: Some(false), ..Default::default() })?;
    println!("{} ({}), {:?} kernels", gpu.summary().name, gpu.summary().driver, gpu.caps().variant);
    let builder = Builder::new(&checkpoint.unet);
    let unet = UNet::new(&builder, UNetConfig::of(&checkpoint.unet)?);
    let built = builder.finish("U-Net")?;
    let modules = built.modules.iter().filter(|module| is_target(LoraTarget::Attention, &module.path)).cloned();
    let lora = Lora::new(modules.collect(), RANK, RANK as f32, gpu.caps().max_binding, false);
    let shape = StepShape { batch: 1, height: side / 8, width: side / 8, tokens: TOKENS };
    let options = StepOptions {
        prediction: Prediction::Epsilon,
        checkpointing: Checkpointing::Off,
        accumulate: false,
        observed: Vec::new(),
    };
    let plans = StepPlans::new(&gpu, &unet, &lora, shape, options)?;
    println!("weights {:.2} GB, activations {:.2} GB", built.bytes() as f64 * 1e-9, plans.bytes() as f64 * 1e-9);
    upload(&gpu, &built.uploads, |_| {})?;
    lora.initialize(&gpu, 0);
    let programs = plans.compile(&gpu)?;
    let batch = batch(&unet.config, shape);
    let timed = Instant::now();
    programs.run(&gpu, &batch)?;
    gpu.wait()?;
    println!(
        "first step {:.2} s, {} dispatches, {} kernels",
        timed.elapsed().as_secs_f64(),
        programs.step.dispatch_count(),
        gpu.kernel_count()
    );
    for _ in 0..REPEATS {
        let (start, processor) = (Instant::now(), processor_seconds());
        programs.run(&gpu, &batch)?;
        gpu.wait()?;
        let (wall, processor) = (start.elapsed().as_secs_f64(), processor_seconds() - processor);
        let rate = programs.step.flops() as f64 * 1e-9 / wall;
        println!("step {wall:.3} s, processor {processor:.2} s, {rate:.1} GFLOP/s");
    }
    report(&programs.step.profile(&gpu)?);
    Ok(())
}

fn batch(config: &UNetConfig, shape: StepShape) -> Batch {
    let pixels = shape.height * shape.width * 4;
    let wave = |count: usize, pace: f32| (0..count).map(|i| (i as f32 * pace).sin()).collect::<Vec<f32>>();
    Batch {
        latents: wave(pixels, 0.37),
        noise: wave(pixels, 1.91),
        timesteps: vec![500],
        context: wave(shape.tokens * config.cross_attention_dim, 0.73),
        weights: vec![1.0],
    }
}

/// One line per kernel, the most expensive first.
fn report(times: &[KernelTime]) {
    let mut kernels: BTreeMap<&str, (usize, f64, u64, u64)> = BTreeMap::new();
    for time in times {
        let sum = kernels.entry(&time.kernel).or_default();
        *sum = (sum.0 + 1, sum.1 + time.seconds, sum.2 + time.cost.flops, sum.3 + time.cost.bytes);
    }
    let total: f64 = times.iter().map(|time| time.seconds).sum();
    let mut rows: Vec<_> = kernels.into_iter().collect();
    rows.sort_by(|a, b| b.1.1.total_cmp(&a.1.1));
    println!("{:60} {:>6} {:>9} {:>6} {:>9} {:>8}", "kernel", "count", "ms", "share", "GFLOP/s", "GB/s");
    for (kernel, (count, seconds, flops, bytes)) in rows {
        let (gflops, gbytes) = (flops as f64 * 1e-9 / seconds, bytes as f64 * 1e-9 / seconds);
        let share = 100.0 * seconds / total;
        println!("{kernel:60} {count:>6} {:>9.1} {share:>5.1}% {gflops:>9.1} {gbytes:>8.2}", seconds * 1e3);
    }
}
