use serde_json::Value;

use super::{Callbacks, ModelCall, Sampler, SamplingPlan, StepReport, run};
use crate::{diffusion::schedule::NoiseSchedule, families::Prediction};

/// Recorded by tools/record_samplers.py.
fn recorded() -> Value {
    serde_json::from_str(include_str!("../fixtures/samplers.json")).unwrap()
}

fn numbers(value: &Value) -> Vec<f32> {
    value.as_array().unwrap().iter().map(|number| number.as_f64().unwrap() as f32).collect()
}

fn rows(value: &Value) -> Vec<Vec<f32>> {
    value.as_array().unwrap().iter().map(numbers).collect()
}

/// The recording's polynomial in place of the U-Net.
fn polynomial(call: &ModelCall) -> Vec<f32> {
    let of_time = 0.0002 * (call.timestep - 500.0);
    let answer = |&x: &f32| f64::from(x) * (0.9 - 0.02 * f64::from(x) * f64::from(x)) + of_time;
    call.input.iter().map(|x| answer(x) as f32).collect()
}

fn plan(sampler: Sampler, prediction: Prediction, steps: usize, strength: f64) -> SamplingPlan {
    SamplingPlan::new(sampler, &NoiseSchedule::stable_diffusion(), prediction, steps, strength).unwrap()
}

/// (latents, denoised) of each step, and how often model and noise were called.
struct Sampled {
    steps: Vec<(Vec<f32>, Vec<f32>)>,
    model_calls: usize,
    noise_calls: usize,
}

fn sample(plan: &SamplingPlan, image: Option<&[f32]>, unit: &[f32], draws: &[Vec<f32>]) -> Sampled {
    let mut sampled = Sampled { steps: Vec::new(), model_calls: 0, noise_calls: 0 };
    let mut latents = unit.to_vec();
    let mut callbacks = Callbacks::<()> {
        model: &mut |call| {
            assert_eq!(call.index, sampled.model_calls);
            sampled.model_calls += 1;
            Ok(polynomial(call))
        },
        noise: &mut |out| {
            out.copy_from_slice(&draws[sampled.noise_calls]);
            sampled.noise_calls += 1;
        },
        on_step: &mut |report: StepReport| {
            assert_eq!((report.index, report.steps), (sampled.steps.len(), plan.steps()));
            sampled.steps.push((report.latents.to_vec(), report.denoised.to_vec()));
            Ok(())
        },
    };
    run(plan, image, &mut latents, &mut callbacks).unwrap();
    assert_eq!(latents, sampled.steps.last().unwrap().0);
    sampled
}

/// Largest difference over largest value.
fn relative_error(ours: &[f32], theirs: &[f32]) -> f32 {
    let largest = |values: &mut dyn Iterator<Item = f32>| values.fold(0f32, |a, b| a.max(b.abs()));
    largest(&mut ours.iter().zip(theirs).map(|(a, b)| a - b)) / largest(&mut theirs.iter().copied())
}

/// 12 steps each, in order: with ε and v, from noise and from a picture. Measured: 7e-7 at most.
#[test]
fn every_step_equals_diffusers() {
    let recorded = recorded();
    let (image, unit, draws) = (numbers(&recorded["image"]), numbers(&recorded["unit"]), rows(&recorded["draws"]));
    for case in recorded["cases"].as_array().unwrap() {
        let sampler = Sampler::from_name(case["sampler"].as_str().unwrap()).unwrap();
        let prediction = Prediction::from_name(case["prediction"].as_str().unwrap()).unwrap();
        let strength = case["strength"].as_f64().unwrap();
        let plan = plan(sampler, prediction, recorded["steps"].as_u64().unwrap() as usize, strength);
        let sampled = sample(&plan, (strength < 1.0).then_some(&image[..]), &unit, &draws);
        let expected = rows(&case["latents"]);
        assert_eq!(sampled.steps.len(), expected.len());
        for (index, ((latents, _), expected)) in sampled.steps.iter().zip(&expected).enumerate() {
            let error = relative_error(latents, expected);
            assert!(error <= 2e-6, "{} {prediction:?} {strength}, step {index}: {error}", sampler.name());
        }
    }
}

/// The last step calls the model once and draws no noise, whatever the others do.
#[test]
fn calls_of_model_and_noise() {
    let draws = vec![vec![0.5, -0.5]; 24];
    for (sampler, noise_calls) in
        [(Sampler::Euler, 0), (Sampler::EulerA, 11), (Sampler::DpmppSde, 22), (Sampler::Lcm, 11)]
    {
        let sampled = sample(&plan(sampler, Prediction::Epsilon, 12, 1.0), None, &[1.0, -2.0], &draws);
        assert_eq!(sampled.noise_calls, noise_calls, "{}", sampler.name());
    }
    for sampler in Sampler::ALL {
        let sampled = sample(&plan(sampler, Prediction::Epsilon, 12, 1.0), None, &[1.0, -2.0], &draws);
        assert_eq!(sampled.model_calls, 11 * sampler.calls_per_step() + 1, "{}", sampler.name());
    }
}

/// Samplers that end at σ = 0 end in the model's last estimate, also where it is the only one.
#[test]
fn the_last_latents_are_the_last_estimate() {
    for sampler in Sampler::ALL.into_iter().filter(|&sampler| sampler != Sampler::Ddim) {
        for steps in [1, 3] {
            let plan = plan(sampler, Prediction::Epsilon, steps, 1.0);
            let sampled = sample(&plan, None, &[1.0, -2.0], &vec![vec![0.5, -0.5]; 4]);
            let (latents, denoised) = sampled.steps.last().unwrap();
            assert!(relative_error(latents, denoised) < 1e-5, "{} {steps}", sampler.name());
        }
    }
}

#[test]
fn an_error_of_the_model_or_the_report_ends_the_sampling() {
    let plan = plan(Sampler::Heun, Prediction::Epsilon, 5, 1.0);
    for (failing_call, failing_step, expected) in [(3, 9, "model"), (99, 2, "report")] {
        let mut latents = vec![1.0];
        let mut callbacks = Callbacks {
            model: &mut |call| if call.index == failing_call { Err("model") } else { Ok(call.input.to_vec()) },
            noise: &mut |_| (),
            on_step: &mut |report| if report.index == failing_step { Err("report") } else { Ok(()) },
        };
        assert_eq!(run(&plan, None, &mut latents, &mut callbacks), Err(expected));
    }
}

#[test]
fn strength_counts_steps_from_the_end() {
    for (steps, strength, run) in [(20, 1.0, 20), (20, 0.5, 10), (12, 0.6, 7), (10, 0.7, 7), (30, 0.04, 1)] {
        assert_eq!(plan(Sampler::Euler, Prediction::Epsilon, steps, strength).steps(), run, "{steps} {strength}");
    }
}

#[test]
fn steps_and_strengths_that_cannot_run_are_refused() {
    let error = |sampler, steps, strength| {
        let schedule = NoiseSchedule::stable_diffusion();
        SamplingPlan::new(sampler, &schedule, Prediction::Epsilon, steps, strength).unwrap_err().to_string()
    };
    assert_eq!(error(Sampler::Lcm, 51, 1.0), "lcm takes 1 to 50 steps, not 51");
    assert_eq!(error(Sampler::Euler, 0, 1.0), "euler takes 1 to 1000 steps, not 0");
    assert_eq!(
        error(Sampler::Ddim, 30, 0.03),
        "strength 0.03 of 30 steps leaves no step to run; take a strength from 0.04 to 1"
    );
    assert_eq!(error(Sampler::Ddim, 30, 1.5), "strength 1.5 is not a number from 0 to 1");
    assert_eq!(error(Sampler::Ddim, 30, f64::NAN), "strength NaN is not a number from 0 to 1");
}

#[test]
fn names_lead_back_to_the_sampler() {
    for (sampler, name) in Sampler::ALL.into_iter().zip(Sampler::NAMES) {
        assert_eq!((sampler.name(), Sampler::from_name(name)), (name, Some(sampler)));
    }
    assert_eq!(Sampler::from_name("Euler a"), None);
    assert_eq!((Sampler::EulerA.title(), Sampler::EulerA.schedule_title()), ("Euler a", "Automatic"));
    assert_eq!((Sampler::Dpmpp2mKarras.title(), Sampler::Dpmpp2mKarras.schedule_title()), ("DPM++ 2M", "Karras"));
}
