//! The state of a LoRA under training: flat f32 buffers of parameters, gradients and moments.

use anyhow::{Result, bail, ensure};

use crate::{
    config::LoraTarget,
    diffusion::random::lora_init,
    gpu::{Buffer, BufferSlice, Gpu},
    nn::{Adapter, Adapters, Module, padded},
    tape::{DType, Tape, Value},
    weights::lora::{LoraModule, Part, SavePrecision},
};

/// Matrices begin at multiples of this many elements: 256 bytes, the strictest binding alignment.
const ALIGNMENT: usize = 64;

/// Projections of every attention.
const ATTENTION: [&str; 4] = ["to_q", "to_k", "to_v", "to_out.0"];
/// What WebUI LoRAs adapt besides.
const TRANSFORMER: [&str; 4] = ["ff.net.0.proj", "ff.net.2", "proj_in", "proj_out"];

/// Whether `target` includes the U-Net module `path`.
pub fn is_target(target: LoraTarget, path: &str) -> bool {
    let ends_with = |names: &[&str]| names.iter().any(|name| path.ends_with(&format!(".{name}")));
    let inside = path.contains("attentions");
    inside && (ends_with(&ATTENTION) || target == LoraTarget::Transformer && ends_with(&TRANSFORMER))
}

/// One contiguous part of the state, small enough for a storage binding.
pub struct Shard {
    pub parameters: Buffer,
    pub gradients: Buffer,
    /// Gradients of several micro-batches; equals `gradients` where there is one per step.
    pub accumulated: Buffer,
    pub first_moment: Buffer,
    pub second_moment: Buffer,
    pub elements: usize,
}

/// One module's place in a shard.
struct Segment {
    module: Module,
    shard: usize,
    down: usize, // offset of (rank, in), in elements
    up: usize,   // offset of (out, rank), in elements
}

/// A LoRA on a set of modules. On the device ranks are padded with zeros to a multiple of four; padding stays zero,
/// because its gradients are.
pub struct Lora {
    pub rank: usize,
    pub alpha: f32,
    segments: Vec<Segment>,
    pub shards: Vec<Shard>,
    scale: Buffer,
    /// What gradients are multiplied by, see [`crate::ops::advance_loss_scale`]; stays 1 where activations are f32.
    pub loss_scale: Buffer,
    first_loss_scale: f32,
}

/// A LoRA as it stands on one tape.
pub struct RecordedLora {
    pub adapters: Adapters,
    /// down, up, down, up, … in the order of the modules.
    pub parameters: Vec<Value>,
}

impl Lora {
    /// Lays out a LoRA of `rank` on `modules` in shards of at most `max_binding` bytes; `accumulate` asks for a second
    /// set of gradients. Nothing is allocated yet.
    pub fn new(modules: Vec<Module>, rank: usize, alpha: f32, max_binding: u64, accumulate: bool) -> Self {
        let limit = (max_binding / 4) as usize;
        let mut segments = Vec::with_capacity(modules.len());
        let mut lengths = vec![0usize];
        for module in modules {
            let down_length = (padded(rank) * module.in_features).next_multiple_of(ALIGNMENT);
            let up_length = (padded(rank) * module.out_features).next_multiple_of(ALIGNMENT);
            let used = lengths[lengths.len() - 1];
            if used > 0 && used + down_length + up_length > limit {
                lengths.push(0);
            }
            let shard = lengths.len() - 1;
            let down = lengths[shard];
            segments.push(Segment { module, shard, down, up: down + down_length });
            lengths[shard] += down_length + up_length;
        }
        let shards = lengths.into_iter().enumerate().map(|(index, length)| Shard::new(index, length, accumulate));
        Self {
            rank,
            alpha,
            segments,
            shards: shards.collect(),
            scale: Buffer::declare("LoRA scale", 4),
            loss_scale: Buffer::declare("loss scale", 16),
            first_loss_scale: 1.0,
        }
    }

    /// With gradients that begin `factor` times as large as they are.
    #[must_use]
    pub fn with_loss_scale(self, factor: f32) -> Self {
        Self { first_loss_scale: factor, ..self }
    }

    /// Device memory of parameters, gradients and moments.
    pub fn bytes(&self) -> u64 {
        self.shards.iter().map(Shard::bytes).sum()
    }

    /// Number of trained values.
    pub fn parameter_count(&self) -> usize {
        let of = |segment: &Segment| self.rank * (segment.module.in_features + segment.module.out_features);
        self.segments.iter().map(of).sum()
    }

    pub fn module_count(&self) -> usize {
        self.segments.len()
    }

    /// kohya's initial values: `down` uniform, `up` zero.
    pub fn initialize(&self, gpu: &Gpu, seed: u64) {
        let modules = self.segments.iter().enumerate().map(|(index, segment)| {
            let Module { in_features, out_features, .. } = segment.module;
            let mut down = vec![0.0; self.rank * in_features];
            lora_init(seed, index as u32, in_features, &mut down);
            (down, vec![0.0; self.rank * out_features])
        });
        self.write(gpu, &modules.collect::<Vec<_>>());
    }

    /// The one of `modules` for each of ours.
    ///
    /// # Errors
    /// A module that is missing, or of another rank or alpha.
    pub fn matching<'m>(&self, modules: &'m [LoraModule]) -> Result<Vec<&'m LoraModule>> {
        self.segments.iter().map(|segment| self.matching_one(&segment.module.path, modules)).collect()
    }

    fn matching_one<'m>(&self, path: &str, modules: &'m [LoraModule]) -> Result<&'m LoraModule> {
        let Some(found) = modules.iter().find(|module| module.path == *path) else {
            bail!("the LoRA to start from has nothing for `{path}`; train it with the same `lora_target`");
        };
        let (rank, alpha) = (found.rank, found.alpha);
        ensure!(
            rank == self.rank && alpha == self.alpha,
            "the LoRA to start from has rank {rank} and alpha {alpha} at `{path}`, the configuration asks for rank {} \
             and alpha {}; set `lora_rank: {rank}` and `lora_alpha: {alpha}`",
            self.rank,
            self.alpha,
        );
        Ok(found)
    }

    /// Starts from given matrices.
    ///
    /// # Errors
    /// As [`Lora::matching`].
    pub fn load(&self, gpu: &Gpu, modules: &[LoraModule]) -> Result<()> {
        let matrices = self.matching(modules)?.into_iter().map(|module| (module.down.clone(), module.up.clone()));
        self.write(gpu, &matrices.collect::<Vec<_>>());
        Ok(())
    }

    /// Uploads (down, up) of each module and resets the optimizer.
    fn write(&self, gpu: &Gpu, matrices: &[(Vec<f32>, Vec<f32>)]) {
        for (index, shard) in self.shards.iter().enumerate() {
            let mut flat = vec![0f32; shard.elements];
            for (segment, (down, up)) in
                self.segments.iter().zip(matrices).filter(|(segment, _)| segment.shard == index)
            {
                flat[segment.down..][..down.len()].copy_from_slice(down);
                for (row, values) in up.chunks_exact(self.rank).enumerate() {
                    flat[segment.up + row * padded(self.rank)..][..self.rank].copy_from_slice(values);
                }
            }
            gpu.upload(&shard.parameters.whole(), bytemuck::cast_slice(&flat));
            for buffer in [&shard.gradients, &shard.accumulated, &shard.first_moment, &shard.second_moment] {
                gpu.clear(&buffer.whole());
            }
        }
        gpu.upload(&self.scale.whole(), bytemuck::cast_slice(&[self.alpha / self.rank as f32]));
        gpu.upload(&self.loss_scale.whole(), bytemuck::cast_slice(&[self.first_loss_scale, 0.0, 0.0, 0.0]));
    }

    /// Starts a new sum of gradients.
    pub fn clear_accumulated(&self, gpu: &Gpu) {
        self.shards.iter().for_each(|shard| gpu.clear(&shard.accumulated.whole()));
    }

    /// The current matrices.
    ///
    /// # Errors
    /// A failure of the device.
    pub fn read(&self, gpu: &Gpu) -> Result<Vec<LoraModule>> {
        self.read_from(gpu, |shard| &shard.parameters)
    }

    /// Does `work` with parameters as a file of `precision` would give them back, then puts their own bits back.
    ///
    /// # Errors
    /// What `work` says; a failure of the device.
    pub fn as_saved<T>(&self, gpu: &Gpu, precision: SavePrecision, work: impl FnOnce() -> Result<T>) -> Result<T> {
        let own: Vec<Vec<u8>> =
            self.shards.iter().map(|shard| gpu.read(&shard.parameters.whole())).collect::<Result<_, _>>()?;
        for (shard, bytes) in self.shards.iter().zip(&own) {
            let values: Vec<f32> = bytemuck::pod_collect_to_vec(bytes);
            let rounded: Vec<f32> = values.into_iter().map(|value| precision.rounded(value)).collect();
            gpu.upload(&shard.parameters.whole(), bytemuck::cast_slice(&rounded));
        }
        let result = work();
        for (shard, bytes) in self.shards.iter().zip(&own) {
            gpu.upload(&shard.parameters.whole(), bytes);
        }
        result
    }

    /// The gradients of the last step, in the shape of the LoRA, times the loss scale.
    ///
    /// # Errors
    /// A failure of the device.
    pub fn read_gradients(&self, gpu: &Gpu) -> Result<Vec<LoraModule>> {
        self.read_from(gpu, |shard| &shard.gradients)
    }

    fn read_from(&self, gpu: &Gpu, buffer: impl Fn(&Shard) -> &Buffer) -> Result<Vec<LoraModule>> {
        let mut shards: Vec<Vec<f32>> = Vec::with_capacity(self.shards.len());
        for shard in &self.shards {
            shards.push(bytemuck::pod_collect_to_vec(&gpu.read(&buffer(shard).whole())?));
        }
        Ok(self.segments.iter().map(|segment| self.module(segment, &shards[segment.shard])).collect())
    }

    fn module(&self, segment: &Segment, flat: &[f32]) -> LoraModule {
        let Module { path, in_features, out_features, conv } = segment.module.clone();
        let width = padded(self.rank);
        let rows = flat[segment.up..].chunks_exact(width).take(out_features);
        LoraModule {
            part: Part::Unet,
            path,
            conv,
            rank: self.rank,
            in_features,
            out_features,
            alpha: self.alpha,
            down: flat[segment.down..][..self.rank * in_features].to_vec(),
            up: rows.flat_map(|row| &row[..self.rank]).copied().collect(),
        }
    }

    /// Puts the LoRA onto a tape.
    pub fn record(&self, tape: &mut Tape) -> RecordedLora {
        self.record_scaled(tape, &self.scale)
    }

    /// Puts the LoRA onto a tape with a scale of its own, (1): alpha / rank times a strength.
    pub fn record_scaled(&self, tape: &mut Tape, scale: &Buffer) -> RecordedLora {
        let scale = tape.external("LoRA scale", &[1], DType::F32, &scale.whole());
        let mut parameters = Vec::with_capacity(2 * self.segments.len());
        let mut adapters = Vec::with_capacity(self.segments.len());
        for segment in &self.segments {
            let [(down_slice, down_shape), (up_slice, up_shape)] = self.slices(segment, |shard| &shard.parameters);
            let path = &segment.module.path;
            let down = tape.external(&format!("{path}.lora_down"), &down_shape, DType::F32, &down_slice);
            let up = tape.external(&format!("{path}.lora_up"), &up_shape, DType::F32, &up_slice);
            parameters.extend([down, up]);
            adapters.push((path.clone(), Adapter { down, up, scale }));
        }
        RecordedLora { adapters: adapters.into_iter().collect(), parameters }
    }

    /// Lets the gradients of [`RecordedLora::parameters`] be computed into the shards.
    pub fn place_gradients(&self, tape: &mut Tape, gradients: &[Option<Value>]) {
        for (segment, pair) in self.segments.iter().zip(gradients.chunks_exact(2)) {
            let slices = self.slices(segment, |shard| &shard.gradients);
            for (gradient, (slice, _)) in pair.iter().zip(slices) {
                let gradient = gradient.expect("every LoRA module of the U-Net leads to its output");
                tape.place(gradient, &slice);
            }
        }
    }

    /// Bytes and shapes of a module's down and up in one of a shard's buffers.
    fn slices(&self, segment: &Segment, buffer: impl Fn(&Shard) -> &Buffer) -> [(BufferSlice, [usize; 2]); 2] {
        let rank = padded(self.rank);
        let down = [rank, segment.module.in_features];
        let up = [segment.module.out_features, rank];
        let slice = |offset: usize, shape: [usize; 2]| BufferSlice {
            buffer: buffer(&self.shards[segment.shard]).clone(),
            offset: 4 * offset as u64,
            bytes: 4 * (shape[0] * shape[1]) as u64,
        };
        [(slice(segment.down, down), down), (slice(segment.up, up), up)]
    }
}

impl Shard {
    fn new(index: usize, elements: usize, accumulate: bool) -> Self {
        let declare = |what: &str| Buffer::declare(format!("LoRA {what} {index}"), 4 * elements as u64);
        let gradients = declare("gradients");
        let accumulated = if accumulate { declare("accumulated gradients") } else { gradients.clone() };
        Self {
            parameters: declare("parameters"),
            gradients,
            accumulated,
            first_moment: declare("first moment"),
            second_moment: declare("second moment"),
            elements,
        }
    }

    /// Bytes of all its buffers.
    pub fn bytes(&self) -> u64 {
        let accumulated = if self.accumulated.same_as(&self.gradients) { 0 } else { self.accumulated.bytes() };
        4 * self.parameters.bytes() + accumulated
    }
}
