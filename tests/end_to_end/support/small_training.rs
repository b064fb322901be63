//! Training steps on the synthetic U-Net, one fixed picture each.

use lora_wgpu::{
    adapters::{AdapterSet, Group, Kind, SitePlan, is_target},
    config::{LoraTarget, OptimizerSettings},
    families::Prediction,
    gpu::Gpu,
    models::{UNet, UNetConfig},
    nn::{Builder, Weight},
    optim::Optimizer,
    size::Size,
    tape::{Checkpointing, DType},
    train::{
        engine::{LossScale, Programs, UpdateResult},
        tasks::diffusion::{
            Batch, BatchWriter, Objective, Trained,
            step::{Dropouts, StepOptions, StepShape},
        },
    },
    weights::{Checkpoint, lora::Part},
};

use super::synthetic::{checkpoint, uniform};

// Latents of the last level are more than one: a softmax over one key teaches q and k nothing.
const SHAPE: StepShape = StepShape { batch: 1, size: Size::square(16), tokens: 77 };
const LATENTS: usize = 16 * 16 * 4;

pub struct SmallTraining {
    gpu: &'static Gpu,
    /// Of the U-Net.
    pub weights: Vec<Weight>,
    pub trained: Trained,
    programs: Programs,
    writer: BatchWriter,
    context_width: usize,
}

impl SmallTraining {
    /// A LoRA on all attention projections, before its first step.
    pub fn new(gpu: &'static Gpu, activations: DType, loss_scale: f32) -> Self {
        let checkpoint = Checkpoint::open(checkpoint(), None).expect("the synthetic checkpoint");
        let builder = Builder::adaptable(&checkpoint.unet, Part::Unet);
        let unet = UNet::new(&builder, UNetConfig::of(&checkpoint.unet).expect("its widths"));
        let built = builder.finish("the family", "U-Net").expect("a complete U-Net");
        built.upload(gpu, |_| {}).expect("memory for a small U-Net");
        let sites = built.sites.iter().filter(|site| is_target(LoraTarget::Attention, site));
        let sites = sites.map(|site| SitePlan::plain(site.clone(), 4, 4.0)).collect();
        let groups = vec![Group { part: Part::Unet, rate: 1e-4 }];
        let adapters = AdapterSet::new(Kind::Lora, sites, gpu.caps().max_binding, false);
        let optimizer = Optimizer::new(&OptimizerSettings::default());
        let trained = Trained::new(adapters, groups, optimizer, LossScale::starting_at(loss_scale));
        let options = StepOptions {
            objective: Objective::mse(Prediction::Epsilon),
            checkpointing: Checkpointing::Off,
            activations,
            dropouts: Dropouts::default(),
            observed: Vec::new(),
        };
        let programs = trained.plan(gpu, (&unet, None), &[SHAPE], &options).and_then(|plans| plans.compile(gpu));
        let (programs, _) = programs.expect("memory for a small U-Net");
        let first = trained.adapters.initial(1, &|site| checkpoint.unet.matrix(site)).expect("first values");
        trained.load(gpu, &first).expect("its own first values");
        Self {
            gpu,
            weights: built.uploads.iter().map(|upload| upload.weight.clone()).collect(),
            trained,
            programs,
            writer: BatchWriter::new(&unet, Objective::mse(Prediction::Epsilon)),
            context_width: unet.config.cross_attention_dim,
        }
    }

    /// Computes the gradients of step number `step` and gives its loss.
    pub fn gradients(&self, step: u32) -> f64 {
        let batch = Batch {
            latents: uniform("latents", LATENTS, 1.0),
            noise: uniform(&format!("noise {step}"), LATENTS, 1.0),
            timesteps: vec![(37 * step as usize) % 1000],
            text: uniform("context", SHAPE.tokens * self.context_width, 1.0),
            weights: vec![1.0],
            ..Batch::default()
        };
        self.programs.run(self.gpu, &self.writer.micro_batch(&batch)).expect("a batch of these sizes");
        let loss = self.programs.loss(self.gpu, 0).wait(self.gpu).expect("the loss");
        f64::from(bytemuck::pod_collect_to_vec::<u8, f32>(&loss)[0])
    }

    /// Updates the LoRA with the gradients that were computed last; counts updates from 1.
    pub fn update(&self, number: u32, learning_rate: f64) -> UpdateResult {
        let numbers = self.trained.update_numbers(number, &[learning_rate], 0.0);
        let pending = self.programs.update(self.gpu, &self.trained.adapters.store, &numbers);
        pending.wait(self.gpu).expect("an update")
    }

    pub fn step(&self, step: u32, learning_rate: f64) -> UpdateResult {
        self.gradients(step);
        self.update(step, learning_rate)
    }
}
