//! Runs whose loss counts in parts of pictures.

use std::fs;

use image::{DynamicImage, GrayImage, Luma, Rgba};
use lora_wgpu::weights::SafetensorsFile;

use crate::support::workspace::{Finished, PICTURES, Workspace};

/// A workspace whose pictures are transparent in their right half.
fn half_transparent() -> Workspace {
    let workspace = Workspace::new();
    for index in 0..PICTURES {
        let path = workspace.data().join(format!("p{index}.png"));
        let mut picture = image::open(&path).expect("a picture of ours").into_rgba8();
        let width = picture.width();
        for (_, _, Rgba([.., alpha])) in picture.enumerate_pixels_mut().filter(|(x, ..)| 2 * x >= width) {
            *alpha = 0;
        }
        picture.save(path).expect("a small picture");
    }
    workspace
}

/// Writes the pictures' alpha channels as masks beside them.
fn write_masks(workspace: &Workspace) {
    for index in 0..PICTURES {
        let picture = image::open(workspace.data().join(format!("p{index}.png"))).expect("ours").into_rgba8();
        let mask = GrayImage::from_fn(picture.width(), picture.height(), |x, y| Luma([picture.get_pixel(x, y)[3]]));
        let path = workspace.data().join(format!("p{index}-masklabel.png"));
        DynamicImage::ImageLuma8(mask).into_rgb8().save(path).expect("a small picture");
    }
}

/// One update over all pictures, in a batch with room to spare: its loss and norm, and the probe loss before it.
fn one_update(workspace: &Workspace, settings: &[&str]) -> ([f64; 3], Finished) {
    let before = if workspace.output().exists() { workspace.probe_losses().len() } else { 0 };
    let finished = workspace.train(&[&["batch_size=8"], settings].concat()).expect_success();
    let steps = workspace.metrics("grad_norm");
    let last = steps.last().expect("a step");
    let [loss, norm] = ["loss", "grad_norm"].map(|key| last[key].as_f64().expect("a number"));
    ([loss, norm, workspace.probe_losses()[before]], finished)
}

#[test]
fn what_is_transparent_or_black_does_not_count() {
    let workspace = half_transparent();
    let ([whole, _, probe], _) = one_update(&workspace, &[]);
    let (masked, _) = one_update(&workspace, &["alpha_mask=true"]);
    let share = masked[0] / whole;
    assert!((0.3..0.7).contains(&share), "half of the pictures count, and {share} of the loss");
    assert_eq!(masked[2], probe, "probes measure whole pictures");
    let file = SafetensorsFile::open(&workspace.lora()).expect("a LoRA file just written");
    assert_eq!(file.metadata()["ss_masked_loss"], "True");

    write_masks(&workspace);
    for run in ["that fills the cache", "that finds it"] {
        let (by_files, finished) = one_update(&workspace, &["masked_loss=true", "cache_latents_to_disk=true"]);
        assert_eq!(by_files, masked, "a run {run}: the same masks from files\n{}", finished.stderr);
        let kept = workspace.written().into_iter().filter(|file| file.starts_with("cache/")).count();
        assert_eq!(kept, 2 * PICTURES as usize, "latents and masks of a run {run}");
    }
}

#[test]
fn masks_that_are_black_or_missing_are_told() {
    let workspace = half_transparent();
    write_masks(&workspace);
    GrayImage::new(10, 10).save(workspace.data().join("p0-masklabel.png")).expect("a small picture");
    fs::remove_file(workspace.data().join("p1-masklabel.png")).expect("a mask of ours");
    let (_, finished) = one_update(&workspace, &["masked_loss=true"]);
    for line in [
        "note: masks come from 5 files and 0 pictures' own transparency",
        "note: pictures without a mask, all of which counts (1): p1.png",
        "note: masks of another size than their picture, stretched over it (1): p0-masklabel.png (10×10, its picture 96×96)",
        "warning: pictures of which nothing counts, for all that is left of their mask is black (1): p0.png",
    ] {
        assert!(finished.stderr.lines().any(|said| said == line), "{line}\n{}", finished.stderr);
    }
    let refused = Workspace::new().train(&["masked_loss=true"]);
    refused.expect_refusal(&["none of the 6 pictures has a mask", "conditioning_data_dir"]);
}
