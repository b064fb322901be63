use lora_wgpu::{
    adapters::{Store, TensorShape},
    config::{OptimizerKind, OptimizerSettings},
    gpu::Gpu,
    optim::{Ema, EmaRule, Optimizer},
    tape::{Program, Tape},
};

use crate::support::{Fixture, GROUPS, Training, assert_close, devices, devices_and_bands, record_update};

/// The fixture's tensors, with awkward shapes; where they lie as vectors, and their groups.
const TENSORS: [(&str, &[usize], bool, usize); 6] = [
    ("matrix", &[3, 50], false, 0),
    ("large", &[20, 25], false, 0),
    ("vector", &[37], true, 1),
    ("magnitude", &[6, 1], true, 1),
    ("conv1x1", &[3, 10, 1, 1], false, 0),
    ("conv3x3", &[3, 4, 3, 3], false, 1),
];

/// A recorded case: the optimizer by its name, its arguments and learning rate, and what may differ of its weights.
struct Case {
    name: &'static str,
    optimizer: &'static str,
    arguments: &'static [(&'static str, &'static str)],
    rate: f64,
    tolerance: f64,
}

/// Early on, p0 − p is below p's own rounding, so that d is good to some 1e-4 only in f32.
const PRODIGY: f64 = 5e-4;
const DISTANCE: f64 = 2e-3;

#[rustfmt::skip]
const CASES: &[Case] = &[
    Case { name: "adamw", optimizer: "AdamW", arguments: &[("weight_decay", "0.01")], rate: 1e-3, tolerance: 1e-6 },
    Case { name: "sgd_nesterov", optimizer: "SGDNesterov", arguments: &[("weight_decay", "0.1")], rate: 1e-2, tolerance: 1e-6 },
    Case { name: "lion", optimizer: "Lion", arguments: &[("weight_decay", "0.01")], rate: 1e-4, tolerance: 2e-6 },
    Case { name: "adafactor", optimizer: "AdaFactor", arguments: &[], rate: 1.0, tolerance: 1e-6 },
    Case { name: "adafactor_warmup", optimizer: "Adafactor", arguments: &[("warmup_init", "True")], rate: 1.0, tolerance: 1e-6 },
    Case { name: "adafactor_fixed", optimizer: "Adafactor",
        arguments: &[("relative_step", "False"), ("scale_parameter", "False"), ("weight_decay", "0.01")], rate: 1e-3, tolerance: 1e-6 },
    Case { name: "prodigy", optimizer: "Prodigy", arguments: &[], rate: 1.0, tolerance: PRODIGY },
    Case { name: "prodigy_recipe", optimizer: "Prodigy",
        arguments: &[("betas", "0.9,0.99"), ("weight_decay", "0.01"), ("decouple", "True"), ("use_bias_correction", "True"),
            ("safeguard_warmup", "True"), ("d_coef", "2.0")], rate: 1.0, tolerance: PRODIGY },
    Case { name: "prodigy_coupled", optimizer: "Prodigy",
        arguments: &[("weight_decay", "0.01"), ("decouple", "False"), ("growth_rate", "1.02"), ("beta3", "0.9")], rate: 1.0, tolerance: PRODIGY },
    Case { name: "dadapt_adam", optimizer: "DAdaptation", arguments: &[("decouple", "True"), ("weight_decay", "0.01")], rate: 1.0, tolerance: 1e-5 },
    Case { name: "dadapt_adam_corrected", optimizer: "DAdaptAdam",
        arguments: &[("use_bias_correction", "True"), ("weight_decay", "0.01"), ("growth_rate", "1.5")], rate: 0.5, tolerance: 1e-5 },
    Case { name: "adamw_schedule_free", optimizer: "AdamWScheduleFree",
        arguments: &[("weight_decay", "0.01"), ("warmup_steps", "4")], rate: 1e-3, tolerance: 1e-6 },
    Case { name: "adamw_schedule_free_weighted", optimizer: "AdamWScheduleFree",
        arguments: &[("r", "0.5"), ("weight_lr_power", "1"), ("warmup_steps", "4")], rate: 1e-3, tolerance: 1e-6 },
    Case { name: "radam_schedule_free", optimizer: "RAdamScheduleFree", arguments: &[("weight_decay", "0.01")], rate: 1e-3, tolerance: 1e-6 },
    Case { name: "came", optimizer: "CAME", arguments: &[("weight_decay", "0.01")], rate: 1e-4, tolerance: 2e-6 },
];

impl Case {
    fn optimizer(&self) -> Optimizer {
        let mut settings = OptimizerSettings::named(self.optimizer).unwrap();
        for (name, value) in self.arguments {
            settings.set(name, &(*value).into()).unwrap();
        }
        Optimizer::new(&settings)
    }
}

fn tensors() -> Vec<(TensorShape, Option<usize>)> {
    let shape = |axes: &[usize], vector| if vector { TensorShape::vector(axes) } else { TensorShape::matrix(axes) };
    TENSORS.map(|(_, axes, vector, group)| (shape(axes, vector), Some(group))).to_vec()
}

/// An optimizer's update of tensors of these shapes.
pub fn recorded(kind: OptimizerKind) -> Tape {
    let store = Store::new(tensors(), 1 << 20, false);
    let optimizer = Optimizer::new(&OptimizerSettings::new(kind));
    let mut tape = Tape::new();
    record_update(&mut tape, &store, &optimizer, &optimizer.state(&store));
    tape
}

fn begin<'a>(gpu: &'a Gpu, case: &Case, fixture: &Fixture) -> Training<'a> {
    Training::new(gpu, case.optimizer(), tensors(), &first(fixture))
}

/// Neither scaled nor clipped.
const PLAIN: (f32, f32) = (1.0, 0.0);

fn first(fixture: &Fixture) -> Vec<Vec<f32>> {
    TENSORS.map(|(name, ..)| fixture.tensor(&format!("first/{name}")).data).to_vec()
}

/// Gradients of step `step`, from 1, for each tensor.
fn gradients(fixture: &Fixture, step: u32) -> Vec<Vec<f32>> {
    let of = |(name, shape, ..): (&str, &[usize], bool, usize)| {
        let elements: usize = shape.iter().product();
        fixture.tensor(&format!("gradients/{name}")).data[(step as usize - 1) * elements..][..elements].to_vec()
    };
    TENSORS.map(of).to_vec()
}

fn assert_tensors(what: &str, actual: &[Vec<f32>], fixture: &Fixture, prefix: &str, tolerance: f64) {
    for ((name, ..), actual) in TENSORS.iter().zip(actual) {
        let expected = fixture.expected(&format!("{prefix}/{name}"));
        assert_close(&format!("{name} of {what}"), actual, &expected, tolerance);
    }
}

#[test]
fn twenty_updates_match_the_packages_that_are_followed() {
    let fixture = Fixture::open("optimizers");
    for device in devices_and_bands() {
        for case in CASES {
            let run = begin(&device.gpu, case, &fixture);
            let what = format!("{} on {}", case.name, device.name);
            let mut distances = Vec::new();
            for step in 1..=20 {
                run.update(step, [case.rate; GROUPS], &gradients(&fixture, step), (8.0, 0.0));
                distances.extend(run.state.distance(&device.gpu).unwrap());
                if [1, 20].contains(&step) {
                    let prefix = format!("{}/{step}", case.name);
                    assert_tensors(
                        &format!("{what}, step {step}"),
                        &run.parameters(),
                        &fixture,
                        &prefix,
                        case.tolerance,
                    );
                }
            }
            if !distances.is_empty() {
                assert_close(&what, &distances, &fixture.expected(&format!("{}/d", case.name)), DISTANCE);
            }
            if case.name.contains("schedule_free") {
                let evaluated = run.optimizer.evaluated(&device.gpu, &run.store, &run.state).unwrap();
                assert_tensors(&what, &evaluated, &fixture, &format!("{}/evaluated", case.name), case.tolerance);
            }
        }
    }
}

/// One case of each shader.
fn distinct() -> impl Iterator<Item = &'static Case> {
    ["adamw", "sgd_nesterov", "lion", "adafactor", "prodigy_recipe", "dadapt_adam", "adamw_schedule_free", "came"]
        .into_iter()
        .map(|name| CASES.iter().find(|case| case.name == name).expect("a case of this name"))
}

#[test]
fn gradients_that_are_not_finite_touch_nothing() {
    let fixture = Fixture::open("optimizers");
    for device in devices() {
        for case in distinct() {
            let run = begin(&device.gpu, case, &fixture);
            run.update(1, [case.rate; GROUPS], &gradients(&fixture, 1), PLAIN);
            let before = run.bytes();
            for bad in [f32::NAN, f32::INFINITY] {
                let mut gradients = gradients(&fixture, 2);
                gradients[1][77] = bad;
                run.update(2, [case.rate; GROUPS], &gradients, PLAIN);
                for (name, bytes) in run.bytes() {
                    // The last of the shared numbers but the corrections says that nothing moved.
                    let same =
                        if name == "shared" { bytes[..12] == before[&name][..12] } else { bytes == before[&name] };
                    assert!(same, "{name} of {} on {}, {bad}", case.name, device.name);
                }
            }
        }
    }
}

#[test]
fn padding_stays_zero() {
    let fixture = Fixture::open("optimizers");
    for device in devices() {
        for case in distinct() {
            let run = begin(&device.gpu, case, &fixture);
            for step in 1..=3 {
                run.update(step, [case.rate; GROUPS], &gradients(&fixture, step), PLAIN);
            }
            let parameters = run.parameters();
            for (index, shard) in run.store.shards.iter().enumerate() {
                let expected = run.store.flat(index, &parameters);
                let bytes = device.gpu.read(&shard.parameters.whole()).unwrap();
                let actual: Vec<f32> = bytemuck::pod_collect_to_vec(&bytes);
                assert!(actual == expected, "{} on {}: padding of shard {index}", case.name, device.name);
            }
        }
    }
}

#[test]
fn a_run_goes_on_from_saved_bytes_as_if_it_had_not_stopped() {
    let fixture = Fixture::open("optimizers");
    let device = &devices()[0];
    for case in distinct() {
        let whole = begin(&device.gpu, case, &fixture);
        let step = |run: &Training<'_>, step| run.update(step, [case.rate; GROUPS], &gradients(&fixture, step), PLAIN);
        (1..=2).for_each(|number| drop(step(&whole, number)));
        let saved = whole.bytes();
        (3..=4).for_each(|number| drop(step(&whole, number)));

        let resumed = {
            let zeros = TENSORS.map(|(_, axes, ..)| vec![0.0; axes.iter().product()]);
            Training::new(&device.gpu, case.optimizer(), tensors(), &zeros)
        };
        for (name, buffer) in resumed.buffers() {
            device.gpu.upload(&buffer.whole(), &saved[&name]);
        }
        (3..=4).for_each(|number| drop(step(&resumed, number)));
        assert!(resumed.bytes() == whole.bytes(), "{}", case.name);
    }
}

/// prodigyopt and dadaptation refuse other differences of rates than to 0.
#[test]
fn a_group_whose_rate_is_zero_keeps_its_weights_and_counts_for_no_distance() {
    let fixture = Fixture::open("optimizers");
    let device = &devices()[0];
    for case in distinct() {
        let run = begin(&device.gpu, case, &fixture);
        let own_rate = case.name == "adafactor";
        run.update(1, [case.rate, 0.0], &gradients(&fixture, 1), PLAIN);
        let after = run.parameters();
        for (((name, _, _, group), before), after) in TENSORS.iter().zip(first(&fixture)).zip(after) {
            let moved = before != after;
            let expected = *group == 0 || own_rate;
            assert_eq!(moved, expected, "{name} of {}", case.name);
        }
    }
}

/// While d is 0 at the first update of a warm-up, nothing is moved, and the bias corrections are not counted on.
#[test]
fn a_rate_of_zero_moves_no_distance() {
    let fixture = Fixture::open("optimizers");
    let device = &devices()[0];
    for case in CASES.iter().filter(|case| ["prodigy_recipe", "dadapt_adam_corrected"].contains(&case.name)) {
        let [warmed, plain] = [1, 0].map(|updates| {
            let run = begin(&device.gpu, case, &fixture);
            for update in 0..updates {
                run.update(update + 1, [0.0; GROUPS], &gradients(&fixture, 5), PLAIN);
            }
            for step in 1..=3 {
                run.update(updates + step, [case.rate; GROUPS], &gradients(&fixture, step), PLAIN);
            }
            run.bytes()
        });
        assert!(warmed == plain, "{}", case.name);
    }
}

#[test]
fn an_average_follows_the_parameters() {
    let fixture = Fixture::open("optimizers");
    let rule = EmaRule::Diffusers { decay: 0.3, min_decay: 0.0, update_after_step: 0, warmup: None };
    for device in devices_and_bands() {
        let run = begin(&device.gpu, &CASES[0], &fixture);
        let ema = Ema::new(&run.store);
        ema.reset(&device.gpu, &run.store);
        assert_eq!(ema.read(&device.gpu, &run.store).unwrap(), first(&fixture));
        let mut tape = Tape::new();
        let weight = tape.input("weight", &[1]);
        ema.record(&mut tape, &run.store, weight.value);
        let program = Program::compile(&device.gpu, "ema", tape).unwrap();
        let mut expected: Vec<Vec<f64>> =
            first(&fixture).iter().map(|values| values.iter().map(|&v| f64::from(v)).collect()).collect();
        for step in 1..=4 {
            run.update(step, [CASES[0].rate; GROUPS], &gradients(&fixture, step), PLAIN);
            program.write(&device.gpu, weight, &[rule.weight(step) as f32]);
            program.replay(&device.gpu);
            for (expected, now) in expected.iter_mut().flatten().zip(run.parameters().iter().flatten()) {
                *expected += rule.weight(step) * (f64::from(*now) - *expected);
            }
        }
        for ((name, ..), (actual, expected)) in
            TENSORS.iter().zip(ema.read(&device.gpu, &run.store).unwrap().iter().zip(&expected))
        {
            assert_close(&format!("average of {name} on {}", device.name), actual, expected, 1e-6);
        }
    }
}
