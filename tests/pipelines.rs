//! How many pipelines a run has to compile, at Stable Diffusion's widths: a start waits for them.

use lora_wgpu::{
    adapters::{AdapterSet, Group, Kind, SitePlan, is_target},
    config::{LoraTarget, OptimizerSettings},
    families::Prediction,
    gpu::{Gpu, GpuOptions, Variant},
    models::{UNet, UNetConfig, VaeConfig, VaeDecoder, VaeEncoder, encode::BuiltDecoder},
    nn::Builder,
    optim::Optimizer,
    sample::denoiser::{Denoiser, DenoiserShape},
    size::Size,
    tape::{Checkpointing, DType},
    train::{
        engine::LossScale,
        tasks::diffusion::{
            Objective, Trained,
            step::{Dropouts, StepOptions, StepShape},
        },
    },
    weights::{PartTensors, StorageType, lora::Part},
};

/// Of training with previews.
const MOST_PIPELINES: usize = 80;

#[test]
fn training_with_previews_needs_few_pipelines() {
    let vae = generated_vae();
    let decoder = BuiltDecoder::new(&vae).expect("a VAE");
    let weights = generated(|builder| drop(UNet::new(builder, UNetConfig::stable_diffusion_v1())));
    let builder = Builder::adaptable(&weights, Part::Unet);
    let unet = UNet::new(&builder, UNetConfig::stable_diffusion_v1());
    let built = builder.finish("the family", "U-Net").expect("a U-Net");
    for variant in [Variant::Portable, Variant::CpuDriver] {
        let options = GpuOptions { variant: Some(variant), ..Default::default() };
        let gpu = Gpu::open(&options).expect("the tests need a Vulkan driver");
        for (activations, side) in [(DType::F32, 32), (DType::F32, 64), (DType::F16, 32), (DType::F16, 64)] {
            let sites = built.sites.iter().filter(|site| is_target(LoraTarget::Attention, site));
            let sites = sites.map(|site| SitePlan::plain(site.clone(), 16, 16.0)).collect();
            let groups = vec![Group { part: Part::Unet, rate: 1e-4 }];
            let adapters = AdapterSet::new(Kind::Lora, sites, gpu.caps().max_binding, false);
            let optimizer = Optimizer::new(&OptimizerSettings::default());
            let training = Trained::new(adapters, groups, optimizer, LossScale::for_activations(activations));
            let shape = StepShape { batch: 1, size: Size::square(side), tokens: 77 };
            let options = StepOptions {
                objective: Objective::mse(Prediction::Epsilon),
                checkpointing: Checkpointing::Off,
                activations,
                dropouts: Dropouts::default(),
                observed: Vec::new(),
            };
            let mut plans = training.plan(&gpu, (&unet, None), &[shape], &options).expect("a plan");
            let trained = plans.kernels().len();
            let shape = DenoiserShape { size: Size::square(side), tokens: 77, guided: true };
            let adapters = &training.adapters;
            let record = |tape: &mut _| adapters.record(tape, &adapters.scales, &|_| None).adapters;
            let (denoiser, _) = Denoiser::plan(&gpu, &unet, record, shape, activations).expect("a plan");
            let (decoder, _) = decoder.plan(&gpu, Size::square(side)).expect("a plan");
            plans.share_slots(vec![denoiser, decoder]);
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
