//! The layers: each imports only what the table allows, and only `ops` and `optim` name shaders.

#[path = "shared/files.rs"]
mod files;

use std::{collections::BTreeSet, path::PathBuf};

/// Layer or leaf, and what it may import. Layers from the bottom up, each knowing those before it; then the leaves.
const MAY_IMPORT: &[(&str, &[&str])] = &[
    ("gpu", &[]),
    ("tape", &["gpu"]),
    ("ops", &["gpu", "tape"]),
    ("nn", &["gpu", "tape", "ops", "weights", "diffusion", "data", "config"]),
    ("models", &["gpu", "tape", "ops", "nn", "weights", "diffusion", "data", "config"]),
    ("adapters", &["gpu", "tape", "ops", "nn", "models", "weights", "diffusion", "data", "config"]),
    ("optim", &["gpu", "tape", "ops", "nn", "models", "adapters", "weights", "diffusion", "data", "config"]),
    ("sample", &["gpu", "tape", "ops", "nn", "models", "weights", "diffusion", "data", "config"]),
    ("label", &["gpu", "tape", "ops", "nn", "models", "weights", "diffusion", "data", "config"]),
    (
        "train",
        &[
            "gpu",
            "tape",
            "ops",
            "nn",
            "models",
            "adapters",
            "optim",
            "sample",
            "label",
            "weights",
            "diffusion",
            "data",
            "config",
        ],
    ),
    ("bench", &["gpu", "tape", "ops", "nn", "models", "adapters", "optim", "train", "weights", "diffusion", "config"]),
    (
        "check",
        &[
            "gpu",
            "tape",
            "ops",
            "nn",
            "models",
            "adapters",
            "optim",
            "sample",
            "label",
            "train",
            "weights",
            "diffusion",
            "data",
            "config",
        ],
    ),
    (
        "cli",
        &[
            "gpu",
            "tape",
            "ops",
            "nn",
            "models",
            "train",
            "sample",
            "label",
            "bench",
            "check",
            "weights",
            "diffusion",
            "data",
            "config",
        ],
    ),
    ("weights", &[]),
    ("diffusion", &[]),
    ("data", &[]),
    ("config", &[]),
    ("families", &[]),
    ("size", &[]),
];

/// What every layer and every other leaf may import.
const COMMON: [&str; 2] = ["families", "size"];

#[test]
fn layers_import_only_what_the_table_allows() {
    let mut wrong = Vec::new();
    for (layer, path, code) in sources() {
        let row = MAY_IMPORT.iter().find(|(name, _)| *name == layer);
        let (_, allowed) = row.unwrap_or_else(|| panic!("src/{layer} is in no layer: add it to the table"));
        for import in crate_paths(&code) {
            if import != layer && !allowed.contains(&import.as_str()) && !COMMON.contains(&import.as_str()) {
                wrong.push(format!("{} imports {import}", path.display()));
            }
        }
    }
    assert!(wrong.is_empty(), "wrong arrows between layers:\n{}", wrong.join("\n"));
}

#[test]
fn only_ops_and_optimizers_name_shaders() {
    let named: Vec<String> = sources()
        .filter(|(layer, ..)| !["ops", "optim"].contains(&layer.as_str()))
        .flat_map(|(_, path, code)| {
            shader_names(&code).map(|name| format!("{}: {name}", path.display())).collect::<Vec<_>>()
        })
        .collect();
    assert!(named.is_empty(), "shaders named outside of src/ops and src/optim:\n{}", named.join("\n"));
}

#[test]
fn imports_are_found_in_every_form() {
    let code = "use crate::gpu::Gpu;\nuse crate::{\n    tape::{Op, Tape},\n    ops::{self, add},\n};\nlet x = crate::nn::padded(3);";
    let expected = ["gpu", "nn", "ops", "tape"].map(str::to_owned);
    assert_eq!(crate_paths(code), BTreeSet::from(expected));
    assert_eq!(shader_names("KernelSpec::new(\"add.wgsl\", x); strip(\".wgsl\")").collect::<Vec<_>>(), ["add.wgsl"]);
}

/// Layer, path and comment-free text of every source file of a layer: of its folder, or of its one file.
fn sources() -> impl Iterator<Item = (String, PathBuf, String)> {
    files::below("src", "rs").into_iter().filter_map(|path| {
        let layer = match path.parent()?.iter().nth(1) {
            Some(folder) => folder,
            None => path.file_stem().filter(|stem| *stem != "lib" && *stem != "main")?,
        };
        let layer = layer.to_str()?.to_owned();
        let text = files::text(&path);
        let code = text.lines().filter(|line| !line.trim_start().starts_with("//"));
        Some((layer, path, code.collect::<Vec<_>>().join("\n")))
    })
}

/// First segments of all paths that start with `crate::`, grouped imports included.
fn crate_paths(code: &str) -> BTreeSet<String> {
    let mut found = BTreeSet::new();
    for (at, prefix) in code.match_indices("crate::") {
        let rest = &code[at + prefix.len()..];
        match rest.strip_prefix('{') {
            Some(group) => found.extend(group_heads(group)),
            None => found.extend(identifier(rest)),
        }
    }
    found
}

/// First identifiers of a brace group's items; `group` starts behind the opening brace.
fn group_heads(group: &str) -> Vec<String> {
    let mut heads = Vec::new();
    let mut depth = 0;
    let mut item_starts = true;
    for (at, c) in group.char_indices() {
        match c {
            '{' => depth += 1,
            '}' if depth == 0 => break,
            '}' => depth -= 1,
            ',' if depth == 0 => item_starts = true,
            c if item_starts && !c.is_whitespace() => {
                heads.extend(identifier(&group[at..]));
                item_starts = false;
            }
            _ => {}
        }
    }
    heads
}

fn identifier(text: &str) -> Option<String> {
    let end = text.find(|c: char| !is_identifier(c)).unwrap_or(text.len());
    (end > 0).then(|| text[..end].to_owned())
}

fn is_identifier(c: char) -> bool {
    c.is_ascii_alphanumeric() || c == '_'
}

/// File names such as `add.wgsl`; the bare extension does not count.
fn shader_names(code: &str) -> impl Iterator<Item = &str> {
    code.match_indices(".wgsl").filter_map(|(at, extension)| {
        let stem = code[..at].rfind(|c: char| !is_identifier(c)).map_or(0, |before| before + 1);
        (stem < at).then(|| &code[stem..at + extension.len()])
    })
}
