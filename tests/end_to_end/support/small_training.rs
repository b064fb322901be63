//! Training steps on the synthetic U-Net, one fixed picture each.

use lora_wgpu::{
    config::{AdamW, LoraTarget},
    diffusion::Prediction,
    gpu::Gpu,
    models::{UNet, UNetConfig},
    nn::{Builder, Weight},
    tape::{Checkpointing, DType},
    train::{
        lora::{Lora, is_target},
        objective::Objective,
        step::{Batch, StepOptions, StepPlans, StepPrograms, StepShape, UpdateResult, UpdateSettings},
    },
    weights::Checkpoint,
};

use super::synthetic::{checkpoint, uniform};

// Latents of the last level are more than one: a softmax over one key teaches q and k nothing.
const SHAPE: StepShape = StepShape { batch: 1, height: 16, width: 16, tokens: 77 };
const LATENTS: usize = 16 * 16 * 4;

pub struct SmallTraining {
    gpu: &'static Gpu,
    /// Of the U-Net.
    pub weights: Vec<Weight>,
    pub lora: Lora,
    programs: StepPrograms,
    context_width: usize,
}

impl SmallTraining {
    /// A LoRA on all attention projections, before its first step.
    pub fn new(gpu: &'static Gpu, activations: DType, loss_scale: f32) -> Self {
        let checkpoint = Checkpoint::open(checkpoint(), None).expect("the synthetic checkpoint");
        let builder = Builder::new(&checkpoint.unet);
        let unet = UNet::new(&builder, UNetConfig::of(&checkpoint.unet).expect("its widths"));
        let built = builder.finish("U-Net").expect("a complete U-Net");
        built.upload(gpu, |_| {}).expect("memory for a small U-Net");
        let target = |path: &str| is_target(LoraTarget::Attention, path);
        let modules = built.modules.iter().filter(|module| target(&module.path)).cloned().collect();
        let lora = Lora::new(modules, 4, 4.0, gpu.caps().max_binding, false).with_loss_scale(loss_scale);
        let options = StepOptions {
            objective: Objective::mse(Prediction::Epsilon),
            checkpointing: Checkpointing::Off,
            activations,
            accumulate: false,
            observed: Vec::new(),
        };
        let programs = StepPlans::new(gpu, &unet, &lora, SHAPE, options).and_then(|plans| plans.compile(gpu));
        lora.initialize(gpu, 1);
        Self {
            gpu,
            weights: built.uploads.iter().map(|upload| upload.weight.clone()).collect(),
            lora,
            programs: programs.expect("memory for a small U-Net"),
            context_width: unet.config.cross_attention_dim,
        }
    }

    /// Computes the gradients of step number `step` and gives its loss.
    pub fn gradients(&self, step: u32) -> f64 {
        let batch = Batch {
            latents: uniform("latents", LATENTS, 1.0),
            noise: uniform(&format!("noise {step}"), LATENTS, 1.0),
            timesteps: vec![(37 * step as usize) % 1000],
            context: uniform("context", SHAPE.tokens * self.context_width, 1.0),
            weights: vec![1.0],
            ..Batch::default()
        };
        self.programs.run(self.gpu, &batch).expect("a batch of these sizes");
        let loss = self.programs.loss(self.gpu).wait(self.gpu).expect("the loss");
        f64::from(bytemuck::pod_collect_to_vec::<u8, f32>(&loss)[0])
    }

    /// Updates the LoRA with the gradients that were computed last; counts updates from 1.
    pub fn update(&self, number: u32, learning_rate: f64) -> UpdateResult {
        let adamw = AdamW { betas: (0.9, 0.999), weight_decay: 0.01, eps: 1e-8 };
        let settings = UpdateSettings { adamw, learning_rate, max_grad_norm: 0.0, step: number };
        self.programs.update(self.gpu, &settings).wait(self.gpu).expect("an update")
    }

    pub fn step(&self, step: u32, learning_rate: f64) -> UpdateResult {
        self.gradients(step);
        self.update(step, learning_rate)
    }
}
