//! Kinds of adapters by their configuration, from training to a picture.

use lora_wgpu::{config, weights::SafetensorsFile};

use crate::support::workspace::{NAME, Workspace, run};

/// Settings, a tensor that the file then has, and whether diffusers' layout can hold it.
const KINDS: [(&[&str], &str, bool); 6] = [
    (&["train_text_encoder=true"], "lora_te_text_model_encoder_layers_0_mlp_fc1.lora_down.weight", true),
    (&["conv_dim=2"], "lora_unet_down_blocks_0_resnets_0_conv1.lora_down.weight", true),
    (&["network_type=dora"], "lora_unet_down_blocks_0_attentions_0_transformer_blocks_0_attn1_to_q.dora_scale", false),
    (
        &["network_type=dora", "dora_axis=output", "train_text_encoder=true"],
        "lora_te_text_model_encoder_layers_0_self_attn_q_proj.dora_scale",
        true,
    ),
    (&["network_type=loha", "conv_dim=2"], "lora_unet_mid_block_resnets_0_conv2.hada_w2_b", false),
    (&["network_type=lokr", "train_text_encoder=true"], "lora_te_text_model_encoder_layers_0_mlp_fc2.lokr_w1", false),
];

/// Trains fast, and returns the loss on fixed pictures and noise before and after.
fn train(workspace: &Workspace, settings: &[&str]) -> (f64, f64) {
    let fast = ["max_train_steps=6", "learning_rate=0.01", "save_precision=float"];
    workspace.train(&[&fast, settings].concat()).expect_success();
    let losses = workspace.probe_losses();
    (losses[0], losses[losses.len() - 1])
}

#[test]
fn every_kind_learns_goes_on_from_its_file_and_draws() {
    for (settings, tensor, has_diffusers) in KINDS {
        let workspace = Workspace::new();
        let (first, last) = train(&workspace, settings);
        assert!(last < 0.99 * first, "{settings:?}: {first} to {last}");
        let file = SafetensorsFile::open(&workspace.lora()).expect("a file just written");
        assert!(file.get(tensor).is_some(), "{settings:?}: no {tensor}");
        let diffusers = workspace.written().iter().any(|file| file.starts_with("diffusers/"));
        assert_eq!(diffusers, has_diffusers, "{settings:?}: {:?}", workspace.written());

        let next = Workspace::new();
        let start = format!("network_weights={}", workspace.lora().display());
        next.train(&[&[start.as_str()], settings].concat()).expect_success();
        let begin = next.probe_losses()[0];
        assert!((begin - last).abs() < 1e-5 * last, "{settings:?}: ended at {last}, went on from {begin}");
        draw(&workspace);
    }
}

/// Draws with the trained file, and holds the picture against one without it.
fn draw(workspace: &Workspace) {
    let model = crate::support::synthetic::checkpoint().display().to_string();
    let folder = workspace.output().display().to_string();
    let pictures = [("with.png", format!("silk <lora:{NAME}:1>")), ("without.png", "silk".to_owned())];
    let pictures = pictures.map(|(name, prompt)| {
        let out = workspace.path(name).display().to_string();
        let arguments = ["sample", "--base-model", &model, "--lora-dir", &folder, "--prompt", &prompt, "--out", &out];
        let sizes = ["--width", "64", "--height", "64", "--steps", "2", "--seed", "1"];
        run(&arguments.iter().chain(&sizes).map(|text| (*text).to_owned()).collect::<Vec<_>>()).expect_success();
        image::open(workspace.path(name)).expect("a picture").into_rgb8()
    });
    assert_ne!(pictures[0], pictures[1], "the adapter changes the picture");
}

#[test]
fn the_stored_configuration_is_the_one_that_ran() {
    let workspace = Workspace::new();
    let plan = workspace.plan(&["batch_size=4", "mixed_precision=no"]).expect_success().stderr;
    let gigabytes = plan.split_once("memory plan: ").and_then(|(_, plan)| plan.split_once(' ')).expect("a plan").0;
    let least = 950.0 * gigabytes.parse::<f64>().expect("a number");
    let limit = format!("vram_limit={least:.0}MB");
    let said = workspace.train(&["batch_size=4", "mixed_precision=no", &limit]).expect_success().stderr;
    let stored = config::load(&workspace.output().join(format!("{NAME}.yaml")), &[]).expect("it loads").config;
    assert!((stored.batch_size, stored.gradient_accumulation_steps) != (4, 1), "{said}");
}
