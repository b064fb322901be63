use lora_wgpu::{
    adapters::TensorShape,
    config::{OptimizerKind, OptimizerSettings},
    optim::Optimizer,
};

use crate::support::{Fixture, GROUPS, Training, assert_close, devices};

#[test]
fn five_clipped_steps_match_pytorch() {
    let fixture = Fixture::open("adamw");
    let mut settings = OptimizerSettings::new(OptimizerKind::AdamW);
    settings.set("weight_decay", &0.1.into()).unwrap();
    let first = [fixture.tensor("parameters").data];
    for device in devices() {
        let tensors = vec![(TensorShape::vector(&[first[0].len()]), Some(0))];
        let training = Training::new(&device.gpu, Optimizer::new(&settings), tensors, &first);
        for step in 1..=5 {
            let gradients = [fixture.tensor(&format!("{step}/gradients")).data];
            let clip = training.update(step, [1e-2; GROUPS], &gradients, (1.0, 1.0));
            let what = format!("step {step} on {}", device.name);
            assert_close(&what, &clip[..1], &fixture.expected(&format!("{step}/norm")), 1e-6);
            let state = training.state.read(&device.gpu, &training.store).unwrap();
            assert_eq!(state.iter().map(|state| state.slot).collect::<Vec<_>>(), ["exp_avg", "exp_avg_sq"]);
            let [parameters, m, v] = [&training.parameters()[0], &state[0].values, &state[1].values];
            for (name, actual) in [("parameters", parameters), ("m", m), ("v", v)] {
                let expected = fixture.expected(&format!("{step}/{name}"));
                assert_close(&format!("{name} of {what}"), actual, &expected, 1e-6);
            }
        }
    }
}
