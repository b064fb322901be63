//! Running a case through the trainer's own programs, recording every tensor that the reference format names.

use anyhow::{Result, ensure};
use safetensors::Dtype;

use crate::{
    adapters::{AdapterSet, Kind, SitePlan, is_target},
    gpu::Gpu,
    models::{
        UNet, UNetConfig,
        encode::{LatentDecoder, LatentEncoder, TextEncoder},
    },
    nn::{Builder, nhwc_to_nchw},
    optim::Optimizer,
    tape::{Checkpointing, DType},
    train::{
        engine::{LOSS, LossScale, Programs},
        tasks::diffusion::{
            Batch, BatchWriter, Trained,
            recording::{Dropouts, StepOptions},
        },
    },
    weights::{
        Checkpoint, OwnedTensor, StorageType,
        lora::{AdapterModule, AdapterTensor, Part},
    },
};

use super::file::{TrainingCase, tensor_name};

/// How to run a case.
#[derive(Clone, Copy, Debug)]
pub struct CaseOptions {
    pub checkpointing: Checkpointing,
}

/// U-Net modules whose outputs a reference holds for the first step.
fn observed_modules() -> Vec<String> {
    let mut names: Vec<String> =
        ["time_embedding", "conv_in", "mid_block", "conv_norm_out"].map(str::to_owned).to_vec();
    for level in 0..4 {
        names.push(format!("down_blocks.{level}"));
        names.push(format!("up_blocks.{level}"));
    }
    let block = "down_blocks.0.attentions.0.transformer_blocks.0";
    for path in ["resnets.0", "attentions.0", "downsamplers.0"] {
        names.push(format!("down_blocks.0.{path}"));
    }
    names.push(block.to_owned());
    names.extend(["attn1", "attn2", "ff"].map(|child| format!("{block}.{child}")));
    names.push("up_blocks.0.upsamplers.0".to_owned());
    names
}

/// Runs `case` on `checkpoint` and returns what the reference format names. `progress` hears of each step's loss.
///
/// # Errors
/// A checkpoint that the case does not fit; a failure of the device; a gradient that is not finite.
pub fn run(
    gpu: &Gpu,
    checkpoint: &Checkpoint,
    case: &TrainingCase,
    options: CaseOptions,
    mut progress: impl FnMut(usize, f64),
) -> Result<Vec<OwnedTensor>> {
    let mut recorder = Recorder::default();
    record_vae(gpu, checkpoint, case, &mut recorder)?;
    let texts = encode_texts(gpu, checkpoint, case)?;
    let mut training = Training::new(gpu, checkpoint, case, &texts, options)?;
    let mut losses = Vec::with_capacity(case.steps);
    let mut norms = Vec::with_capacity(case.steps);
    for (step, context) in texts.contexts.iter().enumerate() {
        let (loss, norm) = training.step(gpu, case, step, context, &mut recorder)?;
        progress(step, loss);
        losses.push(loss);
        norms.push(norm);
    }
    recorder.adapters("final", &training.trained.adapters.read(gpu)?);
    recorder.doubles("loss", &losses);
    recorder.doubles("grad_norm", &norms);
    recorder.text(&texts, case.batch);
    Ok(recorder.0)
}

fn record_vae(gpu: &Gpu, checkpoint: &Checkpoint, case: &TrainingCase, recorder: &mut Recorder) -> Result<()> {
    let (height, width) = (case.height, case.width);
    let encoder = LatentEncoder::new(gpu, &checkpoint.vae, 8 * width, 8 * height)?;
    let moments = encoder.encode(gpu, &case.image()?)?;
    drop(encoder);
    recorder.pixels("vae/mean", &moments.mean, &[1, height, width, 4]);
    recorder.pixels("vae/logvar", &moments.log_variance, &[1, height, width, 4]);
    let decoder = LatentDecoder::new(gpu, &checkpoint.vae, width, height)?;
    let image = decoder.decode(gpu, &moments.mean)?;
    recorder.pixels("vae/roundtrip", &image, &[1, 8 * height, 8 * width, 3]);
    Ok(())
}

/// Text embeddings of all steps, each (B, tokens, width), and what else is recorded of the first.
struct Texts {
    contexts: Vec<Vec<f32>>,
    skip2: Vec<f32>,
    embedded: Vec<f32>,
    first_layer: Vec<f32>,
    tokens: usize,
    width: usize,
}

fn encode_texts(gpu: &Gpu, checkpoint: &Checkpoint, case: &TrainingCase) -> Result<Texts> {
    let encoder = TextEncoder::new(gpu, &checkpoint.text_encoder, case.batch)?;
    let first = case.input_ids(0)?;
    Ok(Texts {
        skip2: encoder.encode(gpu, &first, 2)?,
        embedded: encoder.embed(&first)?,
        first_layer: encoder.first_layer(gpu)?,
        contexts: (0..case.steps).map(|step| encoder.encode(gpu, &case.input_ids(step)?, 1)).collect::<Result<_>>()?,
        tokens: encoder.tokens(),
        width: encoder.width(),
    })
}

/// The U-Net with its adapters and programs.
struct Training {
    trained: Trained,
    programs: Programs,
    writer: BatchWriter,
    observed: Vec<(String, Vec<usize>)>,
}

impl Training {
    fn new(
        gpu: &Gpu,
        checkpoint: &Checkpoint,
        case: &TrainingCase,
        texts: &Texts,
        options: CaseOptions,
    ) -> Result<Self> {
        let builder = Builder::adaptable(&checkpoint.unet, Part::Unet);
        let unet = UNet::new(&builder, UNetConfig::of(&checkpoint.unet)?);
        let built = builder.finish("U-Net")?;
        let sites = built.sites.iter().filter(|site| is_target(case.target, site));
        let plans = sites.map(|site| SitePlan::plain(site.clone(), case.rank, case.alpha)).collect();
        let adapters = AdapterSet::new(Kind::Lora, plans, gpu.caps().max_binding, false);
        let (ours, given) = (adapters.store.tensors.len(), case.adapter_tensor_count());
        ensure!(ours == given, "the case holds {given} tensors of adapters, this U-Net takes {ours}");
        let initial = adapters.modules_from(|site, spec| case.adapter_tensor(site, spec))?;
        let trained = Trained::new(adapters, Optimizer::new(&case.optimizer), LossScale::for_activations(DType::F32));
        let plans = trained.plan(gpu, (&unet, None), &[case.shape(texts.tokens)], &step_options(case, options))?;
        let observed = plans.kept_shapes();
        built.upload(gpu, |_| {})?;
        let (programs, _) = plans.compile(gpu)?;
        trained.load(gpu, &initial)?;
        Ok(Self { trained, programs, writer: BatchWriter::new(&unet, case.objective.clone()), observed })
    }

    /// Loss and gradient norm of one step.
    fn step(
        &mut self,
        gpu: &Gpu,
        case: &TrainingCase,
        step: usize,
        context: &[f32],
        recorder: &mut Recorder,
    ) -> Result<(f64, f64)> {
        let batch = self.writer.micro_batch(&batch_of(case, step, context)?);
        self.programs.run(gpu, &batch)?;
        let loss = self.programs.loss(gpu, 0);
        if step == 0 {
            self.record_first(gpu, recorder)?;
        }
        let numbers = self.trained.update_numbers(step as u32 + 1, &[case.learning_rate], case.max_grad_norm);
        let update = self.programs.update(gpu, &self.trained.adapters.store, &numbers).wait(gpu)?;
        ensure!(update.finite, "step {}: a gradient is not finite", step + 1);
        if step == 0 {
            recorder.adapters("step1/after", &self.trained.adapters.read(gpu)?);
        }
        let loss: Vec<f32> = bytemuck::pod_collect_to_vec(&loss.wait(gpu)?);
        Ok((f64::from(loss[0]), update.grad_norm))
    }

    fn record_first(&self, gpu: &Gpu, recorder: &mut Recorder) -> Result<()> {
        for (path, shape) in self.observed.iter().filter(|(path, _)| path != LOSS) {
            let values = self.programs.step(0).read(gpu, path)?;
            let name = match path.as_str() {
                "unet_out" | "noisy" => format!("step1/{path}"),
                module => format!("step1/block/{module}"),
            };
            recorder.any(&name, &values, shape);
        }
        recorder.adapters("step1/grad", &self.trained.adapters.read_gradients(gpu)?);
        Ok(())
    }
}

fn step_options(case: &TrainingCase, options: CaseOptions) -> StepOptions {
    let mut observed = observed_modules();
    observed.extend(["unet_out", "noisy"].map(str::to_owned));
    StepOptions {
        objective: case.objective.clone(),
        checkpointing: options.checkpointing,
        activations: DType::F32,
        dropouts: Dropouts::default(),
        observed,
    }
}

fn batch_of(case: &TrainingCase, step: usize, context: &[f32]) -> Result<Batch> {
    let timesteps = case.timesteps(step)?;
    let share =
        |(&timestep, weight): (&usize, f32)| (case.objective.weight(timestep) as f32 / case.batch as f32) * weight;
    Ok(Batch {
        latents: case.latents(step)?,
        noise: case.noise(step)?,
        text: context.to_vec(),
        weights: timesteps.iter().zip(case.sample_weights(step)?).map(share).collect(),
        thresholds: case.objective.thresholds(&timesteps),
        masks: case.masks(step)?,
        timesteps,
        ..Batch::default()
    })
}

/// Collects tensors under their reference names, in PyTorch's layout.
#[derive(Default)]
struct Recorder(Vec<OwnedTensor>);

impl Recorder {
    fn floats(&mut self, name: &str, values: &[f32], shape: &[usize]) {
        self.0.push(OwnedTensor::f32(name, values, shape));
    }

    fn doubles(&mut self, name: &str, values: &[f64]) {
        let (dtype, bytes) = (StorageType::Other(Dtype::F64), bytemuck::cast_slice(values).to_vec());
        self.0.push(OwnedTensor { name: name.to_owned(), dtype, shape: vec![values.len()], bytes });
    }

    /// Channels-last pixels, written channels first.
    fn pixels(&mut self, name: &str, values: &[f32], shape: &[usize; 4]) {
        let &[batch, height, width, channels] = shape;
        let values = nhwc_to_nchw(values, channels, height * width);
        self.floats(name, &values, &[batch, channels, height, width]);
    }

    fn any(&mut self, name: &str, values: &[f32], shape: &[usize]) {
        match shape {
            &[batch, height, width, channels] => self.pixels(name, values, &[batch, height, width, channels]),
            _ => self.floats(name, values, shape),
        }
    }

    fn adapters(&mut self, prefix: &str, modules: &[AdapterModule]) {
        for AdapterModule { site, tensors, .. } in modules {
            let network = if site.part == Part::TextEncoder { "lora_te/" } else { "" };
            for AdapterTensor { name, shape, values } in tensors {
                self.floats(&format!("{prefix}/{network}{}", tensor_name(&site.path, name)), values, shape);
            }
        }
    }

    fn text(&mut self, texts: &Texts, batch: usize) {
        let shape = [batch, texts.tokens, texts.width];
        self.floats("step1/hidden", &texts.contexts[0], &shape);
        self.floats("step1/hidden_skip2", &texts.skip2, &shape);
        self.floats("step1/te_embed", &texts.embedded, &shape);
        self.floats("step1/te_layer0", &texts.first_layer, &shape);
    }
}
