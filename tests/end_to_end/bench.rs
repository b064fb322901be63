//! The measurement of a whole step, on a small U-Net.

use lora_wgpu::{
    bench::{Workload, measure},
    config::LoraTarget,
    models::UNetConfig,
    size::Size,
    tape::{Checkpointing, DType},
    weights::StorageType,
};

use crate::support::devices::{cpu_driver, portable};

#[test]
fn a_step_is_measured_by_family() {
    let gpu = cpu_driver().unwrap_or(portable());
    let widths = UNetConfig {
        block_out_channels: vec![32, 64, 64, 64],
        cross_attention_dim: 32,
        ..UNetConfig::stable_diffusion_v1()
    };
    let workload = Workload {
        size: Size::square(64),
        batch: 2,
        rank: 4,
        target: LoraTarget::Transformer,
        weights: StorageType::BF16,
        checkpointing: Checkpointing::Off,
        activations: DType::F32,
        accumulation: 2,
    };
    let report = measure(gpu, &widths, &workload, 2).expect("memory for a small U-Net");
    assert!(report.step.seconds.len() == 2 && report.step.median_seconds > 0.0);
    assert!(report.peaks.gflops > 0.0 && report.peaks.gigabytes_per_second > 0.0);
    let names: Vec<&str> = report.families.iter().map(|family| family.name).collect();
    for name in ["matrix products", "convolutions", "attention", "optimizer"] {
        assert!(names.contains(&name), "no {name} in {names:?}");
    }
    let dispatches: usize = report.families.iter().map(|family| family.dispatches).sum();
    assert_eq!(dispatches, report.dispatches);
    let shown = report.to_string();
    assert!(shown.contains("matrix products") && !shown.contains("NaN"), "{shown}");
}
