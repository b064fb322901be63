//! The layers: each imports only what the table allows, and only `ops` and `optim` name shaders.

#[path = "shared/files.rs"]
mod files;

use std::{
    collections::BTreeSet,
    path::{Path, PathBuf},
};

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

/// What writes to the terminal, or asks about it.
const TERMINAL: [&str; 9] =
    ["println!(", "print!(", "dbg!(", "indicatif", "IsTerminal", "is_terminal(", "stdout()", "stderr()", "stdin()"];

/// Names of networks, pictures and optimizers.
const NOT_IN_ENGINE: [&str; 10] =
    ["UNet", "unet", "Clip", "Vae", "latent", "Latent", "pixel", "AdamW", "adamw", "Optimizer"];

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
fn nothing_below_the_command_line_prints() {
    let printing: Vec<String> = sources()
        .filter(|(layer, ..)| layer != "cli")
        .flat_map(|(_, path, code)| told(&path, &code, &TERMINAL))
        .chain(
            sources()
                .filter(|(_, path, _)| path.starts_with("src/cli") && !path.starts_with("src/cli/terminal"))
                .flat_map(|(_, path, code)| told(&path, &code, &["indicatif", "IsTerminal"])),
        )
        .collect();
    assert!(printing.is_empty(), "tell an observer, whom src/cli/terminal listens for:\n{}", printing.join("\n"));
}

#[test]
fn the_engine_names_no_network_and_no_optimizer() {
    let mut wrong = Vec::new();
    for (_, path, code) in sources().filter(|(_, path, _)| path.starts_with("src/train/engine")) {
        let allowed = ["adapters", "gpu", "ops", "tape", "train"];
        let names = paths_under(&code, "crate").into_iter().filter(|name| !allowed.contains(&name.as_str()));
        let kinds =
            paths_under(&code, "adapters").into_iter().filter(|name| !["Shard", "Store"].contains(&name.as_str()));
        let others = paths_under(&code, "train").into_iter().filter(|name| name != "events");
        let outside = code.contains("super::super").then(|| "super::super".to_owned());
        let words = told(&path, &code, &NOT_IN_ENGINE);
        wrong.extend(names.chain(kinds).chain(others).chain(outside).map(|name| format!("{}: {name}", path.display())));
        wrong.extend(words);
    }
    assert!(wrong.is_empty(), "the engine trains whatever a task records:\n{}", wrong.join("\n"));
}

#[test]
fn only_optimizers_know_their_state() {
    let is_optimizer = |layer: &str| layer == "optim";
    let slots: BTreeSet<String> =
        sources().filter(|(layer, ..)| is_optimizer(layer)).flat_map(|(_, _, code)| slots(&code)).collect();
    assert!(slots.contains("exp_avg_sq"), "the slots of AdamW are among {slots:?}");
    let quoted: Vec<String> = slots.iter().filter(|slot| slot.len() > 2).map(|slot| format!("\"{slot}")).collect();
    let quoted: Vec<&str> = quoted.iter().map(String::as_str).collect();
    let named: Vec<String> = sources()
        .filter(|(layer, ..)| !is_optimizer(layer))
        .flat_map(|(_, path, code)| told(&path, &code, &quoted))
        .collect();
    assert!(named.is_empty(), "slots of optimizers named outside of src/optim:\n{}", named.join("\n"));
}

#[test]
fn what_a_layer_must_not_name_is_found() {
    let path = PathBuf::from("src/ops/add.rs");
    assert_eq!(told(&path, "a();\nprintln!(\"x\");", &TERMINAL), ["src/ops/add.rs: println!("]);
    assert_eq!(told(&path, "format!(\"{x}\"); pixel.finish();", &TERMINAL), [""; 0]);
    let code = "use crate::adapters::{Kind, Store}; fn f(shard: &crate::adapters::Shard) {}";
    assert_eq!(paths_under(code, "adapters"), ["Kind", "Shard", "Store"].map(str::to_owned).into());
    assert_eq!(slots("SlotRule::zero(\"exp_avg\"), SlotRule::means(\"row\", x)"), ["exp_avg", "row"]);
}

#[test]
fn imports_are_found_in_every_form() {
    let code = "use crate::gpu::Gpu;\nuse crate::{\n    tape::{Op, Tape},\n    ops::{self, add},\n};\nlet x = crate::nn::padded(3);";
    let expected = ["gpu", "nn", "ops", "tape"].map(str::to_owned);
    assert_eq!(crate_paths(code), BTreeSet::from(expected));
    assert_eq!(shader_names("KernelSpec::new(\"add.wgsl\", x); strip(\".wgsl\")").collect::<Vec<_>>(), ["add.wgsl"]);
}

/// Those of `words` that `code` names.
fn told(path: &Path, code: &str, words: &[&str]) -> Vec<String> {
    words.iter().filter(|word| code.contains(**word)).map(|word| format!("{}: {word}", path.display())).collect()
}

/// Names of the slots that an optimizer declares.
fn slots(code: &str) -> Vec<String> {
    let after = code.split("SlotRule::").skip(1).filter_map(|rest| rest.split_once("(\""));
    after.filter_map(|(_, rest)| identifier(rest)).collect()
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
    paths_under(code, "crate")
}

/// Segments that follow `module` in paths, grouped imports included.
fn paths_under(code: &str, module: &str) -> BTreeSet<String> {
    let mut found = BTreeSet::new();
    let prefix = format!("{module}::");
    for (at, prefix) in code.match_indices(&prefix) {
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
