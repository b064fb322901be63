//! Pictures from the synthetic checkpoint: recorded sampling against PyTorch, and the program as a user runs it.

use std::{
    fs,
    path::{Path, PathBuf},
};

use image::RgbImage;
use lora_wgpu::{
    adapters::is_target,
    config::LoraTarget,
    gpu::Gpu,
    models::{UNet, UNetConfig, encode::TextEncoder},
    nn::Builder,
    sample::{
        denoiser::{Denoiser, DenoiserShape},
        lora_stack::LoraStack,
        loras::{KnownModules, LoraSet},
    },
    size::Size,
    weights::{
        Checkpoint, PartTensors, SafetensorsFile,
        lora::{AdapterModule, FloatType, LoraMetadata, LoraModule, Part, Site, write_diffusers, write_kohya},
    },
};

use crate::support::{
    devices::{cpu_driver, portable},
    synthetic::{checkpoint, uniform},
    workspace::{Finished, run},
};

fn fixture(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures").join(name)
}

fn text(path: &Path) -> String {
    path.display().to_string()
}

/// The LoRA `name` of tools/record_case/sample.py.
fn lora(name: &str, target: LoraTarget, rank: usize, alpha: f32) -> Vec<LoraModule> {
    let checkpoint = Checkpoint::open(checkpoint(), None).expect("the synthetic checkpoint");
    let known = KnownModules::of(&checkpoint).expect("a complete checkpoint");
    let unet = known.modules.into_iter().filter(|module| module.part == Part::Unet && is_target(target, module));
    let module = |site: Site| {
        let Site { path, in_features, out_features, .. } = &site;
        let down = uniform(&format!("{name}.{path}.lora_A"), rank * in_features, (*in_features as f64).powf(-0.5));
        let up = uniform(&format!("{name}.{path}.lora_B"), rank * out_features, 0.1);
        LoraModule { site, rank, alpha, down, up }
    };
    unet.map(module).collect()
}

fn style() -> Vec<LoraModule> {
    lora("style", LoraTarget::Transformer, 4, 2.0)
}

fn other() -> Vec<LoraModule> {
    lora("other", LoraTarget::Attention, 3, 3.0)
}

/// As written.
fn adapters(loras: Vec<LoraModule>) -> Vec<AdapterModule> {
    loras.into_iter().map(AdapterModule::from).collect()
}

fn write_style(path: &Path) {
    write_kohya(path, &adapters(style()), &LoraMetadata::default(), FloatType::F32).expect("a LoRA file");
}

/// The program's check of the recorded sampling case with a LoRA file.
fn check(lora: &Path, more: &[&str]) -> Finished {
    let case = text(&fixture("sampling.safetensors"));
    let arguments = ["check", &case, "--reference", &case, "--base-model", &text(checkpoint()), "--lora", &text(lora)];
    run(&arguments.iter().chain(more).map(|&argument| argument.to_owned()).collect::<Vec<_>>())
}

#[test]
fn every_step_agrees_with_pytorch_with_either_layout_of_the_lora() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let [kohya, diffusers] = ["kohya", "diffusers"].map(|name| folder.path().join(format!("{name}.safetensors")));
    write_style(&kohya);
    write_diffusers(&diffusers, &adapters(style()), FloatType::F32).expect("a LoRA file");
    for (path, kernels) in [(&kohya, None), (&diffusers, Some("portable"))] {
        let more: Vec<&str> = kernels.iter().flat_map(|&kernels| ["--kernels", kernels]).collect();
        let finished = check(path, &more).expect_success();
        assert!(finished.stdout.contains("16 of 16 groups"), "{}", finished.stdout);
    }
}

#[test]
fn another_lora_misses_the_recorded_steps() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let path = folder.path().join("other.safetensors");
    write_kohya(&path, &adapters(other()), &LoraMetadata::default(), FloatType::F32).expect("a LoRA file");
    let finished = check(&path, &[]);
    assert_eq!(finished.code, Some(1), "{}", finished.stderr);
    assert!(finished.stdout.contains("step0/eps_cond"), "{}", finished.stdout);
}

fn recorded(file: &str, name: &str) -> Vec<f32> {
    let file = SafetensorsFile::open(&fixture(file)).expect("a committed fixture");
    file.get(name).expect("a recorded tensor").to_f32().expect("f32")
}

/// The recorded case's first prediction at timestep 501, with the prompt alone, of a U-Net under a stack of LoRAs.
fn predict(gpu: &Gpu, tensors: &PartTensors, stack: &LoraStack, strengths: &[f32]) -> Vec<f32> {
    let builder = Builder::new(tensors);
    let unet = UNet::new(&builder, UNetConfig::of(tensors).expect("its widths"));
    builder.finish("the family", "U-Net").expect("a complete U-Net").upload(gpu, |_| {}).expect("an upload");
    let shape = DenoiserShape { size: Size::new(16, 8), tokens: 77, guided: false };
    let denoiser = Denoiser::compile(gpu, &unet, stack, shape).expect("a compiled U-Net");
    stack.upload(gpu);
    stack.set_strengths(gpu, strengths);
    denoiser.set_context(gpu, &recorded("sampling.safetensors", "cond"), &[]);
    denoiser.predict(gpu, &recorded("sampling.safetensors", "init"), 501.0).expect("a prediction").conditional
}

#[track_caller]
fn assert_close(actual: &[f32], expected: &[f32]) {
    assert_eq!(actual.len(), expected.len());
    let squares = |values: &mut dyn Iterator<Item = f64>| values.map(|value| value * value).sum::<f64>();
    let difference = squares(&mut actual.iter().zip(expected).map(|(a, e)| f64::from(a - e)));
    let norm = squares(&mut expected.iter().map(|&value| f64::from(value)));
    let relative = (difference / norm).sqrt();
    assert!(relative <= 1e-5, "{relative:.1e}");
}

#[test]
fn two_loras_add_up_as_in_diffusers() {
    let gpu = cpu_driver().unwrap_or(portable());
    let checkpoint = Checkpoint::open(checkpoint(), None).expect("the synthetic checkpoint");
    let stack = LoraStack::new(Part::Unet, &[style(), other()]);
    let actual = predict(gpu, &checkpoint.unet, &stack, &[0.8, 0.5]);
    assert_close(&actual, &recorded("sampling_two_loras.safetensors", "prediction"));
}

/// LoRA on every kind of layer, LoHa, LoKr and DoRA, each merged into its weight by PyTorch.
#[test]
fn other_adapters_change_the_weights_as_lycoris_does() {
    let gpu = cpu_driver().unwrap_or(portable());
    let checkpoint = Checkpoint::open(checkpoint(), None).expect("the synthetic checkpoint");
    let known = KnownModules::of(&checkpoint).expect("a complete checkpoint");
    let loras = LoraSet::of_file(&fixture("sampling_adapters.safetensors"), &known).expect("adapters");
    let strengths = loras.all_at(0.7);
    let part = |part, tensors| loras.materialized(part, tensors, &strengths).expect("changed weights");
    let unet = part(Part::Unet, &checkpoint.unet);
    let reference = "sampling_adapters_reference.safetensors";
    assert_close(&predict(gpu, &unet, &loras.stack(Part::Unet), &strengths), &recorded(reference, "prediction"));

    let text_encoder = part(Part::TextEncoder, &checkpoint.text_encoder);
    let stack = loras.stack(Part::TextEncoder);
    let encoder = TextEncoder::adapted(gpu, &text_encoder, 1, |tape| stack.record(tape)).expect("a text encoder");
    stack.upload(gpu);
    stack.set_strengths(gpu, &strengths);
    let case = SafetensorsFile::open(&fixture("sampling.safetensors")).expect("a committed case");
    let ids: Vec<i64> = bytemuck::pod_collect_to_vec(case.get("ids_cond").expect("token ids").bytes);
    let ids: Vec<u32> = ids.into_iter().map(|id| id as u32).collect();
    assert_close(&encoder.encode(gpu, &ids, 1).expect("a text embedding"), &recorded(reference, "hidden"));
}

/// A folder with the LoRA `style`, and the program's `sample` on it.
struct Studio(tempfile::TempDir);

impl Studio {
    fn new() -> Self {
        let folder = tempfile::tempdir().expect("a temporary folder");
        write_style(&folder.path().join("style.safetensors"));
        Self(folder)
    }

    fn out(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    fn sample(&self, arguments: &[&str]) -> Finished {
        let (model, folder, out) = (text(checkpoint()), text(self.0.path()), text(&self.out("out.png")));
        let fixed = ["sample", "--base-model", &model, "--lora-dir", &folder, "--height", "64"];
        let usual = [["--width", "64"], ["--steps", "2"], ["-o", &out]];
        let left = usual.into_iter().filter(|[name, _]| !arguments.contains(name));
        let all = fixed.iter().chain(arguments).copied().chain(left.flatten());
        run(&all.map(str::to_owned).collect::<Vec<_>>())
    }

    /// A picture that the program drew, and its infotext.
    fn picture(&self, name: &str) -> (RgbImage, String) {
        let bytes = fs::read(self.out(name)).expect("a picture");
        let reader = png::Decoder::new(std::io::Cursor::new(&bytes)).read_info().expect("a PNG file");
        let infotext = reader.info().uncompressed_latin1_text.first().expect("an infotext").text.clone();
        (image::load_from_memory(&bytes).expect("a PNG file").into_rgb8(), infotext)
    }
}

#[test]
fn a_batch_has_the_seeds_and_settings_in_its_pictures() {
    let studio = Studio::new();
    let prompt = "a (red:1.2) rose <lora:style:0.8>";
    let batch = ["--prompt", prompt, "--negative-prompt", "blue", "--seed", "41", "--batch", "2"];
    studio.sample(&batch).expect_success();
    let [(first, _), (second, text)] = ["out-00001.png", "out-00002.png"].map(|name| studio.picture(name));
    assert_eq!(first.dimensions(), (64, 64));
    assert_ne!(first, second);
    let start = "a (red:1.2) rose <lora:style:0.8>\nNegative prompt: blue\nSteps: 2, Sampler: Euler a, ";
    assert!(text.starts_with(start), "{text}");
    for part in ["CFG scale: 7, Seed: 42, Size: 64x64, Model hash: ", "Lora hashes: \"style: "] {
        assert!(text.contains(part), "{part:?} is not in {text}");
    }
    let alone = ["--prompt", prompt, "--negative-prompt", "blue", "--seed", "42"];
    studio.sample(&alone).expect_success();
    assert_eq!(studio.picture("out.png").0, second, "a picture does not depend on its batch");
}

#[test]
fn a_grid_varies_strength_along_its_columns() {
    let studio = Studio::new();
    let arguments = ["--prompt", "a rose <lora:style:1>", "--seed", "1", "--grid", "strength=0,1", "seed=1,2"];
    studio.sample(&arguments).expect_success();
    let (grid, _) = studio.picture("out.png");
    assert!(grid.width() > 128 && grid.height() > 128, "{:?}", grid.dimensions());
}

#[test]
fn a_picture_is_drawn_anew_and_larger() {
    let studio = Studio::new();
    studio.sample(&["--prompt", "a rose", "--seed", "1"]).expect_success();
    fs::rename(studio.out("out.png"), studio.out("first.png")).expect("a picture");
    let first = text(&studio.out("first.png"));
    let anew = ["--prompt", "a rose", "--seed", "2", "--init-image", &first, "--strength", "0.5", "--hires-scale", "2"];
    studio.sample(&anew).expect_success();
    let (larger, text) = studio.picture("out.png");
    assert_eq!(larger.dimensions(), (128, 128));
    assert!(text.contains("Denoising strength: 0.7") && text.contains("Hires upscale: 2"), "{text}");
}

#[test]
fn a_pattern_grows_in_an_animation() {
    let studio = Studio::new();
    let growth = ["--prompt", "a rose <lora:style:1>", "--seed", "1", "--animate", "strength=0..1", "--frames", "2"];
    let gif = text(&studio.out("growth.gif"));
    studio.sample(&[&growth[..], &["-o", &gif]].concat()).expect_success();
    assert!(fs::read(&gif).expect("an animation").starts_with(b"GIF89a"));

    let change = ["--prompt", "a rose", "--seed", "1", "--animate", "seed=2", "--frames", "3"];
    let folder = text(&studio.out("frames"));
    studio.sample(&[&change[..], &["-o", &folder]].concat()).expect_success();
    let frame = |number: u32| image::open(studio.out(&format!("frames/{number:05}.png"))).expect("a frame").into_rgb8();
    for (seed, number) in [("1", 1), ("2", 3)] {
        studio.sample(&["--prompt", "a rose", "--seed", seed, "-o", &text(&studio.out("out.png"))]).expect_success();
        assert_eq!(studio.picture("out.png").0, frame(number), "the ends are the seeds' own pictures");
    }
    assert!(frame(2) != frame(1) && frame(2) != frame(3));
}

#[test]
fn what_cannot_be_drawn_is_refused() {
    let studio = Studio::new();
    let refused = |arguments: &[&str], parts: &[&str]| {
        studio.sample(arguments).expect_refusal(parts);
    };
    refused(&["--sampler", "euler_b"], &["--sampler", "did you mean euler_a"]);
    refused(&["--prompt", "<lora:stile:1>"], &["no LoRA \"stile\"", "did you mean \"style\""]);
    refused(&["--prompt", "<lora:style:strong>"], &["<lora:style:strong>", "<lora:name:0.8>"]);
    refused(&["--width", "100"], &["--width 100", "104"]);
    refused(&["--animate", "strength=0..1", "--prompt", "a rose"], &["the prompt has no <lora:name:1>"]);
    refused(&["--grid", "colour=red"], &["strength, prompt, seed and lora"]);
    let named = |name: &str| text(&studio.out(name));
    refused(&["-o", &named("peony")], &["--out", "ends in .png"]);
    refused(&["-o", &named("peony.jpg")], &["--out", "ends in .png"]);
    let growth = ["--prompt", "<lora:style:1>", "--animate", "strength=0..1"];
    refused(&[&growth[..], &["-o", &named("growth.mp4")]].concat(), &["--out", "a .gif, a .png or a folder"]);
    refused(&["--animate", "prompt=<lora:style:1>"], &["name LoRAs in --prompt"]);
    refused(&["--sampler", "lcm", "--steps", "60"], &["1 to 50 steps"]);
    fs::write(studio.out("note.txt"), "no picture").expect("a file");
    let note = text(&studio.out("note.txt"));
    refused(&["--init-image", &note], &["note.txt"]);
    assert!(!studio.out("out.png").exists());
}
