//! Pictures drawn while training.

use std::fs;

use lora_wgpu::weights::SafetensorsFile;

use crate::support::workspace::{NAME, Workspace};

const SETTINGS: &str = "max_train_steps: 4\nbatch_size: 3\nlearning_rate: 1e-2\nlr_warmup_steps: 0\n";

/// Bytes of the LoRA's tensors after training.
fn trained(workspace: &Workspace, lines: &str) -> Vec<(String, Vec<u8>)> {
    workspace.configure(&format!("{SETTINGS}{lines}"));
    workspace.train(&[]).expect_success();
    let file = SafetensorsFile::open(&workspace.lora()).expect("a LoRA file just written");
    file.tensors().map(|tensor| (tensor.name.to_owned(), tensor.bytes.to_vec())).collect()
}

#[test]
fn previews_are_drawn_and_change_no_bit_of_the_result() {
    let (with, without) = (Workspace::new(), Workspace::new());
    let previews = "sample_prompts: [\"silk pattern --s 2 --d 7\", \"a rose --s 2 --w 64 --h 128\"]\n\
                    sample_at_first: true\nsample_every_n_steps: 3\nsave_every_n_epochs: 9\n";
    let drawn = trained(&with, previews);
    let pictures: Vec<String> = with.written().into_iter().filter(|name| name.starts_with("samples/")).collect();
    let expected = ["000001", "000002", "first", "step00000003"].map(|moment| format!("samples/{NAME}-{moment}.png"));
    assert_eq!(pictures, expected);
    assert!(drawn == trained(&without, "save_every_n_epochs: 9\n"), "previews change the LoRA");

    let read = |moment: &str| fs::read(with.output().join(format!("samples/{NAME}-{moment}.png"))).expect("a picture");
    let decode = |moment: &str| image::load_from_memory(&read(moment)).expect("a PNG file").into_rgb8();
    let (first, last) = (decode("first"), decode("000002"));
    assert_eq!(first.dimensions(), last.dimensions());
    assert_ne!(first, last, "the LoRA has learned something");
}

#[test]
fn previews_in_half_precision_show_the_same_picture() {
    let picture = |precision: &str| {
        let workspace = Workspace::new();
        let previews = "sample_prompts: [\"silk pattern --s 4 --d 7\"]\nsample_at_first: true\n";
        trained(&workspace, &format!("{previews}mixed_precision: {precision}\n"));
        let path = workspace.output().join(format!("samples/{NAME}-first.png"));
        image::open(path).expect("a PNG file").into_rgb8().into_raw()
    };
    let (single, half) = (picture("no"), picture("fp16"));
    let difference: u64 = single.iter().zip(&half).map(|(&a, &b)| u64::from(a.abs_diff(b))).sum();
    assert!(difference > 0, "activations of previews are stored as the step's");
    let mean = difference as f64 / single.len() as f64;
    assert!(mean < 0.5, "{mean} of 255 on average");
}

#[test]
fn prompts_that_cannot_be_drawn_are_refused_before_training() {
    let workspace = Workspace::new();
    let refused = |line: &str, parts: &[&str]| {
        workspace.configure(line);
        workspace.train(&[]).expect_refusal(parts);
    };
    refused("sample_prompts: [\"a <lora:silk:1> rose\"]", &["sample_prompts", "names a LoRA"]);
    refused("sample_prompts: [\"a rose --w 100\"]", &["sample_prompts", "100"]);
    refused("sample_prompts: missing.txt", &["sample_prompts", "missing.txt"]);
    refused("sample_sampler: eulr\nsample_prompts: a rose", &["sample_sampler", "euler"]);
    assert!(workspace.written().is_empty(), "{:?}", workspace.written());
}
