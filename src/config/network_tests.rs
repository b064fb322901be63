//! The network's keys in whole files: how they are written, what they expand to, what contradicts what.

use super::{
    NETWORK_BLOCKS,
    network_config::{DoraAxis, NetworkConfig, NetworkType},
    tests::{REQUIRED, config, error, load_text},
};

/// Every key of the network that a DoRA can have, none at its default.
pub(super) const EVERY_NETWORK_KEY: &str = "network_type: dora
dora_axis: output
lokr_factor: 4
conv_dim: 8
conv_alpha: 4
block_dims: '0,4,4,4,4,4,4,4,4,4,4,4,8,4,4,4,4,4,4,4,4,4,4,4,4'
block_alphas: [1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 2, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1]
conv_block_dims: [0, 2, 2, 2, 2, 2, 2, 2, 2, 2, 2, 2, 2, 2, 2, 2, 2, 2, 2, 2, 2, 2, 2, 2, 2]
conv_block_alphas: '[0, .5, .5, .5, .5, .5, .5, .5, .5, .5, .5, .5, .5, .5, .5, .5, .5, .5, .5, .5, .5, .5, .5, .5, .5]'
down_lr_weight: [0, 0.5]
mid_lr_weight: [0.25]
up_lr_weight: zeros+0.75
block_lr_zero_threshold: 0.1
loraplus_unet_lr_ratio: 16
loraplus_text_encoder_lr_ratio: 4
rs_lora: true
train_text_encoder: true
network_train_text_encoder_only: true
text_encoder_lr: [5e-6]
max_token_length: 150
use_ema: true
ema_decay: 0.99
";

fn blocks(first: f64, middle: f64, others: f64) -> Vec<f64> {
    let mut blocks = vec![others; NETWORK_BLOCKS];
    (blocks[0], blocks[12]) = (first, middle);
    blocks
}

/// What [`EVERY_NETWORK_KEY`] says.
pub(super) fn every_network_key() -> NetworkConfig {
    let mut down = vec![1.0; 12];
    down[..2].copy_from_slice(&[0.0, 0.5]);
    NetworkConfig {
        network_type: NetworkType::Dora,
        dora_axis: DoraAxis::Output,
        lokr_factor: 4,
        conv_dim: 8,
        conv_alpha: 4.0,
        block_dims: blocks(0.0, 8.0, 4.0),
        block_alphas: blocks(1.0, 2.0, 1.0),
        conv_block_dims: blocks(0.0, 2.0, 2.0),
        conv_block_alphas: blocks(0.0, 0.5, 0.5),
        down_lr_weight: down,
        mid_lr_weight: 0.25,
        up_lr_weight: vec![0.75; 12],
        block_lr_zero_threshold: 0.1,
        loraplus_unet_lr_ratio: 16.0,
        loraplus_text_encoder_lr_ratio: 4.0,
        rs_lora: true,
        network_dropout: 0.0,
        rank_dropout: 0.0,
        module_dropout: 0.0,
        scale_weight_norms: 0.0,
        train_text_encoder: true,
        network_train_text_encoder_only: true,
        text_encoder_lr: 5e-6,
        max_token_length: 150,
        use_ema: true,
        ema_decay: 0.99,
    }
}

fn network(extra: &str) -> NetworkConfig {
    config(&format!("{extra}\n")).network
}

fn notes(extra: &str) -> Vec<String> {
    load_text(&format!("{REQUIRED}{extra}\n"), &[]).unwrap_or_else(|error| panic!("{extra}: {error:#}")).notes
}

#[track_caller]
fn assert_errors(cases: &[(&str, &str)]) {
    for (lines, wanted) in cases {
        assert!(error(lines).contains(wanted), "{lines}: {}", error(lines));
    }
}

#[test]
fn what_only_a_lora_has_reaches_its_fields() {
    let lines = "network_dropout: 0.1\nrank_dropout: 0.2\nmodule_dropout: 0.3\nscale_weight_norms: 1";
    let expected = NetworkConfig {
        network_dropout: 0.1,
        rank_dropout: 0.2,
        module_dropout: 0.3,
        scale_weight_norms: 1.0,
        ..NetworkConfig::default()
    };
    assert_eq!(network(lines), expected);
    let text = load_text(&format!("{REQUIRED}{lines}\n"), &[]).unwrap().yaml;
    assert_eq!(load_text(&text, &[]).unwrap().config.network, expected, "{text}");
}

#[test]
fn other_trainers_names_mean_the_same() {
    assert_eq!(network(""), NetworkConfig::default());
    assert_eq!(network("algo: LoCon"), NetworkConfig::default());
    for line in ["dora_wd: true", "use_dora: true", "lora_decompose: true", "lycoris_algo: dora"] {
        assert_eq!(network(line).network_type, NetworkType::Dora, "{line}");
    }
    assert_eq!(network("use_dora: true\nwd_on_output: true").dora_axis, DoraAxis::Output);
    assert_eq!(network("network_type: lokr\nfactor: '-1'").lokr_factor, -1);
    for (line, on) in [("ema: OFF", false), ("ema: GPU", true), ("ema: cpu", true), ("ema: false", false)] {
        assert_eq!(network(line).use_ema, on, "{line}");
    }
    assert!(network("network_train_unet_only: false").train_text_encoder);
    assert_eq!(network("max_token_length: 255").max_token_length, 225);
    assert!(notes("max_token_length: 255")[0].starts_with("max_token_length: 255 tokens are taken as 225"));
    assert_errors(&[("ema: maybe", "`ema`: expected OFF, CPU, GPU, true or false")]);
}

#[test]
fn factors_of_the_learning_rate_are_numbers_or_presets() {
    let up = |value: &str| network(&format!("up_lr_weight: {value}")).up_lr_weight;
    assert_eq!(up("'0.5,2'")[..4], [0.5, 2.0, 1.0, 1.0]);
    assert_eq!(up("0.5").len(), 12);
    assert_eq!(up("[]"), Vec::<f64>::new());
    let sine = up("sine");
    assert_eq!((sine[0], sine[11]), (0.0, 1.0));
    assert!((sine[4] - (std::f64::consts::PI * 4.0 / 22.0).sin()).abs() < 1e-15, "{sine:?}");
    assert_eq!(up("cosine"), sine.iter().rev().copied().collect::<Vec<_>>());
    assert_eq!(up("linear+.5")[..2], [0.5, 1.0 / 11.0 + 0.5]);
    assert_eq!(up("reverse_linear")[..2], [1.0, 10.0 / 11.0]);
    assert_eq!(up("zeros+1"), [1.0; 12]);
    assert!(notes("up_lr_weight: '0.5,2'")[0].contains("the blocks after them have 1"));
    assert_eq!(notes("up_lr_weight: sine"), Vec::<String>::new());
    assert_errors(&[
        ("up_lr_weight: sinus", "`sinus` is no preset; did you mean `sine`?"),
        ("up_lr_weight: sine+much", "expected a number from 0 to 1000, found the text \"much\""),
        ("up_lr_weight: [1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1]", "these are 13"),
        ("block_dims: [1, 2]", "these are 2"),
        ("down_lr_weight: true", "found true"),
        ("text_encoder_lr: [1e-5, 1e-5]", "found a list of 2"),
        ("conv_alpha: 1e39", "found 1e39, which is beyond 32-bit numbers"),
        ("ema_decay: 0.9999999999", "below 1"),
    ]);
    let half = format!("block_dims: [{}1.5]", "1, ".repeat(24));
    assert_errors(&[(
        &half,
        "expected 25 whole numbers from 0 to 1024, a list or text with commas (0 leaves a block out), found 1.5",
    )]);
}

#[test]
fn factors_up_to_the_threshold_leave_their_blocks_out() {
    assert_eq!(network("").block_lr_factors(), None);
    let factors =
        network("down_lr_weight: linear\nmid_lr_weight: 0.5\nblock_lr_zero_threshold: 0.5").block_lr_factors();
    let factors = factors.unwrap();
    assert_eq!((factors[5], factors[6], factors[11]), (0.0, 6.0 / 11.0, 1.0));
    assert_eq!((factors[12], factors[13], factors[24]), (0.0, 1.0, 1.0));
}

#[test]
fn network_args_stand_for_their_keys() {
    let args = |list: &str| network(&format!("network_args: {list}"));
    let expected =
        NetworkConfig { network_type: NetworkType::Lokr, lokr_factor: 8, conv_dim: 4, ..NetworkConfig::default() };
    assert_eq!(args("['algo=lokr', 'factor=8', 'conv_dim=4', 'dora_wd=False', 'use_tucker=False']"), expected);
    assert_eq!(args("{algo: lokr, factor: 8, conv_dim: 4}"), expected);
    assert_eq!(args("['algo=locon', 'dora_wd=True']").network_type, NetworkType::Dora);
    assert_eq!(args("['dropout=0.1']").network_dropout, 0.1);
    let plus = args("['loraplus_lr_ratio=16']");
    assert_eq!((plus.loraplus_unet_lr_ratio, plus.loraplus_text_encoder_lr_ratio), (16.0, 16.0));
    let loaded = load_text(&format!("{REQUIRED}network_args: ['preset=attn-mlp', 'conv_alpha=None']\n"), &[]).unwrap();
    assert!(loaded.yaml.contains("lora_target: transformer ") && !loaded.yaml.contains("network_args:"));
    assert!(loaded.yaml.contains("# network_args in the file"), "{}", loaded.yaml);
    assert_errors(&[
        (
            "network_args: ['algo=lokrr']",
            "train.yaml:3: `network_args: algo (here network_type)`: `lokrr` is not a choice",
        ),
        ("network_args: ['conv_dims=4']", "`network_args`: unknown argument `conv_dims`; did you mean `conv_dim`?"),
        ("network_args: ['use_tucker=True']", "`use_tucker`: true is not implemented yet"),
        ("network_args: ['algo=loha', 'dora_wd=True']", "only a LoRA can be decomposed here"),
        ("network_args: ['conv_dim']", "expected \"name=value\""),
        (
            "conv_dim: 4\nnetwork_args: ['conv_dim=4']",
            "train.yaml:4: `network_args: conv_dim`: given twice: `conv_dim` already stands on line 3",
        ),
        ("network_args: ['conv_dim=4']\nconv_dim: 4", ":4: `conv_dim`: given twice: `network_args: conv_dim` already"),
        ("loraplus_lr_ratio: 4\nloraplus_unet_lr_ratio: 4", "given twice"),
    ]);
}

#[test]
fn network_args_that_do_nothing_draw_a_note() {
    let notes = notes("network_args: ['algo=loha', 'train_norm=False', 'verbose=True']");
    let [same, convolutions] = &notes[..] else { panic!("{notes:?}") };
    assert!(same.starts_with("network_args: arguments that say what happens anyway"), "{same}");
    assert!(convolutions.contains("LyCORIS trains convolutions too"), "{convolutions}");
}

#[test]
fn an_override_replaces_all_arguments_or_one() {
    let text = format!("{REQUIRED}network_args: ['conv_dim=4', 'rank_dropout=0.1', 'loraplus_lr_ratio=4']\n");
    let load = |set: &str| load_text(&text, &[set]).unwrap().config.network;
    assert_eq!(load("network_args={conv_dim: 8}"), NetworkConfig { conv_dim: 8, ..NetworkConfig::default() });
    assert_eq!(load("network_args="), NetworkConfig::default());
    assert_eq!((load("conv_dim=2").conv_dim, load("conv_dim=2").rank_dropout), (2, 0.1));
}

#[test]
fn kinds_have_only_their_own_settings() {
    assert_errors(&[
        ("network_type: loha\nrank_dropout: 0.1", "`rank_dropout` is for `network_type: lora`"),
        ("network_type: dora\nscale_weight_norms: 1", "`scale_weight_norms` is for `network_type: lora`"),
        ("network_type: lokr\nloraplus_lr_ratio: 16", "`loraplus_lr_ratio` is for `network_type: lora` and `dora`"),
        ("conv_dim: 4\nconv_alpha: 0", "`conv_alpha` is 0"),
    ]);
    let ones = format!("conv_block_dims: [{}1]", "1, ".repeat(24));
    assert_errors(&[(&ones, "set `conv_dim` too")]);
    let zeros = format!("block_alphas: [{}0]", "0, ".repeat(24));
    assert_errors(&[(&zeros, "`block_alphas`: block 1 has alpha 0")]);
    let row = |places: &[usize]| {
        let ranks = (0..NETWORK_BLOCKS).map(|block| if places.contains(&block) { "4" } else { "0" });
        format!("block_dims: '{}'", ranks.collect::<Vec<_>>().join(","))
    };
    assert_errors(&[(&row(&[0, 3, 10, 14]), "`conv_dim` would add those of resnets and samplers")]);
    assert_eq!(network(&(row(&[10]) + "\nconv_dim: 4\ndown_lr_weight: zeros+1")).conv_dim, 4);
    assert_errors(&[("down_lr_weight: zeros\nmid_lr_weight: 0\nup_lr_weight: zeros", "no block of the U-Net is left")]);
    assert_errors(&[("down_lr_weight: zeros\nmid_lr_weight: 0\nup_lr_weight: '1,1,1,0,0,0,0,0,0,0,0,0'", "no layers")]);
}

#[test]
fn the_text_encoder_is_trained_where_it_is_asked_for() {
    let only = load_text(&format!("{REQUIRED}network_train_text_encoder_only: true\n"), &[]).unwrap();
    assert!(only.config.network.trains_text_encoder());
    let line = only.yaml.lines().find(|line| line.starts_with("train_text_encoder: true")).unwrap();
    assert!(line.ends_with("# network_train_text_encoder_only"), "{line}");
    assert_errors(&[
        ("network_train_text_encoder_only: true\ntrain_text_encoder: false", "leave nothing to train"),
        ("network_train_text_encoder_only: true\ntext_encoder_lr: 0", "leaves nothing to train; set a rate"),
    ]);
    assert!(notes("train_text_encoder: true\ntext_encoder_lr: 0")[0].starts_with("text_encoder_lr: is 0"));
    assert!(!network("train_text_encoder: true\ntext_encoder_lr: 0").trains_text_encoder());
}

#[test]
fn an_optimizer_with_one_rate_wants_one_rate() {
    let prodigy = "optimizer_type: Prodigy\ntrain_text_encoder: true\n";
    let loaded = load_text(&format!("{REQUIRED}{prodigy}unet_lr: 0.5\n"), &[]).unwrap();
    assert_eq!(loaded.config.network.text_encoder_lr, 0.5);
    let line = loaded.yaml.lines().find(|line| line.starts_with("text_encoder_lr: 0.5")).unwrap();
    assert!(line.contains("# = unet_lr: the optimizer finds one step size for all"), "{line}");
    assert_eq!(config(&format!("{prodigy}text_encoder_lr: 0\n")).network.text_encoder_lr, 0.0);
    assert_eq!(config(&format!("{prodigy}mid_lr_weight: 0\n")).network.mid_lr_weight, 0.0);
    assert_eq!(network("network_train_text_encoder_only: true\noptimizer_type: Prodigy").text_encoder_lr, 1.0);
    for (line, wanted) in [
        ("text_encoder_lr: 0.1", "`text_encoder_lr` 0.1 is not `unet_lr` 1: Prodigy has one learning rate for all"),
        ("loraplus_lr_ratio: 16", "Prodigy has one learning rate for all tensors"),
        ("mid_lr_weight: 0.5", "Prodigy has one learning rate for all blocks"),
    ] {
        assert_errors(&[(&format!("{prodigy}{line}"), wanted)]);
    }
    assert_errors(&[(
        "optimizer_type: Adafactor\nloraplus_lr_ratio: 16",
        "or set `optimizer_args: [\"relative_step=False\"]`",
    )]);
}

#[test]
fn one_average_is_enough() {
    for optimizer in ["AdamWScheduleFree", "RAdamScheduleFree"] {
        let text = format!("use_ema: true\noptimizer_type: {optimizer}");
        assert_errors(&[(&text, &format!("averages what was trained, and so does {optimizer} itself"))]);
    }
}

#[test]
fn settings_of_the_network_that_do_nothing_draw_a_note() {
    for (lines, first_words) in [
        ("network_type: dora", "network_type: diffusers' file layout has no magnitudes of inputs"),
        ("dora_axis: output", "dora_axis: only"),
        ("lokr_factor: 4", "lokr_factor: only"),
        ("conv_alpha: 4", "conv_alpha: does nothing"),
        ("block_lr_zero_threshold: 0.1", "block_lr_zero_threshold: does nothing"),
        ("text_encoder_lr: 5e-5", "text_encoder_lr: does nothing"),
        ("loraplus_text_encoder_lr_ratio: 4", "loraplus_text_encoder_lr_ratio: does nothing"),
        ("ema_decay: 0.99", "ema_decay: does nothing"),
    ] {
        let notes = notes(lines);
        assert!(matches!(&notes[..], [note] if note.starts_with(first_words)), "{lines}: {notes:?}");
    }
    assert_eq!(notes("network_type: dora\ndora_axis: output"), Vec::<String>::new());
    assert_eq!(notes("loraplus_unet_lr_ratio: 16"), Vec::<String>::new());
    assert_eq!(notes("text_encoder_lr: 0\nloraplus_lr_ratio: 16\nconv_alpha: 0"), Vec::<String>::new());
}

#[test]
fn the_summary_names_what_the_network_has() {
    let line = |extra: &str| config(extra).summary().into_iter().find(|line| line.starts_with("LoRA")).unwrap();
    assert!(line("").ends_with("rank 8, alpha 16, alpha/rank 2, attention"), "{}", line(""));
    let lora = line(
        "conv_dim: 4\ntrain_text_encoder: true\nmid_lr_weight: 0.5\nloraplus_lr_ratio: 16\nrank_dropout: 0.1\n\
         scale_weight_norms: 1\nuse_ema: true\nmax_token_length: 150\n",
    );
    let wanted = "attention, convolutions rank 4, alpha 1, text encoder at 1e-5, rates by block, LoRA+ 16, rank dropout \
                  0.1, norms up to 1, EMA 0.999, 150 tokens";
    assert!(lora.ends_with(wanted), "{lora}");
    let dora = line(EVERY_NETWORK_KEY);
    let wanted = "alpha/√rank 5.6569, attention, dora of outputs, convolutions rank 8, alpha 4, text encoder only \
                  at 5e-6, sizes by block, rates by block, LoRA+ 16 and 4 in the text encoder, EMA 0.99, 150 tokens";
    assert!(dora.ends_with(wanted), "{dora}");
}
