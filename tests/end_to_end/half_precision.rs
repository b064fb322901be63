//! Training steps with activations in f16, beside the same steps in f32.

use lora_wgpu::{gpu::Gpu, tape::DType, weights::lora::AdapterModule};

use crate::support::{
    devices::{cpu_driver, portable},
    small_training::SmallTraining,
};

fn devices() -> impl Iterator<Item = &'static Gpu> {
    std::iter::once(portable()).chain(cpu_driver())
}

/// As a training with such activations begins.
const LOSS_SCALE: f32 = 65_536.0;

fn values(modules: &[AdapterModule]) -> Vec<f32> {
    modules.iter().flat_map(|module| &module.tensors).flat_map(|tensor| &tensor.values).copied().collect()
}

fn relative_l2(actual: &[f32], expected: &[f32]) -> f64 {
    let square = |value: f32| f64::from(value).powi(2);
    let difference: f64 = actual.iter().zip(expected).map(|(a, e)| square(a - e)).sum();
    (difference / expected.iter().map(|&e| square(e)).sum::<f64>()).sqrt()
}

#[test]
fn gradients_and_losses_follow_those_in_f32() {
    for gpu in devices() {
        let exact = SmallTraining::new(gpu, DType::F32, 1.0);
        let half = SmallTraining::new(gpu, DType::F16, LOSS_SCALE);
        for step in 1..=3 {
            let losses = [&exact, &half].map(|training| training.gradients(step));
            assert!((losses[0] - losses[1]).abs() <= 2e-3 * losses[0], "step {step}: {losses:?}");
            let gradients =
                [&exact, &half].map(|training| values(&training.trained.adapters.read_gradients(gpu).unwrap()));
            let unscaled: Vec<f32> = gradients[1].iter().map(|gradient| gradient / LOSS_SCALE).collect();
            let error = relative_l2(&unscaled, &gradients[0]);
            assert!(error <= 2e-2, "step {step}: gradients differ by {error:.1e}");
            let norms = [&exact, &half].map(|training| training.update(step, 1e-3));
            assert!(norms.iter().all(|update| update.finite));
            assert!((norms[0].grad_norm - norms[1].grad_norm).abs() <= 2e-2 * norms[0].grad_norm, "{norms:?}");
        }
    }
}

#[test]
fn gradients_beyond_f16_update_nothing_and_halve_the_scale() {
    for gpu in devices() {
        let training = SmallTraining::new(gpu, DType::F16, 1e12);
        let before = values(&training.trained.adapters.read(gpu).unwrap());
        let loss = training.gradients(1);
        let update = training.update(1, 0.1);
        assert!(loss.is_finite() && !update.finite && update.loss_scale == f64::from(1e12f32), "{loss} {update:?}");
        assert_eq!(before, values(&training.trained.adapters.read(gpu).unwrap()));
        assert_eq!(training.step(1, 0.1).loss_scale, f64::from(1e12f32) / 2.0);
    }
}
