//! Loss weights, thresholds and noise against numbers recorded by tools/record_training_rules.py.

use serde_json::Value;

use super::{
    HuberSchedule, HuberThreshold, Latent, LatentShape, LossWeights, Multires, NoiseRules, NoiseSchedule,
    noise_rules::{add_offset, channel_means},
    pyramid,
};
use crate::{families::Prediction, size::Size};

const SHAPE: LatentShape = LatentShape { size: Size::new(11, 8), channels: 4 };

fn recorded() -> Value {
    serde_json::from_str(include_str!("fixtures/training_rules.json")).unwrap()
}

fn numbers(value: &Value) -> Vec<f64> {
    value.as_array().unwrap().iter().map(|number| number.as_f64().unwrap()).collect()
}

fn floats(value: &Value) -> Vec<f32> {
    numbers(value).into_iter().map(|number| number as f32).collect()
}

/// diffusers' own alphas: a unit in the last place of ᾱ[0] is 7e-5 of its SNR.
fn diffusers_schedule() -> NoiseSchedule {
    let recorded: Value = serde_json::from_str(include_str!("fixtures/noise_schedule.json")).unwrap();
    NoiseSchedule::of(floats(&recorded["alphas_cumprod"]))
}

fn assert_each(what: &str, theirs: &[f64], tolerance: f64, ours: impl Iterator<Item = f64>) {
    for (index, (ours, theirs)) in ours.zip(theirs).enumerate() {
        assert!((ours - theirs).abs() <= tolerance * theirs, "{what}, number {index}: {ours}, recorded {theirs}");
    }
}

fn assert_pixels(what: &str, ours: &[f32], theirs: &Value) {
    let theirs = floats(theirs);
    assert_eq!(ours.len(), theirs.len(), "{what}");
    for (index, (ours, theirs)) in ours.iter().zip(theirs).enumerate() {
        assert!((ours - theirs).abs() <= 1e-6, "{what}, number {index}: {ours}, recorded {theirs}");
    }
}

#[test]
fn weights_equal_sd_scripts() {
    use Prediction::{Epsilon, VPrediction};
    let (recorded, schedule) = (recorded(), diffusers_schedule());
    let timesteps = numbers(&recorded["timesteps"]);
    let off = LossWeights::default();
    let min_snr = LossWeights { min_snr_gamma: Some(5.0), ..off };
    let debiased = LossWeights { debiased_estimation_loss: true, ..off };
    let scale_v = LossWeights { scale_v_pred_loss_like_noise_pred: true, ..off };
    let all = LossWeights { debiased_estimation_loss: true, min_snr_gamma: Some(5.0), ..scale_v };
    for (name, weights, prediction) in [
        ("min_snr/epsilon", min_snr, Epsilon),
        ("min_snr/v_prediction", min_snr, VPrediction),
        ("debiased/epsilon", debiased, Epsilon),
        ("debiased/v_prediction", debiased, VPrediction),
        ("scale_v", scale_v, VPrediction),
        ("v_pred_like", LossWeights { v_pred_like_loss: 0.5, ..off }, Epsilon),
        ("scale_v_min_snr_debiased", all, VPrediction),
    ] {
        let ours = timesteps.iter().map(|&timestep| weights.at(&schedule, prediction, timestep as usize));
        assert_each(name, &numbers(&recorded["weights"][name]), 1e-6, ours);
    }
    assert!(timesteps.iter().all(|&timestep| off.at(&schedule, Epsilon, timestep as usize) == 1.0));
}

#[test]
fn thresholds_equal_sd_scripts() {
    let (recorded, schedule) = (recorded(), diffusers_schedule());
    let timesteps = numbers(&recorded["timesteps"]);
    let shifted = schedule.zero_terminal_snr();
    // diffusers' shifted ᾱ is off by 1e-6, see below
    for (table, noising, tolerance) in [("thresholds", schedule, 1e-6), ("thresholds_zero_terminal_snr", shifted, 2e-6)]
    {
        for (name, schedule) in [
            ("snr", HuberSchedule::Snr),
            ("exponential", HuberSchedule::Exponential),
            ("constant", HuberSchedule::Constant),
        ] {
            let threshold = HuberThreshold { schedule, c: 0.1, scale: 2.0 };
            let ours = timesteps.iter().map(|&timestep| threshold.at(&noising, timestep as usize));
            assert_each(&format!("{table} {name}"), &numbers(&recorded[table][name]), tolerance, ours);
        }
    }
}

/// diffusers goes through β in f32 and multiplies a thousand of them again, which costs it 1e-6 of ᾱ[0].
#[test]
fn zero_terminal_snr_equals_diffusers() {
    let ours = diffusers_schedule().zero_terminal_snr();
    for (timestep, theirs) in numbers(&recorded()["zero_terminal_snr"]).into_iter().enumerate() {
        let alpha = f64::from(ours.alpha_cumprod(timestep));
        assert!((alpha - theirs).abs() <= 1e-6, "ᾱ[{timestep}]: {alpha}, diffusers {theirs}");
    }
    assert_eq!(ours.alpha_cumprod(999), 0.0);
    assert_eq!(ours.factors(999), (0.0, 1.0));
    assert!((ours.alpha_cumprod(500) - 0.241_018_64).abs() < 1e-7);
}

#[test]
fn offsets_equal_sd_scripts() {
    let recorded = &recorded()["noise"];
    let [latents, noise, offset] = ["latents", "noise", "offset"].map(|name| floats(&recorded[name]));
    for (name, adaptive) in [("with_offset", 0.05), ("with_falling_offset", -0.5)] {
        let mut all = Vec::new();
        for (picture, draws) in offset.chunks_exact(SHAPE.channels).enumerate() {
            let at = picture * SHAPE.elements()..(picture + 1) * SHAPE.elements();
            let means = channel_means(&latents[at.clone()], SHAPE.channels);
            let deviations: Vec<f64> = means.iter().map(|mean| (0.1 + adaptive * mean.abs()).max(0.0)).collect();
            let mut noise = noise[at].to_vec();
            add_offset(&mut noise, draws, &deviations);
            all.extend(noise);
        }
        assert_pixels(name, &all, &recorded[name]);
    }
}

#[test]
fn levels_equal_sd_scripts() {
    let recorded = &recorded()["noise"];
    let shapes = pyramid::levels(SHAPE, &[2.7, 3.1, 2.2, 3.9, 2.5, 3.3]);
    let levels = recorded["levels"].as_array().unwrap();
    let side = |level: &Value, name: &str| level[name].as_u64().unwrap() as usize;
    let theirs = levels.iter().map(|level| Size::new(side(level, "width"), side(level, "height")));
    assert_eq!(shapes.iter().map(|shape| shape.size).collect::<Vec<_>>(), theirs.collect::<Vec<_>>());
    let mut noise: Vec<Vec<f32>> = floats(&recorded["noise"]).chunks(SHAPE.elements()).map(<[f32]>::to_vec).collect();
    for (picture, noise) in noise.iter_mut().enumerate() {
        let draws = |level: &Value| {
            let values = floats(&level["values"]);
            values[picture * values.len() / 2..(picture + 1) * values.len() / 2].to_vec()
        };
        let draws: Vec<f32> = levels.iter().flat_map(draws).collect();
        pyramid::add_levels(noise, SHAPE, &draws, &shapes, 0.3);
    }
    pyramid::divide_by_deviation(&mut noise);
    assert_pixels("with_levels", &noise.concat(), &recorded["with_levels"]);
}

fn draw(rules: NoiseRules, step: u32, latents: &[Vec<f32>]) -> super::UpdateNoise {
    let latents: Vec<Latent<'_>> = latents.iter().map(|values| Latent { values, shape: SHAPE }).collect();
    rules.draw(42, step, &latents)
}

/// Two pictures that differ.
fn pictures() -> Vec<Vec<f32>> {
    [0.25, -1.5].map(|value| vec![value; SHAPE.elements()]).to_vec()
}

#[test]
fn plain_noise_is_the_pictures_own_and_makes_input_and_target() {
    let drawn = draw(NoiseRules::default(), 7, &pictures());
    let mut first = vec![0.0; SHAPE.elements()];
    super::random::training_noise(42, 7, 1, &mut first);
    assert_eq!(drawn.noise[1], first);
    assert!(drawn.input_noise.is_none());
}

#[test]
fn an_offset_is_the_same_for_all_pixels_of_a_channel() {
    let plain = draw(NoiseRules::default(), 7, &pictures()).noise;
    let offset = draw(NoiseRules { offset: 0.1, ..Default::default() }, 7, &pictures()).noise;
    let mut standard = [0.0; 4];
    super::Stream::new(42, super::Purpose::NoiseOffset, 7, 1).fill_normal(&mut standard);
    let added = standard.map(|value| 0.1 * value);
    for (plain, offset) in plain[1].chunks_exact(4).zip(offset[1].chunks_exact(4)) {
        assert!((0..4).all(|channel| plain[channel] + added[channel] == offset[channel]));
    }
}

#[test]
fn a_random_strength_is_drawn_once_for_an_update_and_anew_for_the_next() {
    let fixed = NoiseRules { offset: 0.1, ..Default::default() };
    let random = NoiseRules { offset_random_strength: true, ..fixed };
    let strengths = |step| {
        let [plain, fixed, random] = [NoiseRules::default(), fixed, random].map(|r| draw(r, step, &pictures()).noise);
        let strength = |picture: usize| {
            let [plain, fixed, random] = [&plain, &fixed, &random].map(|noise| noise[picture][0]);
            (random - plain) / (fixed - plain)
        };
        (strength(0), strength(1))
    };
    let (first, second) = strengths(1);
    assert!((first - second).abs() < 1e-4 && (0.0..1.0).contains(&first), "{first}, {second}");
    assert!((strengths(2).0 - first).abs() > 1e-3);
}

#[test]
fn a_perturbed_input_leaves_the_target_as_it_is() {
    let rules = NoiseRules { offset: 0.1, ip_gamma: 0.1, ..Default::default() };
    let plain = draw(NoiseRules { ip_gamma: 0.0, ..rules }, 7, &pictures()).noise;
    let drawn = draw(rules, 7, &pictures());
    assert_eq!(drawn.noise, plain);
    let added: Vec<f32> =
        drawn.input_noise.unwrap().iter().flatten().zip(plain.iter().flatten()).map(|(i, n)| i - n).collect();
    let deviation = (added.iter().map(|value| value * value).sum::<f32>() / added.len() as f32).sqrt();
    // 704 draws: the standard error is 0.0027
    assert!((deviation - 0.1).abs() < 0.01, "{deviation}");
    let random = draw(NoiseRules { ip_gamma_random_strength: true, ..rules }, 7, &pictures()).input_noise.unwrap();
    let ratio = |index: usize| (random[0][index] - plain[0][index]) / added[index];
    assert!((ratio(0) - ratio(100)).abs() < 1e-3 && (0.0..1.0).contains(&ratio(0)));
}

#[test]
fn noise_of_many_levels_has_unit_deviation_and_follows_seed_and_step() {
    let rules = NoiseRules { multires: Some(Multires { iterations: 6, discount: 0.8 }), ..Default::default() };
    let noise = draw(rules, 7, &pictures()).noise;
    let values: Vec<f64> = noise.iter().flatten().map(|&value| f64::from(value)).collect();
    let mean = values.iter().sum::<f64>() / values.len() as f64;
    let variance = values.iter().map(|value| (value - mean).powi(2)).sum::<f64>() / (values.len() - 1) as f64;
    assert!((variance - 1.0).abs() < 1e-6);
    assert_eq!(noise, draw(rules, 7, &pictures()).noise);
    assert_ne!(noise, draw(rules, 8, &pictures()).noise);
    // neighbours of plain noise are independent
    let neighbours = noise[0].chunks_exact(4).map(|pixel| pixel[0]).collect::<Vec<_>>();
    let correlation = neighbours.windows(2).map(|pair| pair[0] * pair[1]).sum::<f32>() / 87.0;
    assert!(correlation > 0.3, "{correlation}");
}
