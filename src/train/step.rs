//! The programs of a training run: one step, its update, accumulation, and the forward pass for probes.

use std::{cell::Cell, collections::HashSet};

use crate::{
    config::AdamW,
    diffusion::{LatentSize, Prediction},
    gpu::{Gpu, GpuError, KernelSpec, Pending},
    models::UNet,
    ops::{self, AdamWSettings, AdamWState, Loss, LossInputs},
    tape::{Checkpointing, DType, Plan, Program, Tape, Value, prepared_bytes, shared_bytes},
};

use super::{
    lora::{Lora, RecordedLora},
    objective::Objective,
};

/// Of Stable Diffusion v1.
const LATENT_CHANNELS: usize = 4;

/// As `torch.amp.GradScaler` begins, and after how many updates it tries a larger factor.
const FIRST_LOSS_SCALE: f32 = 65_536.0;
const LOSS_SCALE_INTERVAL: u32 = 2000;

/// What gradients are multiplied by at first, so that those of such activations are not too small for their type.
pub fn first_loss_scale(activations: DType) -> f32 {
    if activations == DType::F16 { FIRST_LOSS_SCALE } else { 1.0 }
}

/// Sizes that the programs are compiled for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct StepShape {
    pub batch: usize,
    /// Latent rows: an eighth of the picture's height.
    pub height: usize,
    /// Latent columns.
    pub width: usize,
    /// Tokens of a text embedding.
    pub tokens: usize,
}

impl StepShape {
    /// Size of a picture's latent.
    pub fn latent(&self) -> LatentSize {
        LatentSize { height: self.height, width: self.width, channels: LATENT_CHANNELS }
    }
}

/// What is recorded besides the sizes.
#[derive(Clone, Debug)]
pub struct StepOptions {
    pub objective: Objective,
    pub checkpointing: Checkpointing,
    /// Element type of the U-Net's activations and their gradients: F32 or F16.
    pub activations: DType,
    /// Several micro-batches make one update.
    pub accumulate: bool,
    /// Modules whose outputs are kept for reading, by diffusers path.
    pub observed: Vec<String>,
}

/// One micro-batch on the host. All tensors are channels last.
#[derive(Clone, Debug, Default)]
pub struct Batch {
    pub latents: Vec<f32>, // (B, H, W, 4), scaled
    pub noise: Vec<f32>,   // (B, H, W, 4)
    pub timesteps: Vec<usize>,
    pub context: Vec<f32>, // (B, tokens, D)
    /// Share of each sample in the loss; a padded sample has 0.
    pub weights: Vec<f32>,
    /// (B, H, W, 4): what x_t is made with, where the objective perturbs it; else empty.
    pub input_noise: Vec<f32>,
    /// Thresholds of the samples' losses, where the objective's loss has one; else empty.
    pub thresholds: Vec<f32>,
    /// (B, H, W): how much each pixel counts, where the objective is masked; else empty.
    pub masks: Vec<f32>,
}

/// Numbers of one optimizer update.
#[derive(Clone, Copy, Debug)]
pub struct UpdateSettings {
    pub adamw: AdamW,
    pub learning_rate: f64,
    /// 0: gradients are not clipped.
    pub max_grad_norm: f64,
    /// Counts updates from 1.
    pub step: u32,
}

/// Results of an update, on their way.
pub struct PendingUpdate {
    clip: Pending,
}

/// What an update found.
#[derive(Clone, Copy, Debug)]
pub struct UpdateResult {
    /// Norm over all gradients, before clipping.
    pub grad_norm: f64,
    /// Where false, nothing was updated.
    pub finite: bool,
    /// What the gradients were multiplied by while they were computed.
    pub loss_scale: f64,
}

/// The compiled programs. They share their memory slots: one runs at a time.
pub struct StepPrograms {
    pub step: Program,
    pub probe: Program,
    pub update: Program,
    accumulate: Option<Program>,
    objective: Objective,
    shape: StepShape,
    embedding_width: usize,
    /// Whether a step has been timed.
    paced: Cell<bool>,
}

/// The programs lowered and planned, before any memory is taken.
pub struct StepPlans {
    plans: Vec<Plan>,
    /// Of other programs that share the slots.
    guests: Vec<Plan>,
    options: StepOptions,
    shape: StepShape,
    embedding_width: usize,
}

impl StepPlans {
    /// Records and plans everything for one shape.
    ///
    /// # Errors
    /// A value too large for the device.
    pub fn new(gpu: &Gpu, unet: &UNet, lora: &Lora, shape: StepShape, options: StepOptions) -> Result<Self, GpuError> {
        let mut plans = vec![
            Plan::new("step", record_step(unet, lora, shape, &options), gpu.caps())?,
            Plan::new("probe", record_probe(unet, lora, shape, &options), gpu.caps())?,
            Plan::new("update", record_update(lora, options.activations), gpu.caps())?,
        ];
        if options.accumulate {
            plans.push(Plan::new("accumulate", record_accumulate(lora), gpu.caps())?);
        }
        let embedding_width = unet.config.block_out_channels[0];
        Ok(Self { plans, guests: Vec::new(), options, shape, embedding_width })
    }

    /// Lets other programs share the memory slots; each runs while the others do not.
    pub fn share_slots(&mut self, guests: Vec<Plan>) {
        self.guests.extend(guests);
    }

    /// Bytes of activations, gradients and scratch that the programs share, and of their inputs and outputs.
    pub fn bytes(&self) -> u64 {
        shared_bytes(self.all()) + self.all().map(Plan::kept_bytes).sum::<u64>()
    }

    /// Bytes of what the programs compute once from weights.
    pub fn prepared_bytes(&self) -> u64 {
        prepared_bytes(self.all())
    }

    fn all(&self) -> impl Iterator<Item = &Plan> {
        self.plans.iter().chain(&self.guests)
    }

    /// The kernels of all programs, those of the first launches first.
    pub fn kernels(&self) -> Vec<KernelSpec> {
        let mut known = HashSet::new();
        let specs = self.all().flat_map(Plan::launches).map(|launch| &launch.kernel);
        specs.filter(|&spec| known.insert(spec)).cloned().collect()
    }

    /// Names and shapes of what the step keeps for reading.
    pub fn kept_shapes(&self) -> Vec<(String, Vec<usize>)> {
        self.plans[0].kept_shapes()
    }

    /// Allocates and compiles.
    ///
    /// # Errors
    /// A failure of the device, above all too little memory.
    pub fn compile(self, gpu: &Gpu) -> Result<StepPrograms, GpuError> {
        Ok(self.compile_with_guests(gpu)?.0)
    }

    /// As [`StepPlans::compile`]; gives the programs that share the slots too.
    ///
    /// # Errors
    /// As [`StepPlans::compile`].
    pub fn compile_with_guests(self, gpu: &Gpu) -> Result<(StepPrograms, Vec<Program>), GpuError> {
        let own = self.plans.len();
        let mut programs = Program::build(gpu, self.plans.into_iter().chain(self.guests).collect())?;
        let guests = programs.split_off(own);
        let mut programs = programs.into_iter();
        let mut next = || programs.next().expect("a program for each plan");
        let step = StepPrograms {
            step: next(),
            probe: next(),
            update: next(),
            accumulate: programs.next(),
            objective: self.options.objective,
            shape: self.shape,
            embedding_width: self.embedding_width,
            paced: Cell::new(false),
        };
        Ok((step, guests))
    }
}

impl StepPrograms {
    pub fn shape(&self) -> StepShape {
        self.shape
    }

    /// Whether micro-batches are accumulated.
    pub fn accumulates(&self) -> bool {
        self.accumulate.is_some()
    }

    /// Runs forward and backward on one micro-batch, without waiting but for the first one; its gradients go into the
    /// LoRA's shards.
    ///
    /// # Errors
    /// A failure of the device.
    pub fn run(&self, gpu: &Gpu, batch: &Batch) -> Result<(), GpuError> {
        self.write(gpu, &self.step, batch);
        if !self.paced.replace(true) {
            // The first step is waited for, so that later ones are cut into submits of the right length.
            self.step.replay_timed(gpu)?;
        } else {
            self.step.replay(gpu);
        }
        if let Some(accumulate) = &self.accumulate {
            accumulate.replay(gpu);
        }
        Ok(())
    }

    /// The weighted loss of one batch, without gradients.
    ///
    /// # Errors
    /// A failure of the device.
    pub fn probe(&self, gpu: &Gpu, batch: &Batch) -> Result<f64, GpuError> {
        self.write(gpu, &self.probe, batch);
        self.probe.replay(gpu);
        Ok(f64::from(self.probe.read(gpu, "loss")?[0]))
    }

    /// Runs a batch once more, dispatch by dispatch, and names the first that writes a value that is not finite.
    ///
    /// # Errors
    /// A failure of the device.
    pub fn first_non_finite(&self, gpu: &Gpu, batch: &Batch) -> Result<Option<String>, GpuError> {
        self.write(gpu, &self.step, batch);
        self.step.first_non_finite(gpu)
    }

    /// The loss of the last [`StepPrograms::run`], on its way.
    pub fn loss(&self, gpu: &Gpu) -> Pending {
        self.step.read_later(gpu, "loss")
    }

    /// Clips and applies the gradients without waiting.
    pub fn update(&self, gpu: &Gpu, settings: &UpdateSettings) -> PendingUpdate {
        self.update.write(gpu, "settings", &settings.adamw().at_step(u64::from(settings.step)));
        self.update.write(gpu, "max_grad_norm", &[settings.max_grad_norm as f32]);
        self.update.replay(gpu);
        PendingUpdate { clip: self.update.read_later(gpu, "clip") }
    }

    fn write(&self, gpu: &Gpu, program: &Program, batch: &Batch) {
        let factors: Vec<(f32, f32)> = batch.timesteps.iter().map(|&t| self.objective.schedule().factors(t)).collect();
        let noisy: Vec<f32> = factors.iter().flat_map(|&(signal, sigma)| [signal, sigma]).collect();
        let target: Vec<f32> = factors
            .iter()
            .flat_map(|&(signal, sigma)| match self.objective.prediction {
                Prediction::Epsilon => [0.0, 1.0],
                Prediction::VPrediction => [-sigma, signal],
            })
            .collect();
        let timesteps: Vec<f64> = batch.timesteps.iter().map(|&timestep| timestep as f64).collect();
        program.write(gpu, "latents", &batch.latents);
        program.write(gpu, "noise", &batch.noise);
        program.write(gpu, "noise_factors", &noisy);
        program.write(gpu, "target_factors", &target);
        program.write(gpu, "timestep", &ops::timestep_embedding(&timesteps, self.embedding_width));
        program.write(gpu, "context", &batch.context);
        program.write(gpu, "weight", &batch.weights);
        let optional = [("input_noise", &batch.input_noise), ("threshold", &batch.thresholds), ("mask", &batch.masks)];
        for (name, values) in optional.into_iter().filter(|(_, values)| !values.is_empty()) {
            program.write(gpu, name, values);
        }
    }
}

impl UpdateSettings {
    fn adamw(&self) -> AdamWSettings {
        let AdamW { betas: (beta1, beta2), weight_decay, eps } = self.adamw;
        AdamWSettings { lr: self.learning_rate, beta1, beta2, eps, weight_decay }
    }
}

impl PendingUpdate {
    /// Waits for the result.
    ///
    /// # Errors
    /// A failure of the device.
    pub fn wait(self, gpu: &Gpu) -> Result<UpdateResult, GpuError> {
        let clip: Vec<f32> = bytemuck::pod_collect_to_vec(&self.clip.wait(gpu)?);
        let [grad_norm, loss_scale] = [clip[0], clip[3]].map(f64::from);
        Ok(UpdateResult { grad_norm, finite: clip[2] != 0.0, loss_scale })
    }
}

/// Values of a recorded forward pass with its loss.
struct Forward {
    prediction: Value,
    noisy: Value,
    loss: Loss,
    lora: RecordedLora,
}

fn record_forward(tape: &mut Tape, unet: &UNet, lora: &Lora, shape: StepShape, options: &StepOptions) -> Forward {
    let StepShape { batch, height, width, tokens } = shape;
    let latent_shape = [batch, height, width, crate::nn::padded(unet.config.in_channels)];
    let latents = tape.input("latents", &latent_shape);
    let noise = tape.input("noise", &latent_shape);
    let perturbed = options.objective.noise.perturbs_input();
    let input_noise = if perturbed { tape.input("input_noise", &latent_shape) } else { noise };
    let noise_factors = tape.input("noise_factors", &[batch, 2]);
    let target_factors = tape.input("target_factors", &[batch, 2]);
    let timestep = tape.input("timestep", &[batch, unet.config.block_out_channels[0]]);
    let context = tape.input("context", &[batch, tokens, unet.config.cross_attention_dim]);
    let weight = tape.input("weight", &[batch]);
    let loss_scale = record_loss_scale(tape, lora);
    let lora = lora.record(tape);
    let noisy = ops::combine(tape, latents, input_noise, noise_factors);
    let target = ops::combine(tape, latents, noise, target_factors);
    let [sample, context] = [noisy, context].map(|value| ops::convert(tape, value, options.activations));
    let prediction = unet.forward(tape, sample, timestep, context, &lora.adapters);
    let prediction = ops::convert(tape, prediction, DType::F32);
    let Objective { loss: kind, masked, .. } = options.objective;
    let threshold = kind.has_threshold().then(|| tape.input("threshold", &[batch]));
    let mask = masked.then(|| tape.input("mask", &[batch, height, width]));
    let inputs = LossInputs { kind, target, weight, loss_scale, threshold, mask };
    let loss = ops::weighted_loss(tape, prediction, &inputs);
    Forward { prediction, noisy, loss, lora }
}

fn record_step(unet: &UNet, lora: &Lora, shape: StepShape, options: &StepOptions) -> Tape {
    let mut tape = Tape::new();
    let forward = record_forward(&mut tape, unet, lora, shape, options);
    let seeds = [(forward.prediction, forward.loss.d_prediction)];
    let gradients = tape.backward(&seeds, &forward.lora.parameters, options.checkpointing, ops::add);
    lora.place_gradients(&mut tape, &gradients);
    tape.keep("loss", forward.loss.loss);
    for path in &options.observed {
        let value = match path.as_str() {
            "unet_out" => forward.prediction,
            "noisy" => forward.noisy,
            module => tape.observed(module).unwrap_or_else(|| panic!("no module `{module}` was recorded")),
        };
        let value = ops::convert(&mut tape, value, DType::F32);
        tape.keep(path, value);
    }
    tape
}

fn record_probe(unet: &UNet, lora: &Lora, shape: StepShape, options: &StepOptions) -> Tape {
    let mut tape = Tape::new();
    let options = StepOptions { objective: options.objective.of_probes(), ..options.clone() };
    let forward = record_forward(&mut tape, unet, lora, shape, &options);
    tape.keep("loss", forward.loss.loss);
    tape
}

fn record_loss_scale(tape: &mut Tape, lora: &Lora) -> Value {
    tape.external("loss scale", &[4], DType::F32, &lora.loss_scale.whole())
}

fn record_update(lora: &Lora, activations: DType) -> Tape {
    let mut tape = Tape::new();
    let settings = tape.input("settings", &[8]);
    let max_grad_norm = tape.input("max_grad_norm", &[1]);
    let flat = |tape: &mut Tape, buffer: &crate::gpu::Buffer, elements: usize| {
        tape.external(buffer.label(), &[elements], DType::F32, &buffer.whole())
    };
    let gradients: Vec<Value> =
        lora.shards.iter().map(|shard| flat(&mut tape, &shard.accumulated, shard.elements)).collect();
    let loss_scale = record_loss_scale(&mut tape, lora);
    let clip = ops::grad_norm(&mut tape, &gradients, max_grad_norm, loss_scale);
    for (shard, &gradient) in lora.shards.iter().zip(&gradients) {
        let state = AdamWState {
            parameters: flat(&mut tape, &shard.parameters, shard.elements),
            m: flat(&mut tape, &shard.first_moment, shard.elements),
            v: flat(&mut tape, &shard.second_moment, shard.elements),
        };
        ops::adamw(&mut tape, state, gradient, clip, settings);
    }
    if activations == DType::F16 {
        ops::advance_loss_scale(&mut tape, loss_scale, clip, LOSS_SCALE_INTERVAL);
    }
    tape.keep("clip", clip);
    tape
}

fn record_accumulate(lora: &Lora) -> Tape {
    let mut tape = Tape::new();
    for shard in &lora.shards {
        let into = tape.external("accumulated", &[shard.elements], DType::F32, &shard.accumulated.whole());
        let gradients = tape.external("gradients", &[shard.elements], DType::F32, &shard.gradients.whole());
        ops::accumulate(&mut tape, into, gradients);
    }
    tape
}
