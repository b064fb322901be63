//! Recorded cases through the trainer's own programs, held against PyTorch.

use std::path::Path;

use lora_wgpu::{
    gpu::Gpu,
    models::{UNet, UNetConfig},
    nn::{Builder, Built},
    tape::Checkpointing,
    train::{
        case::{CaseOptions, GroupError, TrainingCase, compare, run},
        lora::{Lora, is_target},
        step::{Batch, StepOptions, StepPlans, StepShape, UpdateSettings},
    },
    weights::{Checkpoint, OwnedTensor, SafetensorsFile},
};

use crate::support::{
    case::{case, reference, reference_path, write_case},
    devices::{cpu_driver, portable},
    synthetic::{checkpoint, checkpoint_f16, uniform, write},
    workspace::{Finished, run as run_program},
};

fn record(gpu: &Gpu, model: &Path, name: &str, checkpointing: Checkpointing) -> Vec<OwnedTensor> {
    let checkpoint = Checkpoint::open(model, None).expect("the synthetic checkpoint");
    run(gpu, &checkpoint, &case(name), CaseOptions { checkpointing }, |_, _| {}).expect("a run of the case")
}

fn missed(reference: &SafetensorsFile, recorded: &[OwnedTensor]) -> Vec<GroupError> {
    let errors = compare(reference, recorded).expect("every recorded tensor has a twin");
    errors.into_iter().filter(|error| !error.accepted()).collect()
}

#[track_caller]
fn assert_accepted(name: &str, recorded: &[OwnedTensor]) {
    let missed = missed(&reference(name), recorded);
    assert!(missed.is_empty(), "{name}: {missed:#?}");
}

#[track_caller]
fn assert_same_bits(left: &[OwnedTensor], right: &[OwnedTensor]) {
    assert_eq!(left.len(), right.len());
    for (left, right) in left.iter().zip(right) {
        assert_eq!(left.name, right.name);
        assert!(left.bytes == right.bytes, "{} differs", left.name);
    }
}

#[test]
fn portable_kernels_agree_with_pytorch() {
    for name in ["attention", "transformer"] {
        assert_accepted(name, &record(portable(), checkpoint(), name, Checkpointing::Off));
    }
}

#[test]
fn cpu_driver_kernels_agree_with_pytorch_and_repeat_bit_by_bit() {
    let Some(gpu) = cpu_driver() else {
        println!("skipped: these kernels are for software drivers with eight lanes");
        return;
    };
    assert_accepted("transformer", &record(gpu, checkpoint(), "transformer", Checkpointing::Blocks));
    let first = record(gpu, checkpoint(), "attention", Checkpointing::Off);
    assert_accepted("attention", &first);
    assert_same_bits(&first, &record(gpu, checkpoint(), "attention", Checkpointing::Off));
    assert_same_bits(&first, &record(gpu, checkpoint(), "attention", Checkpointing::Blocks));
}

#[test]
fn half_precision_weights_agree_with_pytorchs_on_the_same_rounded_weights() {
    let gpu = cpu_driver().unwrap_or(portable());
    let recorded = record(gpu, checkpoint_f16(), "attention", Checkpointing::Off);
    assert_accepted("attention_f16", &recorded);
    assert!(!missed(&reference("attention"), &recorded).is_empty(), "rounded weights give other numbers");
}

/// Copies a reference with one value of the tensor `name` a little off.
fn perturb(reference: &SafetensorsFile, name: &str, path: &Path) {
    let copy = |tensor: lora_wgpu::weights::Tensor<'_>| OwnedTensor {
        name: tensor.name.to_owned(),
        dtype: tensor.dtype,
        shape: tensor.shape.to_vec(),
        bytes: tensor.bytes.to_vec(),
    };
    let mut tensors: Vec<OwnedTensor> = reference.tensors().map(copy).collect();
    let tensor = tensors.iter_mut().find(|tensor| tensor.name == name).expect("a tensor of the reference");
    let value = f32::from_le_bytes([tensor.bytes[0], tensor.bytes[1], tensor.bytes[2], tensor.bytes[3]]);
    tensor.bytes[..4].copy_from_slice(&(1.01 * value + 0.01).to_le_bytes());
    write(path, tensors);
}

fn check(case: &Path, reference: &Path) -> Finished {
    let text = |path: &Path| path.display().to_string();
    let (model, reference) = (text(checkpoint()), text(reference));
    run_program(&[
        "check".to_owned(),
        text(case),
        "--base-model".to_owned(),
        model,
        "--reference".to_owned(),
        reference,
    ])
}

#[test]
fn the_program_accepts_a_reference_and_names_what_a_broken_one_misses() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let case = write_case(folder.path(), "attention");
    let accepted = check(&case, &reference_path("attention")).expect_success();
    assert!(!accepted.stdout.contains("MISSED"), "{}", accepted.stdout);

    let broken = folder.path().join("broken.safetensors");
    perturb(&reference("attention"), "step1/block/mid_block", &broken);
    let finished = check(&case, &broken);
    assert_eq!(finished.code, Some(1), "{}", finished.stderr);
    let missed: Vec<&str> = finished.stdout.lines().filter(|line| line.ends_with("MISSED")).collect();
    assert!(matches!(missed[..], [line] if line.starts_with("step1/block/mid_block ")), "{}", finished.stdout);

    let finished = check(&broken, &broken);
    finished.expect_refusal(&["broken.safetensors is not a training case"]);
}

/// Two steps at a high learning rate, with nothing but the LoRA to change.
fn train(gpu: &Gpu, unet: &UNet, built: &Built<'_>) {
    let case: TrainingCase = case("attention");
    let modules = built.modules.iter().filter(|module| is_target(case.target, &module.path)).cloned().collect();
    let lora = Lora::new(modules, case.rank, case.alpha, gpu.caps().max_binding, false);
    // Latents of the last level are more than one: a softmax over one key teaches q and k nothing.
    let shape = StepShape { batch: 1, height: 16, width: 16, tokens: 77 };
    let options = StepOptions {
        prediction: case.prediction,
        checkpointing: Checkpointing::Off,
        accumulate: false,
        observed: Vec::new(),
    };
    let programs = StepPlans::new(gpu, unet, &lora, shape, options).and_then(|plans| plans.compile(gpu));
    let programs = programs.expect("memory for a small U-Net");
    lora.initialize(gpu, 1);
    let batch = Batch {
        latents: uniform("latents", 1024, 1.0),
        noise: uniform("noise", 1024, 1.0),
        timesteps: vec![500],
        context: uniform("context", 77 * unet.config.cross_attention_dim, 1.0),
        weights: vec![1.0],
    };
    for step in 1..=2 {
        programs.run(gpu, &batch).expect("a batch of these sizes");
        let settings = UpdateSettings { adamw: case.adamw, learning_rate: 0.1, max_grad_norm: 0.0, step };
        assert!(programs.update(gpu, &settings).wait(gpu).expect("an update").finite);
    }
    let trained = lora.read(gpu).expect("the LoRA");
    assert!(trained.iter().all(|module| module.up.iter().any(|&value| value != 0.0)), "nothing was trained");
}

#[test]
fn frozen_weights_on_the_device_do_not_change() {
    let gpu = cpu_driver().unwrap_or(portable());
    let checkpoint = Checkpoint::open(checkpoint(), None).expect("the synthetic checkpoint");
    let builder = Builder::new(&checkpoint.unet);
    let unet = UNet::new(&builder, UNetConfig::of(&checkpoint.unet).expect("its widths"));
    let built = builder.finish("U-Net").expect("a complete U-Net");
    built.upload(gpu, |_| {}).expect("memory for a small U-Net");
    let read = || -> Vec<Vec<u8>> {
        built.uploads.iter().map(|upload| gpu.read(&upload.weight.slice).expect("a weight")).collect()
    };
    let before = read();
    train(gpu, &unet, &built);
    for (upload, (before, after)) in built.uploads.iter().zip(before.iter().zip(read())) {
        assert!(*before == after, "{} changed", upload.weight.name);
    }
}
