//! Optimizers by their configuration, and recorded cases of them, which need no model.

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
};

use lora_wgpu::weights::{SafetensorsFile, write_safetensors};

use crate::support::{
    synthetic::f32_tensor,
    workspace::{NAME, Workspace, run},
};

#[test]
fn every_optimizer_trains_and_is_named_in_the_file() {
    let workspace = Workspace::new();
    for (name, class) in [
        ("Prodigy", "prodigyopt.prodigy.Prodigy("),
        ("AdaFactor", "transformers.optimization.Adafactor("),
        ("CAME", "came_pytorch.CAME.CAME("),
        ("AdamWScheduleFree", "schedulefree.adamw_schedulefree.AdamWScheduleFree("),
        ("Lion8bit", "lion_pytorch.lion_pytorch.Lion("),
    ] {
        let optimizer = format!("optimizer_type={name}");
        workspace.train(&[&optimizer, "max_train_steps=2"]).expect_success();
        let file = SafetensorsFile::open(&workspace.output().join(format!("{NAME}.safetensors"))).expect("a LoRA");
        let said = &file.metadata()["ss_optimizer"];
        assert!(said.starts_with(class), "{name}: {said}");
    }
}

/// A case of plain gradient descent: one update of two parameters, which are 1 and −2, by half of their gradients.
fn write_case(folder: &Path, after: [f32; 2]) -> [PathBuf; 2] {
    let header = [("kind", "optimizer"), ("optimizer", "torch.optim.SGD"), ("steps", "1"), ("lr", "0.5")];
    let arguments = [("momentum", "0"), ("nesterov", "True")];
    let header: BTreeMap<String, String> =
        header.into_iter().chain(arguments).map(|(key, value)| (key.to_owned(), value.to_owned())).collect();
    let [case, reference] = ["case", "reference"].map(|name| folder.join(format!("{name}.safetensors")));
    let given = vec![f32_tensor("p0/w", &[2], &[1.0, -2.0]), f32_tensor("grad/w", &[1, 2], &[4.0, 2.0])];
    write_safetensors(&case, given, &header).expect("the test's folder can be written");
    write_safetensors(&reference, vec![f32_tensor("step1/w", &[2], &after)], &header).expect("the same folder");
    [case, reference]
}

#[test]
fn a_recorded_case_needs_no_model() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let check = |after: [f32; 2]| {
        let [case, reference] = write_case(folder.path(), after).map(|path| path.display().to_string());
        run(&["check".to_owned(), case, "--reference".to_owned(), reference])
    };
    check([-1.0, -3.0]).expect_success();
    let missed = check([-1.0, -3.01]);
    assert!(missed.code == Some(1) && missed.stdout.contains("MISSED"), "{}", missed.stdout);
}

#[test]
fn other_cases_ask_for_their_model() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let path = folder.path().join("case.safetensors");
    write_safetensors(&path, vec![f32_tensor("latents", &[1], &[0.0])], &BTreeMap::new()).expect("a writable folder");
    run(&["check".to_owned(), path.display().to_string()]).expect_refusal(&["--base-model MODEL"]);
}
