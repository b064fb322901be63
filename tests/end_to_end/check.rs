//! Recorded cases through the trainer's own programs, held against PyTorch.

use std::path::Path;

use lora_wgpu::{
    check::training::{CaseOptions, GroupError, compare, run},
    gpu::Gpu,
    tape::{Checkpointing, DType},
    weights::{Checkpoint, OwnedTensor, SafetensorsFile},
};

use crate::support::{
    case::{case, reference, reference_path, write_case},
    devices::{cpu_driver, portable},
    small_training::SmallTraining,
    synthetic::{checkpoint, checkpoint_f16, write},
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
    let Some(gpu) = cpu_driver() else { return };
    assert_accepted("transformer", &record(gpu, checkpoint(), "transformer", Checkpointing::Blocks));
    let first = record(gpu, checkpoint(), "attention", Checkpointing::Off);
    assert_accepted("attention", &first);
    assert_same_bits(&first, &record(gpu, checkpoint(), "attention", Checkpointing::Off));
    for checkpointing in [Checkpointing::Cheap, Checkpointing::Blocks] {
        assert_same_bits(&first, &record(gpu, checkpoint(), "attention", checkpointing));
    }
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

#[test]
fn frozen_weights_on_the_device_do_not_change() {
    let gpu = cpu_driver().unwrap_or(portable());
    let training = SmallTraining::new(gpu, DType::F32, 1.0);
    let read = || -> Vec<Vec<u8>> {
        training.weights.iter().map(|weight| gpu.read(&weight.slice).expect("a weight")).collect()
    };
    let before = read();
    for step in 1..=2 {
        assert!(training.step(step, 0.1).finite);
    }
    let trained = training.trained.adapters.read(gpu).expect("the LoRA");
    assert!(
        trained.iter().all(|module| module.tensors[1].values.iter().any(|&value| value != 0.0)),
        "nothing was trained"
    );
    for (weight, (before, after)) in training.weights.iter().zip(before.iter().zip(read())) {
        assert!(*before == after, "{} changed", weight.name);
    }
}
