//! The U-Net as samplers call it: noise predicted with and without the prompt, in one batch of two.

use anyhow::Result;

use crate::{
    gpu::{Gpu, GpuError},
    models::{UNet, UNetInputs},
    nn::{Adapters, Recording, nchw_to_nhwc, nhwc_to_nchw, padded},
    ops,
    size::Size,
    tape::{DType, Input, Plan, Program, Tape},
};

use super::lora_stack::LoraStack;

/// Sizes that a denoiser is compiled for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DenoiserShape {
    /// Of the latent.
    pub size: Size,
    /// Tokens of the text embedding: 77 for each chunk of a prompt.
    pub tokens: usize,
    /// Whether the negative prompt is computed beside the prompt.
    pub guided: bool,
}

impl DenoiserShape {
    fn batch(self) -> usize {
        1 + usize::from(self.guided)
    }
}

/// The U-Net compiled for one picture.
pub struct Denoiser {
    program: Program,
    inputs: DenoiserInputs,
    pub shape: DenoiserShape,
    embedding_width: usize,
    latent_channels: usize,
}

/// What is written before each call.
#[derive(Clone, Copy)]
pub struct DenoiserInputs {
    sample: Input,
    timestep: Input,
    context: Input,
}

/// What the U-Net predicts for one picture: (4, H, W), channels first.
pub struct Predicted {
    pub unconditional: Option<Vec<f32>>,
    pub conditional: Vec<f32>,
}

impl Predicted {
    /// Classifier-free guidance (Ho and Salimans, 2022): u + scale · (c − u).
    pub fn guided(self, scale: f32) -> Vec<f32> {
        match self.unconditional {
            None => self.conditional,
            Some(without) => without.iter().zip(&self.conditional).map(|(u, c)| u + scale * (c - u)).collect(),
        }
    }
}

impl Denoiser {
    /// Records and plans the forward pass, with the LoRA that `record` puts onto the tape, and activations stored as F32
    /// or F16.
    ///
    /// # Errors
    /// A value too large for the device.
    pub fn plan(
        gpu: &Gpu,
        unet: &UNet,
        record: impl FnOnce(&mut Tape) -> Adapters,
        shape: DenoiserShape,
        activations: DType,
    ) -> Result<(Plan, DenoiserInputs), GpuError> {
        let DenoiserShape { size, tokens, .. } = shape;
        let (batch, config) = (shape.batch(), &unet.config);
        let mut tape = Tape::new();
        let inputs = DenoiserInputs {
            sample: tape.input("sample", &[batch, size.height, size.width, padded(config.in_channels)]),
            timestep: tape.input("timestep", &[batch, config.block_out_channels[0]]),
            context: tape.input("context", &[batch, tokens, config.cross_attention_dim]),
        };
        let adapters = record(&mut tape);
        let DenoiserInputs { sample, timestep, context } = inputs;
        let read = UNetInputs { sample: sample.value, timestep: timestep.value, context: context.value };
        let prediction = unet.predict(&mut Recording::adapted(&mut tape, &adapters), read, activations);
        tape.keep("prediction", prediction);
        Ok((Plan::new("denoiser", tape, gpu.caps())?, inputs))
    }

    /// Takes the compiled [`Denoiser::plan`].
    pub fn of(program: Program, inputs: DenoiserInputs, unet: &UNet, shape: DenoiserShape) -> Self {
        let config = &unet.config;
        Self {
            program,
            inputs,
            shape,
            embedding_width: config.block_out_channels[0],
            latent_channels: config.in_channels,
        }
    }

    /// Compiles for `shape`.
    ///
    /// # Errors
    /// A failure of the device, above all too little memory.
    pub fn compile(gpu: &Gpu, unet: &UNet, lora: &LoraStack, shape: DenoiserShape) -> Result<Self, GpuError> {
        let (plan, inputs) = Self::plan(gpu, unet, |tape| lora.record(tape), shape, DType::F32)?;
        let program = Program::build(gpu, vec![plan])?.remove(0);
        Ok(Self::of(program, inputs, unet, shape))
    }

    /// Sets the text embeddings, (tokens, D) each; `negative` is read where the shape is guided.
    pub fn set_context(&self, gpu: &Gpu, prompt: &[f32], negative: &[f32]) {
        let contexts: &[&[f32]] = if self.shape.guided { &[negative, prompt] } else { &[prompt] };
        self.program.write(gpu, self.inputs.context, &contexts.concat());
    }

    /// Predicts at the timestep `t`, which need not be whole; `sample` is (4, H, W), channels first.
    ///
    /// # Errors
    /// A failure of the device.
    pub fn predict(&self, gpu: &Gpu, sample: &[f32], t: f64) -> Result<Predicted, GpuError> {
        let (batch, channels) = (self.shape.batch(), self.latent_channels);
        let pixels = self.shape.size.area();
        self.program.write(gpu, self.inputs.sample, &nchw_to_nhwc(sample, channels, pixels).repeat(batch));
        self.program.write(gpu, self.inputs.timestep, &ops::timestep_embedding(&vec![t; batch], self.embedding_width));
        self.program.replay(gpu);
        let both = nhwc_to_nchw(&self.program.read(gpu, "prediction")?, channels, pixels);
        let (without, with) = both.split_at(both.len() - channels * pixels);
        Ok(Predicted { unconditional: self.shape.guided.then(|| without.to_vec()), conditional: with.to_vec() })
    }
}
