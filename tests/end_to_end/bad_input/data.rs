//! Pictures and captions.

use std::fs;

use super::refused;
use crate::support::workspace::{PICTURES, Workspace};

fn without_captions() -> Workspace {
    let workspace = Workspace::new();
    (0..PICTURES).for_each(|index| workspace.remove(&format!("data/p{index}.txt")));
    workspace
}

#[test]
fn no_pictures() {
    let workspace = without_captions();
    (0..PICTURES).for_each(|index| workspace.remove(&format!("data/p{index}.png")));
    refused(&workspace, &[], &["there are no pictures in", "data", "it is empty"]);
    workspace.write("data/notes.docx", "");
    refused(&workspace, &[], &["there are no pictures in", "notes.docx", ".png, .jpg"]);
    fs::remove_dir_all(workspace.data()).expect("a folder of the test");
    refused(&workspace, &[], &["there is no folder", "train_data_dir"]);
}

#[test]
fn a_truncated_picture() {
    let workspace = Workspace::new();
    let whole = fs::read(workspace.path("data/p3.png")).expect("a picture");
    workspace.write("data/p3.png", &whole[..whole.len() / 2]);
    refused(&workspace, &[], &["p3.png", "damaged or cut short"]);
}

#[test]
fn what_is_done_to_odd_pictures_is_told() {
    let workspace = Workspace::new();
    let deep = image::open(workspace.path("data/p1.png")).expect("a picture").into_rgb16();
    deep.save(workspace.path("data/p1.png")).expect("a small picture");
    let told = "note: pictures with 16 bits per channel, reduced to 8 (1): p1.png";
    let stderr = workspace.train(&[]).expect_success().stderr;
    assert!(stderr.contains(told), "{stderr}");
}

#[test]
fn a_text_file_called_png() {
    let workspace = Workspace::new();
    workspace.write("data/p2.png", "no picture at all");
    refused(&workspace, &[], &["p2.png", "no PNG, JPEG"]);
}

#[test]
fn no_picture_with_a_caption() {
    refused(&without_captions(), &[], &["none of the 6 pictures", "has a caption", ".txt and .caption"]);
}

#[test]
fn one_picture_without_a_caption_needs_a_word() {
    let workspace = Workspace::new();
    workspace.remove("data/p4.txt");
    refused(&workspace, &[], &["1 of 6 pictures have no caption", "p4.png", "allow_missing_captions"]);
    let finished = workspace.train(&["allow_missing_captions=true"]).expect_success();
    assert!(finished.stderr.contains("trained on an empty caption (1): p4.png"), "{}", finished.stderr);
}

#[test]
fn a_table_that_names_an_absent_file() {
    let workspace = without_captions();
    workspace.write("data/metadata.csv", "filename,prompt\np0.png,silk\np77.png,silk\n");
    refused(&workspace, &[], &["metadata.csv", "line 3", "p77.png"]);
}

#[test]
fn captions_in_no_known_encoding() {
    let workspace = Workspace::new();
    workspace.write("data/p1.txt", b"silk\n\xff\xff\xff");
    refused(&workspace, &[], &["p1.txt", "line 2 is not UTF-8"]);
}
