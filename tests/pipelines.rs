//! How many pipelines a run has to compile, at Stable Diffusion's widths: a start waits for them.

use lora_wgpu::{
    config::LoraTarget,
    diffusion::Prediction,
    gpu::{Gpu, GpuOptions, Variant},
    models::{UNet, UNetConfig, VaeConfig, VaeDecoder, VaeEncoder, encode::BuiltDecoder},
    nn::Builder,
    sample::denoiser::{Denoiser, DenoiserShape},
    tape::{Checkpointing, DType},
    train::{
        lora::{Lora, is_target},
        step::{StepOptions, StepPlans, StepShape},
    },
    weights::{PartTensors, StorageType},
};

/// Of training with previews.
const MOST_PIPELINES: usize = 80;

#[test]
fn training_with_previews_needs_few_pipelines() {
    let vae = generated_vae();
    let decoder = BuiltDecoder::new(&vae).expect("a VAE");
    let weights = generated(|builder| drop(UNet::new(builder, UNetConfig::stable_diffusion_v1())));
    let builder = Builder::new(&weights);
    let unet = UNet::new(&builder, UNetConfig::stable_diffusion_v1());
    let built = builder.finish("U-Net").expect("a U-Net");
    for variant in [Variant::Portable, Variant::CpuDriver] {
        let options = GpuOptions { variant: Some(variant), ..Default::default() };
        let gpu = Gpu::open(&options).expect("the tests need a Vulkan driver");
        for (activations, side) in [(DType::F32, 32), (DType::F32, 64), (DType::F16, 32), (DType::F16, 64)] {
            let modules = built.modules.iter().filter(|module| is_target(LoraTarget::Attention, &module.path));
            let lora = Lora::new(modules.cloned().collect(), 16, 16.0, gpu.caps().max_binding, false);
            let shape = StepShape { batch: 1, height: side, width: side, tokens: 77 };
            let options = StepOptions {
                prediction: Prediction::Epsilon,
                checkpointing: Checkpointing::Off,
                activations,
                accumulate: false,
                observed: Vec::new(),
            };
            let mut plans = StepPlans::new(&gpu, &unet, &lora, shape, options).expect("a plan");
            let trained = plans.kernels().len();
            let shape = DenoiserShape { height: side, width: side, tokens: 77, guided: true };
            let record = |tape: &mut _| lora.record(tape).adapters;
            let denoiser = Denoiser::plan(&gpu, &unet, record, shape, activations).expect("a plan");
            plans.share_slots(vec![denoiser, decoder.plan(&gpu, side, side).expect("a plan")]);
            let pipelines = plans.kernels().len();
            println!("{variant:?}, {activations:?}, {side}²: {trained}, with previews {pipelines}");
            assert!(pipelines <= MOST_PIPELINES, "{variant:?}, {activations:?}, {side}²: {pipelines} pipelines");
        }
    }
}

fn generated_vae() -> PartTensors {
    let vae = VaeConfig {
        image_channels: 3,
        latent_channels: 4,
        block_out_channels: vec![128, 256, 512, 512],
        layers_per_block: 2,
    };
    generated(|builder| {
        VaeEncoder::new(builder, vae.clone());
        VaeDecoder::new(builder, vae.clone());
    })
}

fn generated(build: impl FnOnce(&Builder<'_>)) -> PartTensors {
    PartTensors::generated(Builder::tensors_of(build), StorageType::F16)
}
