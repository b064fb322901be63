//! The binary as a user runs it.

use std::process::{Command, Stdio};

use assert_cmd::{assert::Assert, cargo::cargo_bin};
use unicode_width::UnicodeWidthStr;

/// Runs `lora-wgpu` as in a shell without a desktop session.
fn lora_wgpu(arguments: &[&str]) -> Assert {
    let mut command = assert_cmd::Command::from_std(Command::new(cargo_bin!("lora-wgpu")));
    command.env_remove("XDG_RUNTIME_DIR").args(arguments).assert()
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8(bytes.to_vec()).expect("output in UTF-8")
}

#[test]
fn devices_are_listed_within_80_columns_and_nothing_is_said_on_stderr() {
    let assert = lora_wgpu(&["devices"]).code(0).stderr("");
    let output = text(&assert.get_output().stdout);
    assert!(output.starts_with(" 0  "), "{output}");
    assert!(output.lines().all(|line| line.chars().count() <= 80), "{output}");
    assert!(output.contains("self-test   passed"), "{output}");
}

#[test]
fn devices_as_json_name_kind_limits_and_kernels() {
    let assert = lora_wgpu(&["devices", "--json", "--device", "0"]).code(0);
    let devices: serde_json::Value = serde_json::from_slice(&assert.get_output().stdout).expect("valid JSON");
    let [device] = &devices.as_array().expect("a list")[..] else { panic!("--device picks one: {devices}") };
    let kind = device["kind"].as_str().expect("a kind");
    assert!(["discrete", "integrated", "cpu", "other"].contains(&kind), "{kind}");
    assert!(["portable", "cpu-driver"].contains(&device["kernels"].as_str().expect("kernels")), "{device}");
    assert!(device["max_binding_bytes"].as_u64().expect("a limit") >= 128 << 20, "{device}");
}

#[test]
fn an_unknown_device_is_an_error_that_lists_the_known_ones() {
    let assert = lora_wgpu(&["devices", "--device", "no such card"]).code(2).stdout("");
    let error = text(&assert.get_output().stderr);
    assert!(error.starts_with("error: no adapter matches device `no such card`"), "{error}");
    assert!(error.contains("0: "), "{error}");
}

#[test]
fn an_unknown_subcommand_is_a_usage_error() {
    let error = text(&lora_wgpu(&["tarin"]).code(2).get_output().stderr);
    assert!(error.contains("unrecognized subcommand 'tarin'"), "{error}");
}

#[test]
fn help_names_every_subcommand() {
    let help = text(&lora_wgpu(&["--help"]).code(0).get_output().stdout);
    for subcommand in ["train", "check", "devices"] {
        assert!(help.contains(&format!("\n  {subcommand} ")), "{subcommand} is missing:\n{help}");
    }
}

#[test]
fn a_reader_that_goes_away_is_no_error() {
    let mut child = Command::new(cargo_bin!("lora-wgpu"))
        .arg("devices")
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("the binary starts");
    drop(child.stdout.take());
    let output = child.wait_with_output().expect("the binary ends");
    assert!(output.status.success(), "{output:?}");
    assert!(!text(&output.stderr).contains("panicked"), "{output:?}");
}

#[test]
fn ready_made_configurations_are_valid() {
    let files = std::fs::read_dir("configs").expect("the configurations lie in the repository");
    let paths: Vec<_> = files.map(|file| file.expect("a readable folder").path()).collect();
    assert!(paths.len() >= 6, "{paths:?}");
    for path in paths {
        lora_wgpu::config::load(&path, &[]).unwrap_or_else(|error| panic!("{}: {error:#}", path.display()));
    }
}

#[test]
fn the_demo_has_its_checkpoint_and_pictures() {
    let plan = lora_wgpu(&["train", "configs/demo.yaml", "--plan"]).success();
    let said = text(&plan.get_output().stderr);
    assert!(said.contains("24 with a caption") && said.contains("memory plan"), "{said}");
}

#[test]
fn shells_get_their_completions() {
    for shell in ["bash", "zsh", "fish", "powershell", "elvish"] {
        let script = lora_wgpu(&["completions", shell]).success();
        assert!(text(&script.get_output().stdout).contains("devices"), "{shell}");
    }
}

#[test]
fn the_manual_has_a_page_for_each_subcommand() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    lora_wgpu(&["man", &folder.path().display().to_string()]).success();
    for page in ["lora-wgpu.1", "lora-wgpu-train.1", "lora-wgpu-check.1", "lora-wgpu-devices.1"] {
        let text = std::fs::read_to_string(folder.path().join(page)).expect(page);
        assert!(text.contains(".TH"), "{page}: {text}");
    }
}

#[test]
fn another_trainers_configuration_becomes_one_that_loads() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let yaml = folder.path().join("silk.yaml");
    let out = yaml.display().to_string();
    for file in ["gui.json", "sd_scripts.toml", "lora_scripts.toml", "onetrainer.json"] {
        let file = format!("tests/fixtures/import/{file}");
        let assert = lora_wgpu(&["import-config", &file, "--out", &out, "--overwrite"]).success();
        let told = text(&assert.get_output().stderr);
        let too_wide = told.lines().find(|line| line.width() > 80 && !line.starts_with("wrote "));
        assert_eq!(too_wide, None);
        assert!(told.contains("renamed or converted") && told.contains("changes nothing here"), "{told}");
        lora_wgpu::config::load(&yaml, &[]).unwrap_or_else(|error| panic!("{file}: {error:#}"));
    }
    let printed = lora_wgpu(&["import-config", "tests/fixtures/import/gui.json"]).success();
    assert!(text(&printed.get_output().stdout).contains("\nlora_rank: 32"));
}

#[test]
fn an_import_leaves_existing_files_alone() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let yaml = folder.path().join("silk.yaml");
    std::fs::write(&yaml, "mine").expect("a file");
    let out = yaml.display().to_string();
    let assert = lora_wgpu(&["import-config", "tests/fixtures/import/gui.json", "--out", &out]).code(2);
    let error = text(&assert.get_output().stderr);
    assert!(error.contains("--overwrite replaces it"), "{error}");
    assert_eq!(std::fs::read_to_string(&yaml).expect("still there"), "mine");
}

#[test]
fn a_lora_without_training_metadata_cannot_be_imported() {
    let lora = "tests/fixtures/reference_attention.safetensors";
    let error = text(&lora_wgpu(&["import-config", lora]).code(2).get_output().stderr);
    assert!(error.contains("no `ss_` entries"), "{error}");
}

#[test]
fn training_from_another_trainers_file_names_the_import() {
    let file = "tests/fixtures/import/sd_scripts.toml";
    let error = text(&lora_wgpu(&["train", file]).code(2).get_output().stderr);
    assert!(error.contains(&format!("lora-wgpu import-config {file} --out")), "{error}");
}

#[test]
fn keys_are_listed_within_80_columns_in_both_languages() {
    for (language, group) in [("en", "Base model\n"), ("zh", "底模\n")] {
        let output = text(&lora_wgpu(&["keys", "--lang", language]).success().get_output().stdout);
        assert!(
            output.starts_with(group) && output.contains("\n  lora_rank                           8\n"),
            "{output}"
        );
        let too_wide = output.lines().find(|line| line.width() > 80);
        assert_eq!(too_wide, None);
    }
}

#[test]
fn a_word_tells_all_about_its_keys() {
    let output = text(&lora_wgpu(&["keys", "network_dim", "--lang", "en"]).success().get_output().stdout);
    assert!(output.starts_with("lora_rank\n"), "{output}");
    for part in ["a whole number from 1 to 1024", "default    8", "`linear`", "How much the LoRA", "LoRA 能学多少"]
    {
        assert!(output.contains(part), "{part} is missing:\n{output}");
    }
    assert!(output.lines().all(|line| line.width() <= 80), "{output}");
    let error = text(&lora_wgpu(&["keys", "lora_rnak"]).code(2).get_output().stderr);
    assert!(error.contains("did you mean `lora_rank`?"), "{error}");
}
