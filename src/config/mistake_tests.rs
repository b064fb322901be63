//! What is said to mistakes.

use super::tests::{error, load_text};

/// Lines, and what is said to them.
const WRONG: &[(&str, &str)] = &[
    ("lora_rank: 0", "a whole number from 1 to 1024, found 0"),
    ("lora_rank: many", "found the text \"many\""),
    ("learning_rate: -1e-4", "above 0"),
    ("learning_rate: [1]", "found a list"),
    ("resolution: 500", "the nearest sizes are 496 and 504"),
    ("resolution: big", "\"width,height\""),
    ("optimizer_args: {betas: [0.9, 1.0]}", "`betas`: expected a number from 0 to below 1, found 1"),
    ("optimizer_args: [\"momentum=0.9\"]", "unknown argument `momentum`"),
    ("optimizer_args: [\"weight_decay\"]", "name=value"),
    ("optimizer_args: {weight_deca: 0}", "unknown argument `weight_deca`; did you mean `weight_decay`?"),
    ("optimizer_type: prodgy", "did you mean `Prodigy`? Choices: `AdamW`, `Prodigy`"),
    ("output_name: \"\"", "must not be empty"),
    ("output_name: a/b", "put the folder into `output_dir`"),
    ("output_name: ..", "is no file name"),
    ("cache_latents: 3", "expected true or false, found 3"),
    ("clip_skip: 3", "from 1 to 2"),
    ("validation_split: 1", "below 1"),
    ("lr_warmup_steps: 2.5", "a share of them below 1"),
    ("lr_scheduler: cosin", "did you mean `cosine`?"),
    ("lr_scheduler_min_lr_ratio: 2", "from 0 to 1"),
    ("loss_type: hubr", "did you mean `huber`?"),
    ("huber_c: 0", "above 0"),
    ("min_timestep: 1000", "from 0 to 999"),
    ("max_timestep: 1001", "from 1 to 1000"),
    ("multires_noise_discount: 1.5", "from 0 to 1"),
    ("mixed_precision: bf16", "set `mixed_precision: fp16`"),
    ("mixed_precision: fp8", "Choices: `auto`, `no`, `fp16`"),
    ("enable_bucket: true", "not implemented yet"),
    ("network_train_unet_only: 3", "`network_train_unet_only`: expected true or false, found 3"),
    ("use_dora: 1", "`use_dora`: expected true or false"),
    ("algo: lokrr", "`algo (here network_type)`: `lokrr` is not a choice here; did you mean `lokr`?"),
    ("lora_target: [attn1]", "not implemented yet"),
    ("caption_prefix: flower", "not implemented yet"),
    ("seed: -1", "a whole number from 0"),
    ("sample_sampler: eulr", "did you mean `euler`?"),
    ("sample_at_first: 1", "expected true or false"),
];

#[test]
fn an_unknown_key_names_its_line_and_the_nearest_key() {
    let error = error("# c\nlora_rnak: 12 # oops\n");
    assert!(error.contains("train.yaml:4: `lora_rnak`: unknown key; did you mean `lora_rank`?"), "{error}");
    assert!(error.ends_with("  4 | lora_rnak: 12 # oops"), "{error}");
}

#[test]
fn wrong_values_name_key_line_and_what_is_wanted() {
    for (line, wanted) in WRONG {
        let error = error(line);
        assert!(error.contains("train.yaml:3: ") && error.contains(wanted), "{line}: {error}");
        assert!(error.ends_with(&format!("  3 | {line}")), "{error}");
    }
}

#[test]
fn a_key_given_twice_is_an_error_under_any_name() {
    let twice = error("seed: 1\nseed: 2\n");
    assert!(twice.contains("train.yaml:4: `seed`: given twice: `seed` already stands on line 3"), "{twice}");
    let alias = error("rank: 4\nlora_rank: 8\n");
    assert!(
        alias.contains(":4: `lora_rank`: given twice: `rank (here lora_rank)` already stands on line 3"),
        "{alias}"
    );
    let translated = error("v_parameterization: true\nprediction_type: epsilon\n");
    assert!(translated.contains("given twice"), "{translated}");
}

#[test]
fn all_mistakes_are_told_at_once() {
    let text = "lora_rnak: 12\nbase_modle: a\nlora_rank: 0\nseed: 1\nseed: 2\nflip_aug: true\n";
    let error = format!("{:#}", load_text(text, &["epochs", "batch_size=many"]).unwrap_err());
    let lines: Vec<&str> = error.lines().collect();
    assert!(lines[0].ends_with("train.yaml: 8 mistakes"), "{error}");
    for (line, wanted) in [
        (1, "train.yaml:1: `lora_rnak`: unknown key; did you mean `lora_rank`?"),
        (3, "train.yaml:2: `base_modle`: unknown key; did you mean `base_model`?"),
        (5, "train.yaml:3: `lora_rank`: expected a whole number from 1 to 1024, found 0"),
        (7, "train.yaml:5: `seed`: given twice"),
        (9, "train.yaml:6: `flip_aug`: true is not implemented yet"),
        (11, "--set epochs: expected key=value"),
        (12, "--set batch_size: expected a whole number from 1 to 1024"),
        (13, "train.yaml: the configuration cannot run: `train_data_dir` is missing; add a line such as"),
    ] {
        assert!(lines[line].contains(wanted), "{wanted}\n{error}");
    }
    assert_eq!((lines[2], lines.len()), ("  1 | lora_rnak: 12", 14), "{error}");
}
