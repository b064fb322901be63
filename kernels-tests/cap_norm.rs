use lora_wgpu::{
    gpu::{Buffer, BufferSlice, Gpu},
    ops::{self, Capped},
    tape::{DType, Program, Tape},
};

use crate::support::{Fixture, Matrix, Tensor, assert_close, devices};

/// What is held against f64, relative to the largest part of it.
const TOLERANCE: f64 = 1e-6;
const SENTINEL: f32 = 12_345.678;

/// A LoRA's matrices, as files have them.
struct Lora {
    down: Tensor,
    up: Tensor,
    scale: f32,
}

impl Lora {
    fn random([rank, columns, rows]: [usize; 3]) -> Self {
        Self { down: Tensor::random(&[rank, columns], 1), up: Tensor::random(&[rows, rank], 2), scale: 0.25 }
    }

    fn norm(&self) -> f64 {
        let product = Matrix::of(&self.up).times(&Matrix::of(&self.down));
        f64::from(self.scale) * product.data.iter().map(|value| value * value).sum::<f64>().sqrt()
    }

    /// down and up, as they are stored, times `factor`.
    fn expected(&self, factor: f64) -> [Vec<f64>; 2] {
        [&self.down, &self.up]
            .map(|matrix| matrix.clone().padded().data.into_iter().map(|value| factor * f64::from(value)).collect())
    }

    /// down and up behind each other in one buffer with sentinels between, capped by one update.
    fn capped(&self, gpu: &Gpu, largest: f32, finite: bool) -> [Vec<f32>; 2] {
        let matrices = [&self.down, &self.up].map(|matrix| matrix.clone().padded());
        let mut all = vec![SENTINEL; 64];
        let starts = [0, 1].map(|index: usize| {
            let start = all.len();
            all.extend(&matrices[index].data);
            all.resize((all.len() + 64).next_multiple_of(64), SENTINEL);
            start
        });
        let buffer = Buffer::declare("shard", 4 * all.len() as u64);
        gpu.upload(&buffer.whole(), bytemuck::cast_slice(&all));
        let mut tape = Tape::new();
        let [down, up] = [0, 1].map(|index: usize| {
            let (offset, bytes) = (4 * starts[index] as u64, 4 * matrices[index].data.len() as u64);
            let slice = BufferSlice { buffer: buffer.clone(), offset, bytes };
            tape.external("matrix", &matrices[index].shape, DType::F32, &slice)
        });
        let [scale, largest_input] = ["scale", "largest"].map(|name| tape.input(name, &[1]));
        let clip = tape.input("clip", &[4]);
        let lora = Capped { down, up, scale: scale.value };
        ops::cap_norm(&mut tape, lora, largest_input.value, clip.value);
        let program = Program::compile(gpu, "cap_norm", tape).unwrap();
        program.write(gpu, scale, &[self.scale]);
        program.write(gpu, largest_input, &[largest]);
        program.write(gpu, clip, &[1.0, 1.0, f32::from(u8::from(finite)), 1.0]);
        program.replay(gpu);
        let values: Vec<f32> = bytemuck::pod_collect_to_vec(&gpu.read(&buffer.whole()).unwrap());
        let ranges = [0, 1].map(|index: usize| starts[index]..starts[index] + matrices[index].data.len());
        let outside = |at: &usize| ranges.iter().all(|range| !range.contains(at));
        assert!(
            (0..values.len()).filter(outside).all(|at| values[at] == SENTINEL),
            "a kernel wrote outside of the LoRA"
        );
        ranges.map(|range| values[range].to_vec())
    }
}

#[test]
fn agrees_with_plain_loops() {
    for shape in [[1, 1, 1], [3, 7, 5], [4, 64, 260], [20, 63, 12], [16, 2880, 324], [128, 68, 257], [132, 12, 8]] {
        let lora = Lora::random(shape);
        let norm = lora.norm();
        for device in devices() {
            let largest = 0.3 * norm as f32;
            let factor = (f64::from(largest) / norm).sqrt();
            for (actual, expected) in lora.capped(&device.gpu, largest, true).iter().zip(lora.expected(factor)) {
                assert_close(&format!("{shape:?} on {}", device.name), actual, &expected, TOLERANCE);
            }
            // Close to the bound on either side.
            let kept = lora.expected(1.0).map(|values| values.iter().map(|&value| value as f32).collect::<Vec<_>>());
            assert!(lora.capped(&device.gpu, (1.000_002 * norm) as f32, true) == kept, "{shape:?} on {}", device.name);
            assert!(lora.capped(&device.gpu, (0.999_998 * norm) as f32, true) != kept, "{shape:?} on {}", device.name);
        }
    }
}

/// Equal values round the same way in every addition: the worst case of a long sum.
#[test]
fn long_sums_do_not_drift() {
    let constant = |shape: &[usize]| Tensor::new(shape, vec![0.123_456_7; shape[0] * shape[1]]);
    let lora = Lora { down: constant(&[4, 11_520]), up: constant(&[10_240, 4]), scale: 1.0 };
    let norm = 4.0 * f64::from(0.123_456_7f32).powi(2) * (11_520.0 * 10_240f64).sqrt();
    for device in devices() {
        for (actual, expected) in lora.capped(&device.gpu, 1.0, true).iter().zip(lora.expected(norm.powf(-0.5))) {
            assert_close(device.name, actual, &expected, TOLERANCE);
        }
    }
}

#[test]
fn nothing_is_touched_where_gradients_are_not_finite() {
    let lora = Lora::random([4, 20, 12]);
    for device in devices() {
        let [down, up] = lora.capped(&device.gpu, 0.1, false);
        assert!(down == lora.down.data && up == lora.up.data, "{}", device.name);
    }
}

#[test]
fn agrees_with_pytorch() {
    let fixture = Fixture::open("cap_norm");
    for name in ["linear", "conv", "below"] {
        let matrix = |part: &str| {
            let tensor = fixture.tensor(&format!("{name}/{part}"));
            Tensor::new(&[tensor.shape[0], tensor.data.len() / tensor.shape[0]], tensor.data)
        };
        let lora = Lora { down: matrix("down"), up: matrix("up"), scale: matrix("scale").data[0] };
        let expected = Lora { down: matrix("capped_down"), up: matrix("capped_up"), scale: 1.0 }.expected(1.0);
        for device in devices() {
            for (actual, expected) in lora.capped(&device.gpu, 1.0, true).iter().zip(&expected) {
                assert_close(&format!("{name} on {}", device.name), actual, expected, TOLERANCE);
            }
        }
    }
}
