//! Captions and tags from made-up models: recorded cases of transformers, and the program as a user runs it.

use std::path::Path;

use crate::support::{
    label_models::{blip, clip, recorded},
    workspace::{Finished, run},
};

fn text(path: &Path) -> String {
    path.display().to_string()
}

fn check(name: &str, model: &Path, more: &[&str]) -> Finished {
    let case = text(&recorded(name));
    let arguments = ["check", &case, "--reference", &case, "--base-model", &text(model)];
    run(&arguments.iter().chain(more).map(|&argument| argument.to_owned()).collect::<Vec<_>>())
}

#[test]
fn features_logits_and_captions_agree_with_transformers() {
    for kernels in [&[][..], &["--kernels", "portable"]] {
        let finished = check("blip", blip(), kernels).expect_success();
        assert!(finished.stdout.contains("5 of 5 groups"), "{}", finished.stdout);
    }
}

#[test]
fn embeddings_and_similarities_agree_with_transformers() {
    for kernels in [&[][..], &["--kernels", "portable"]] {
        let finished = check("clip", clip(), kernels).expect_success();
        assert!(finished.stdout.contains("3 of 3 groups"), "{}", finished.stdout);
    }
}

#[test]
fn a_model_of_another_kind_is_named() {
    check("blip", clip(), &[]).expect_refusal(&["it is clip, not blip", "blip-image-captioning-base"]);
}
