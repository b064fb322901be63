//! Running a case through the trainer's own programs, recording every tensor that the reference format names.

use anyhow::{Result, ensure};

use crate::{
    adapters::AdapterSet,
    families::SD_V1,
    gpu::Gpu,
    models::{
        ClipText, UNet, adaptable,
        encode::{LatentDecoder, LatentEncoder},
    },
    nn::Built,
    optim::Optimizer,
    tape::{Checkpointing, DType},
    train::{
        engine::{LOSS, LossScale, Programs},
        tasks::diffusion::{
            Batch, BatchWriter, Trained,
            step::{StepOptions, TrainedText},
        },
    },
    weights::{Checkpoint, OwnedTensor},
};

use super::{file::TrainingCase, recorder::Recorder, texts::Texts};

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
    let networks = Networks::build(checkpoint, case)?;
    let texts = networks.texts(gpu, checkpoint, case)?;
    let mut training = Training::new(gpu, &networks, case, &texts, options)?;
    let mut losses = Vec::with_capacity(case.steps);
    let mut norms = Vec::with_capacity(case.steps);
    for (step, text) in texts.inputs.iter().enumerate() {
        let (loss, norm) = training.step(gpu, case, step, text, &mut recorder)?;
        progress(step, loss);
        losses.push(loss);
        norms.push(norm);
    }
    training.record_state(gpu, ["final", "ema"], &mut recorder)?;
    recorder.doubles("loss", &losses);
    recorder.doubles("grad_norm", &norms);
    texts.record(&mut recorder, case.batch);
    Ok(recorder.0)
}

fn record_vae(gpu: &Gpu, checkpoint: &Checkpoint, case: &TrainingCase, recorder: &mut Recorder) -> Result<()> {
    let (latent, pixels) = (case.size, case.size.pixels(SD_V1.latent.cell));
    let encoder = LatentEncoder::new(gpu, &checkpoint.vae, pixels)?;
    let moments = encoder.encode(gpu, &case.image()?)?;
    drop(encoder);
    recorder.pixels("vae/mean", &moments.mean, &[1, latent.height, latent.width, SD_V1.latent.channels]);
    recorder.pixels("vae/logvar", &moments.log_variance, &[1, latent.height, latent.width, SD_V1.latent.channels]);
    let decoder = LatentDecoder::new(gpu, &checkpoint.vae, latent)?;
    let image = decoder.decode(gpu, &moments.mean)?;
    recorder.pixels("vae/roundtrip", &image, &[1, pixels.height, pixels.width, 3]);
    Ok(())
}

/// The networks of a case: the U-Net, and the text encoder where that is trained.
struct Networks<'a> {
    unet: (UNet, Built<'a>),
    text: Option<(ClipText<'a>, Built<'a>)>,
}

impl<'a> Networks<'a> {
    fn build(checkpoint: &'a Checkpoint, case: &TrainingCase) -> Result<Self> {
        let text = case.adapted.rules.text.is_some().then(|| adaptable::text_encoder(checkpoint));
        Ok(Self { unet: adaptable::unet(checkpoint)?, text: text.transpose()? })
    }

    fn texts(&self, gpu: &Gpu, checkpoint: &Checkpoint, case: &TrainingCase) -> Result<Texts> {
        match &self.text {
            Some((model, _)) => Texts::embedded(model, case),
            None => Texts::frozen(gpu, checkpoint, case),
        }
    }

    fn built(&self) -> impl Iterator<Item = &Built<'a>> {
        self.text.iter().map(|(_, built)| built).chain([&self.unet.1])
    }
}

/// The adapters with their programs.
struct Training {
    trained: Trained,
    programs: Programs,
    writer: BatchWriter,
    observed: Vec<(String, Vec<usize>)>,
}

impl Training {
    fn new(
        gpu: &Gpu,
        networks: &Networks<'_>,
        case: &TrainingCase,
        texts: &Texts,
        options: CaseOptions,
    ) -> Result<Self> {
        let (unet, text) = (&networks.unet.0, networks.text.as_ref().map(|(model, _)| model));
        let sites: Vec<_> = networks.built().flat_map(|built| built.sites.clone()).collect();
        let rules = case.adapted.rules_for(text.map_or(0, |model| model.config.layers));
        let (plans, groups) = rules.plans(&sites);
        let adapters = AdapterSet::new(case.adapted.kind, plans, gpu.caps().max_binding, false);
        let (ours, given) = (adapters.store.tensors.len(), case.adapter_tensor_count());
        ensure!(ours == given, "the case holds {given} tensors of adapters, this model takes {ours}");
        let initial = adapters.modules_from(|site, spec| case.adapter_tensor(site, spec))?;
        let optimizer = Optimizer::new(&case.optimizer);
        let trained = Trained::new(adapters, groups, optimizer, LossScale::for_activations(DType::F32));
        let trained = trained.averaged(case.adapted.average).capped(case.adapted.max_norm);
        let text = text.map(|model| TrainedText { model, clip_skip: case.adapted.clip_skip });
        let options = step_options(case, options, text.is_some());
        let plans = trained.plan(gpu, (unet, text), &[case.shape(texts.tokens)], &options)?;
        let observed = plans.kept_shapes();
        networks.built().try_for_each(|built| built.upload(gpu, |_| {}))?;
        let (programs, _) = plans.compile(gpu)?;
        trained.load(gpu, &initial)?;
        Ok(Self { trained, programs, writer: BatchWriter::new(unet, case.objective.clone()), observed })
    }

    /// Loss and gradient norm of one step.
    fn step(
        &mut self,
        gpu: &Gpu,
        case: &TrainingCase,
        step: usize,
        text: &[f32],
        recorder: &mut Recorder,
    ) -> Result<(f64, f64)> {
        let batch = batch_of(case, step, text, self.rank_masks(case, step)?)?;
        self.programs.run(gpu, &self.writer.micro_batch(&batch))?;
        let loss = self.programs.loss(gpu, 0);
        if step == 0 {
            self.record_first(gpu, recorder)?;
        }
        let rates: Vec<f64> = self.trained.groups.iter().map(|group| group.rate).collect();
        let numbers = self.trained.update_numbers(step as u32 + 1, &rates, case.max_grad_norm);
        let update = self.programs.update(gpu, &self.trained.adapters.store, &numbers).wait(gpu)?;
        ensure!(update.finite, "step {}: a gradient is not finite", step + 1);
        if step == 0 {
            self.record_state(gpu, ["step1/after", "step1/ema"], recorder)?;
        }
        let loss: Vec<f32> = bytemuck::pod_collect_to_vec(&loss.wait(gpu)?);
        Ok((f64::from(loss[0]), update.grad_norm))
    }

    /// Of every module, where the case drops ranks.
    fn rank_masks(&self, case: &TrainingCase, step: usize) -> Result<Vec<Vec<f32>>> {
        if case.adapted.dropouts.rank == 0.0 {
            return Ok(Vec::new());
        }
        self.trained.adapters.plans().map(|plan| case.rank_mask(&plan.site.path, plan.rank, step)).collect()
    }

    /// The adapters, and their average where there is one.
    fn record_state(&self, gpu: &Gpu, [own, average]: [&str; 2], recorder: &mut Recorder) -> Result<()> {
        let adapters = &self.trained.adapters;
        recorder.adapters(own, &adapters.read(gpu)?);
        recorder.adapters(average, &adapters.modules_of(self.trained.evaluated(gpu)?));
        Ok(())
    }

    fn record_first(&self, gpu: &Gpu, recorder: &mut Recorder) -> Result<()> {
        for (path, shape) in self.observed.iter().filter(|(path, _)| path != LOSS) {
            let values = self.programs.step(0).read(gpu, path)?;
            let name = match path.as_str() {
                "unet_out" | "noisy" | "hidden" => format!("step1/{path}"),
                module => format!("step1/block/{module}"),
            };
            recorder.any(&name, &values, shape);
        }
        recorder.adapters("step1/grad", &self.trained.adapters.read_gradients(gpu)?);
        Ok(())
    }
}

fn step_options(case: &TrainingCase, options: CaseOptions, trained_text: bool) -> StepOptions {
    let mut observed = observed_modules();
    observed.extend(["unet_out", "noisy"].map(str::to_owned));
    observed.extend(trained_text.then(|| "hidden".to_owned()));
    StepOptions {
        objective: case.objective.clone(),
        checkpointing: options.checkpointing,
        activations: DType::F32,
        dropouts: case.adapted.dropouts,
        observed,
    }
}

fn batch_of(case: &TrainingCase, step: usize, text: &[f32], rank_masks: Vec<Vec<f32>>) -> Result<Batch> {
    let timesteps = case.timesteps(step)?;
    let share =
        |(&timestep, weight): (&usize, f32)| (case.objective.weight(timestep) as f32 / case.batch as f32) * weight;
    Ok(Batch {
        latents: case.latents(step)?,
        noise: case.noise(step)?,
        text: text.to_vec(),
        weights: timesteps.iter().zip(case.sample_weights(step)?).map(share).collect(),
        thresholds: case.objective.thresholds(&timesteps),
        masks: case.masks(step)?,
        timesteps,
        rank_masks,
        ..Batch::default()
    })
}
