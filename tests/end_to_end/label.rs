//! Captions and tags from made-up models: recorded cases of transformers, and the program as a user runs it.

use std::{
    collections::BTreeMap,
    fs,
    path::{Path, PathBuf},
};

use crate::support::{
    label_models::{blip, clip, header, recorded},
    workspace::{Finished, PICTURES, Workspace, run},
};

fn text(path: &Path) -> String {
    path.display().to_string()
}

fn check(name: &str, model: &Path, more: &[&str]) -> Finished {
    let case = text(&recorded(name));
    let arguments = ["check", &case, "--reference", &case, "--base-model", &text(model)];
    run(&arguments.iter().chain(more).map(|&argument| argument.to_owned()).collect::<Vec<_>>())
}

/// Short captions, which take the fewest tokens.
fn label(folder: &Path, more: &[&str]) -> Finished {
    label_at_length(folder, "9", more)
}

fn label_at_length(folder: &Path, max_length: &str, more: &[&str]) -> Finished {
    let arguments = ["label", &text(folder), "--model", &text(blip()), "--max-length", max_length];
    run(&arguments.iter().chain(more).map(|&argument| argument.to_owned()).collect::<Vec<_>>())
}

/// Six pictures without captions.
fn uncaptioned() -> Workspace {
    let workspace = Workspace::new();
    (0..PICTURES).for_each(|index| workspace.remove(&format!("data/p{index}.txt")));
    workspace
}

/// File names and captions of a table.
fn rows(table: &Path) -> BTreeMap<String, String> {
    let mut reader = csv::Reader::from_path(table).expect("a table");
    reader.deserialize().map(|row| row.expect("two columns")).collect()
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

/// From the file to the words, as label.py has transformers do it.
#[test]
fn captions_of_pictures_agree_with_transformers() {
    let recorded: BTreeMap<String, String> =
        serde_json::from_str(&header("blip")["captions"]).expect("pictures and captions");
    let folder = tempfile::tempdir().expect("a temporary folder");
    for name in recorded.keys() {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(name);
        fs::copy(&path, folder.path().join(path.file_name().expect("a picture"))).expect("a writable folder");
    }
    label_at_length(folder.path(), "16", &["--prompt-prefix", "a photo of"]).expect_success();
    let rows = rows(&folder.path().join("metadata.csv"));
    for (name, caption) in recorded {
        assert_eq!(rows[&text(&PathBuf::from(Path::new(&name).file_name().expect("a picture")))], caption, "{name}");
    }
}

#[test]
fn a_table_is_made_that_training_reads_and_that_keeps_what_a_person_wrote() {
    let workspace = uncaptioned();
    let (table, page) = (workspace.path("data/metadata.csv"), workspace.path("data/metadata.html"));
    fs::write(&table, "filename,prompt\np2.png,\"rings, as I see them\"\n").expect("a writable folder");
    let words = ["--trigger", "silkstyle", "--prefix", "a pattern, "];
    let finished = label(&workspace.data(), &words).expect_success();
    assert!(finished.stdout.contains("5 new captions"), "{}", finished.stdout);
    let first = rows(&table);
    assert_eq!(first.len(), PICTURES as usize);
    assert_eq!(first["p2.png"], "rings, as I see them");
    assert!(first["p0.png"].starts_with("silkstyle, a pattern, "), "{first:?}");
    assert!(page.exists());
    // A second run finds nothing to do, and needs no device for it.
    let again = label(&workspace.data(), &words).expect_success();
    assert!(again.stdout.contains("0 new captions") && !again.stderr.contains("device"), "{}", again.stderr);
    assert_eq!(rows(&table), first);
    workspace.plan(&[]).expect_success();
    // Made anew, and again: what the person wrote is still there.
    for prefix in ["one, ", "two, "] {
        label(&workspace.data(), &["--overwrite", "--prefix", prefix]).expect_success();
        assert!(rows(&table).values().all(|caption| caption.starts_with(prefix)));
    }
    let kept = fs::read_to_string(workspace.path("data/metadata.csv.bak")).expect("the first table");
    assert!(kept.contains("rings, as I see them"), "{kept}");
}

#[test]
fn overwritten_files_beside_the_pictures_are_kept() {
    let workspace = Workspace::new();
    label(&workspace.data(), &["--sidecar", "--overwrite"]).expect_success();
    let kept = fs::read_to_string(workspace.path("data/p1.txt.bak")).expect("the caption that was there");
    assert!(kept.contains("silk pattern, motif 1"), "{kept}");
}

#[test]
fn a_configuration_that_does_not_fit_the_weights_is_refused() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    for name in ["config.json", "model.safetensors", "vocab.txt"] {
        fs::copy(blip().join(name), folder.path().join(name)).expect("a writable folder");
    }
    let spoil = |file: &str, from: &str, to: &str| {
        let text = fs::read_to_string(blip().join(file)).expect("a text");
        assert!(text.contains(from), "{text}");
        fs::write(folder.path().join(file), text.replace(from, to)).expect("a writable folder");
    };
    let workspace = uncaptioned();
    let arguments = ["label", &text(&workspace.data()), "--model", &text(folder.path())].map(str::to_owned);
    spoil("config.json", "\"num_attention_heads\": 4", "\"num_attention_heads\": 5");
    run(&arguments).expect_refusal(&["5 attention heads", "width"]);
    fs::copy(blip().join("config.json"), folder.path().join("config.json")).expect("a writable folder");
    spoil("vocab.txt", "[PAD]\n", "");
    run(&arguments).expect_refusal(&["vocab.txt"]);
}

#[test]
fn tags_are_ranked_kept_and_appended() {
    let workspace = uncaptioned();
    workspace.write("tags.csv", "group,tag,chinese\ncolour,red,红\ncolour,blue,蓝\nmotif,rings,环\n");
    let (clip, tags) = (text(clip()), text(&workspace.path("tags.csv")));
    let tagging = ["--tagger", &clip, "--tags", &tags, "--append-tags", "--tags-per-group", "1"];
    label(&workspace.data(), &tagging).expect_success();
    let captions = rows(&workspace.path("data/metadata.csv"));
    assert!(captions.values().all(|caption| caption.ends_with(", rings")), "{captions:?}");
    let tagged = rows(&workspace.path("data/metadata.tags.csv"));
    assert!(tagged.values().all(|tags| tags.ends_with("; rings") && tags.len() > "; rings".len()), "{tagged:?}");
    let page = fs::read_to_string(workspace.path("data/metadata.html")).expect("a page");
    assert!(page.contains("环"));
}

#[test]
fn a_picture_that_is_none_is_left_out_and_named() {
    let workspace = uncaptioned();
    workspace.write("data/p3.png", "no picture");
    let finished = label(&workspace.data(), &["--sidecar"]);
    assert_eq!(finished.code, Some(1), "{}", finished.stderr);
    assert!(finished.stdout.contains("5 new captions") && finished.stdout.contains("p3.png"), "{}", finished.stdout);
    assert!(workspace.path("data/p0.txt").exists() && !workspace.path("data/p3.txt").exists());
}

#[test]
fn a_seed_draws_the_same_captions_again() {
    let workspace = uncaptioned();
    let draw = |seed: &str, table: &str| {
        let table = text(&workspace.path(table));
        label(&workspace.data(), &["--top-p", "0.95", "--seed", seed, "-o", &table]).expect_success();
        rows(Path::new(&table))
    };
    let first = draw("1", "a.csv");
    assert_eq!(draw("1", "b.csv"), first);
    assert_ne!(draw("2", "c.csv"), first);
}

#[test]
fn what_cannot_be_done_is_said() {
    check("blip", clip(), &[]).expect_refusal(&["it is clip, not blip", "blip-image-captioning-base"]);
    let workspace = uncaptioned();
    let refused = |more: &[&str], parts: &[&str]| {
        label(&workspace.data(), more).expect_refusal(parts);
        assert!(!workspace.path("data/metadata.csv").exists());
    };
    refused(&["--tagger", &text(blip())], &["--tagger", "it is blip, not clip", "clip-vit-large-patch14"]);
    workspace.write("empty.txt", "\n");
    let empty = text(&workspace.path("empty.txt"));
    refused(&["--tagger", &text(clip()), "--tags", &empty], &["empty.txt"]);
    refused(&["--num-beams", "3", "--top-p", "0.9"], &["--top-p", "--num-beams"]);
    refused(&["--replace", "flower"], &["flower"]);
    refused(&["--prompt-prefix", "a photo of a large pink flower with silk"], &["--max-length 9"]);
    label_at_length(&workspace.data(), "41", &[]).expect_refusal(&["--max-length 41", "at most 40 tokens"]);
    refused(&["-o", "table.xlsx"], &["table.xlsx", ".csv"]);
    workspace.write("twice.csv", "filename,prompt\np1.png,x\np1.png,y\n");
    let twice = text(&workspace.path("twice.csv"));
    label(&workspace.data(), &["-o", &twice]).expect_refusal(&["twice.csv", "p1.png", "lines 2 and 3"]);
}
