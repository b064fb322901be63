use std::{
    thread,
    time::{Duration, Instant},
};

use lora_wgpu::{
    gpu::{Gpu, GpuOptions},
    ops,
    tape::{Plan, Tape},
};

#[test]
fn kernels_are_compiled_beside_other_work() {
    let gpu = Gpu::open(&GpuOptions::default()).expect("the tests need a Vulkan driver; tools/setup.sh installs one");
    let mut tape = Tape::new();
    let x = tape.input("x", &[8]).value;
    let scaled = ops::scale(&mut tape, x, 2.0);
    let out = ops::silu(&mut tape, scaled);
    tape.keep("out", out);
    let plan = Plan::new("two kernels", tape, gpu.caps()).unwrap();
    let specs: Vec<_> = plan.launches().map(|launch| launch.kernel.clone()).collect();
    let start = Instant::now();
    gpu.compile_during(&specs, || {
        while gpu.kernel_count() < 2 {
            assert!(start.elapsed() < Duration::from_secs(60), "nothing is compiled");
            thread::yield_now();
        }
    });
    gpu.compile_during(&specs, || ());
    assert_eq!(gpu.kernel_count(), 2, "compiled once");
}
