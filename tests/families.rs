//! What a family of models is made of stands in `src/families.rs` alone.

#[path = "shared/files.rs"]
mod files;

use std::path::Path;

const FAMILIES: &str = "src/families.rs";

/// Code that would say again what a family's row says, and in which folders it would mean that.
const SAID_AGAIN: [(&[&str], &[&str]); 5] = [
    // the VAE's scale, the noise, kohya's prefixes, the names
    (
        &[
            "0.18215",
            "0.00085",
            "0.012",
            "= 1000;",
            "\"lora_unet_\"",
            "\"lora_te_\"",
            "Stable Diffusion v1\"",
            "Stable Diffusion 1.x",
            "\"sd_v1\"",
            "\"SD1\"",
        ],
        &["src"],
    ),
    // pixels of a latent's place, as a factor or divisor
    (
        &[
            "/ 8)",
            "/ 8,",
            "/ 8;",
            "/ 8 ",
            "* 8)",
            "* 8,",
            "* 8;",
            "* 8 ",
            " 8 *",
            "(8 *",
            " 64 *",
            "(64 *",
            "multiple_of(8)",
        ],
        PICTURES,
    ),
    (&["cells(8)", "pixels(8)", "CELL: usize = 8", "CELL: u32 = 8", "PIXELS: usize = 8"], PICTURES),
    // channels of a latent
    (&["CHANNELS: usize = 4", "channels: 4", ", 4, height", "width, 4]", "* 4 *", "* 4,"], PICTURES),
    (&["Stable Diffusion v1:", "Stable Diffusion v1 "], &["src/nn", "src/weights", "src/sample", "src/train"]),
];

/// Where numbers are those of pictures and latents.
const PICTURES: &[&str] = &[
    "src/models",
    "src/sample",
    "src/train",
    "src/bench",
    "src/check",
    "src/config",
    "src/cli/sample",
    "src/cli/bench.rs",
];

#[test]
fn a_familys_constants_stand_in_one_file() {
    let mut wrong = Vec::new();
    for path in files::below("src", "rs").into_iter().filter(|path| path != Path::new(FAMILIES)) {
        for (number, line) in code(&files::text(&path)) {
            wrong.extend(said_again(&path, line).map(|what| format!("{}:{number}: {what}", path.display())));
        }
    }
    assert!(wrong.is_empty(), "these belong to a family and stand in {FAMILIES}:\n{}", wrong.join("\n"));
}

#[test]
fn constants_are_found_where_they_mean_a_family() {
    let found = |path: &str, line: &str| said_again(Path::new(path), line).collect::<Vec<_>>().len();
    assert_eq!(found("src/models/vae.rs", "pub const SCALING_FACTOR: f32 = 0.18215;"), 1);
    assert_eq!(found("src/train/settings.rs", "height: config.resolution.height as usize / 8,"), 1);
    assert_eq!(found("src/ops/linear.rs", "groups: width / 8,"), 0, "a kernel's number");
    let text = "a();\n// b / 8;\n#[cfg(test)]\nmod tests {\n c / 8;\n";
    assert_eq!(code(text).collect::<Vec<_>>(), [(1, "a();")]);
}

/// Lines with their numbers from 1, without comments and without tests, which end a file.
fn code(text: &str) -> impl Iterator<Item = (usize, &str)> {
    let lines = text.lines().take_while(|line| line.trim() != "#[cfg(test)]");
    (1..).zip(lines).filter(|(_, line)| !line.trim_start().starts_with("//"))
}

fn said_again<'a>(path: &'a Path, line: &'a str) -> impl Iterator<Item = &'static str> + 'a {
    let is_test = path.file_stem().and_then(|stem| stem.to_str()).is_some_and(|stem| stem.ends_with("tests"));
    let here =
        SAID_AGAIN.iter().filter(move |(_, folders)| !is_test && folders.iter().any(|folder| path.starts_with(folder)));
    here.flat_map(|(patterns, _)| patterns.iter().copied()).filter(|pattern| line.contains(pattern))
}
