use lora_wgpu::{
    gpu::{Buffer, Variant},
    ops::{self, ConvGeometry},
    tape::{Checkpointing, DType, Plan, Tape, Value, prepared_bytes},
};

use crate::support::{Fixture, Tensor, assert_close, devices, devices_and_bands, evaluate, evaluate_with_gradients};

/// Sums of up to a few thousand products in f32.
const TOLERANCE: f64 = 1e-5;

/// A case of plain loops: x `(B, H, W, c_in)`, weight `(9, c_in, c_out)`.
struct Case {
    x: [usize; 4],
    c_out: usize,
    geometry: ConvGeometry,
    dtype: DType,
}

const fn case(x: [usize; 4], c_out: usize, geometry: ConvGeometry, dtype: DType) -> Case {
    Case { x, c_out, geometry, dtype }
}

/// Single pixels, primes, one more and one less than a tile's pixels and channels, several images, and pictures large
/// enough for the larger tiles, with taps in slices and whole, and for Winograd's tiles, of odd sides too.
const CASES: [Case; 30] = [
    case([1, 1, 1, 4], 4, ConvGeometry::Same, DType::F32),
    case([1, 1, 17, 8], 36, ConvGeometry::Same, DType::F16),
    case([2, 5, 7, 12], 20, ConvGeometry::Same, DType::BF16),
    case([1, 13, 5, 68], 68, ConvGeometry::Same, DType::F32),
    case([2, 3, 11, 60], 28, ConvGeometry::Same, DType::F16),
    case([3, 16, 16, 4], 132, ConvGeometry::Same, DType::F32),
    case([1, 90, 97, 4], 64, ConvGeometry::Same, DType::F32),
    case([1, 71, 73, 4], 64, ConvGeometry::Same, DType::BF16),
    case([1, 53, 55, 4], 64, ConvGeometry::Same, DType::F16),
    case([1, 128, 129, 4], 64, ConvGeometry::Same, DType::F16),
    case([1, 7, 9, 24], 72, ConvGeometry::Same, DType::F16),
    case([2, 5, 4, 40], 64, ConvGeometry::Same, DType::BF16),
    case([1, 24, 23, 128], 64, ConvGeometry::Same, DType::F32),
    case([2, 17, 19, 64], 100, ConvGeometry::Same, DType::F16),
    case([1, 1, 519, 36], 32, ConvGeometry::Same, DType::BF16),
    case([3, 172, 1, 40], 44, ConvGeometry::Same, DType::F32),
    // Weights in panels, for direct kernels and Winograd's.
    case([2, 9, 7, 12], 128, ConvGeometry::Same, DType::F16),
    case([1, 24, 23, 64], 192, ConvGeometry::Same, DType::F32),
    case([1, 9, 8, 24], 128, ConvGeometry::Down, DType::BF16),
    // Down projections of a convolution's LoRA.
    case([2, 13, 11, 40], 4, ConvGeometry::Same, DType::F32),
    case([1, 24, 23, 64], 8, ConvGeometry::Same, DType::F32),
    case([1, 15, 16, 128], 16, ConvGeometry::Down, DType::F32),
    case([1, 40, 40, 320], 4, ConvGeometry::Same, DType::F32),
    // More than a band of the transformed sources.
    case([1, 260, 255, 32], 32, ConvGeometry::Same, DType::F32),
    case([1, 1, 1, 4], 8, ConvGeometry::Down, DType::F32),
    case([2, 7, 10, 20], 36, ConvGeometry::Down, DType::F16),
    case([1, 12, 9, 36], 24, ConvGeometry::Down, DType::F32),
    case([1, 2, 2, 4], 4, ConvGeometry::DownAsymmetric, DType::F32),
    case([2, 9, 14, 24], 20, ConvGeometry::DownAsymmetric, DType::F32),
    case([1, 8, 7, 12], 68, ConvGeometry::DownAsymmetric, DType::BF16),
];

impl Case {
    fn inputs(&self) -> [Tensor; 3] {
        let c_in = self.x[3];
        [
            Tensor::random(&self.x, 1),
            Tensor::random(&[9, c_in, self.c_out], 2).stored_as(self.dtype),
            Tensor::random(&[self.c_out], 3),
        ]
    }

    fn out_shape(&self) -> [usize; 4] {
        let [images, height, width, _] = self.x;
        [images, self.geometry.output_length(height), self.geometry.output_length(width), self.c_out]
    }

    fn name(&self, device: &str) -> String {
        format!("{device}: {:?} to {} {:?} {:?}", self.x, self.c_out, self.geometry, self.dtype)
    }

    /// Calls `visit(output pixel, input pixel, tap)`, pixels counted over the whole batch.
    fn for_each_tap(&self, mut visit: impl FnMut(usize, usize, usize)) {
        let (stride, pad) = match self.geometry {
            ConvGeometry::Same => (1, 1),
            ConvGeometry::Down => (2, 1),
            ConvGeometry::DownAsymmetric => (2, 0),
        };
        let [images, height, width, _] = self.x;
        let [_, out_height, out_width, _] = self.out_shape();
        for index in 0..images * out_height * out_width * 9 {
            let (out, tap) = (index / 9, index % 9);
            let (column, row, image) = (out % out_width, out / out_width % out_height, out / out_width / out_height);
            let (y, x) = (row * stride + tap / 3, column * stride + tap % 3);
            if (pad..height + pad).contains(&y) && (pad..width + pad).contains(&x) {
                visit(out, (image * height + y - pad) * width + x - pad, tap);
            }
        }
    }

    fn forward(&self, [x, weight, bias]: &[Tensor; 3]) -> Vec<f64> {
        let (c_in, c_out) = (self.x[3], self.c_out);
        let pixels = self.out_shape()[..3].iter().product();
        let mut out: Vec<f64> = bias.data.iter().map(|&value| f64::from(value)).collect::<Vec<_>>().repeat(pixels);
        self.for_each_tap(|to, from, tap| {
            for c in 0..c_in {
                for o in 0..c_out {
                    let product = f64::from(x.data[from * c_in + c]) * weight_at(weight, tap, c, o);
                    out[to * c_out + o] += product;
                }
            }
        });
        out
    }

    fn d_x(&self, weight: &Tensor, upstream: &Tensor) -> Vec<f64> {
        let (c_in, c_out) = (self.x[3], self.c_out);
        let mut d_x = vec![0.0; self.x.iter().product()];
        self.for_each_tap(|to, from, tap| {
            for c in 0..c_in {
                for o in 0..c_out {
                    let product = f64::from(upstream.data[to * c_out + o]) * weight_at(weight, tap, c, o);
                    d_x[from * c_in + c] += product;
                }
            }
        });
        d_x
    }
}

fn d_weight(case: &Case, x: &Tensor, upstream: &Tensor) -> Vec<f64> {
    let (c_in, c_out) = (case.x[3], case.c_out);
    let mut d_weight = vec![0.0; 9 * c_in * c_out];
    case.for_each_tap(|to, from, tap| {
        for c in 0..c_in {
            for o in 0..c_out {
                let product = f64::from(x.data[from * c_in + c]) * f64::from(upstream.data[to * c_out + o]);
                d_weight[(tap * c_in + c) * c_out + o] += product;
            }
        }
    });
    d_weight
}

fn weight_at(weight: &Tensor, tap: usize, c: usize, o: usize) -> f64 {
    f64::from(weight.data[(tap * weight.shape[1] + c) * weight.shape[2] + o])
}

/// The convolution of three values: x, weight, bias.
fn convolve(geometry: ConvGeometry) -> impl Fn(&mut Tape, &[Value]) -> Vec<Value> {
    move |tape, values| vec![ops::conv3x3(tape, values[0], values[1], Some(values[2]), geometry)]
}

#[test]
fn agrees_with_plain_loops() {
    for case in &CASES {
        let inputs = case.inputs();
        let expected = case.forward(&inputs);
        let [x, weight, bias] = inputs;
        let laid_out = [x, weight.in_panels(), bias];
        for device in devices() {
            let outputs = evaluate(&device.gpu, &laid_out, convolve(case.geometry));
            assert_close(&case.name(device.name), &outputs[0], &expected, TOLERANCE);
        }
    }
}

#[test]
fn the_gradient_agrees_with_plain_loops_in_the_middle_of_a_graph() {
    for case in &CASES {
        let [x, weight, _] = case.inputs();
        let upstream = Tensor::random(&case.out_shape(), 4);
        let expected: Vec<f64> = case.d_x(&weight, &upstream).iter().map(|d| 2.0 * d).collect();
        for device in devices() {
            // conv(x + x), twice the gradient.
            let record = |tape: &mut Tape, values: &[Value]| {
                let doubled = ops::add(tape, values[0], values[0]);
                vec![ops::conv3x3(tape, doubled, values[1], None, case.geometry)]
            };
            let inputs = [x.clone(), weight.clone().in_panels()];
            let result = evaluate_with_gradients(&device.gpu, &inputs, record, &upstream, &[0]);
            assert_close(&case.name(device.name), result.gradients[0].as_ref().unwrap(), &expected, TOLERANCE);
        }
    }
}

#[test]
fn a_weight_built_from_trained_values_has_a_gradient() {
    // Those whose plain loops take no minutes.
    let products = |case: &Case| case.x.iter().product::<usize>() * case.c_out;
    for case in CASES.iter().filter(|case| case.dtype == DType::F32 && products(case) < 1_500_000) {
        let [x, weight, _] = case.inputs();
        let upstream = Tensor::random(&case.out_shape(), 4);
        let expected = d_weight(case, &x, &upstream);
        for device in devices() {
            let record =
                |tape: &mut Tape, values: &[Value]| vec![ops::conv3x3(tape, values[0], values[1], None, case.geometry)];
            let inputs = [x.clone(), weight.clone()];
            let result = evaluate_with_gradients(&device.gpu, &inputs, record, &upstream, &[1]);
            assert_close(&case.name(device.name), result.gradients[1].as_ref().unwrap(), &expected, TOLERANCE);
        }
    }
}

#[test]
fn bands_cover_what_a_weights_gradient_gathers() {
    for geometry in [ConvGeometry::Same, ConvGeometry::Down, ConvGeometry::DownAsymmetric] {
        // Bands of 24 pixels, some of which begin in one picture and end in the next.
        let case = case([3, 13, 7, 4], 16, geometry, DType::F32);
        let [x, weight, _] = case.inputs();
        let upstream = Tensor::random(&case.out_shape(), 4);
        let expected = d_weight(&case, &x, &upstream);
        for device in devices_and_bands() {
            let record =
                |tape: &mut Tape, values: &[Value]| vec![ops::conv3x3(tape, values[0], values[1], None, geometry)];
            let inputs = [x.clone(), weight.clone()];
            let result = evaluate_with_gradients(&device.gpu, &inputs, record, &upstream, &[1]);
            assert_close(&case.name(device.name), result.gradients[1].as_ref().unwrap(), &expected, TOLERANCE);
        }
    }
}

#[test]
fn agrees_with_pytorch() {
    let fixture = Fixture::open("conv");
    let geometries =
        [("same", ConvGeometry::Same), ("down", ConvGeometry::Down), ("down_asymmetric", ConvGeometry::DownAsymmetric)];
    for (name, geometry) in geometries {
        let tensor = |part: &str| fixture.tensor(&format!("{name}/{part}"));
        let inputs = [tensor("x"), tensor("weight"), tensor("bias")];
        for device in devices() {
            let result =
                evaluate_with_gradients(&device.gpu, &inputs, convolve(geometry), &tensor("upstream"), &[0, 1]);
            let what = format!("{}: {name}", device.name);
            let expected = |part: &str| fixture.expected(&format!("{name}/{part}"));
            assert_close(&what, &result.outputs[0], &expected("out"), TOLERANCE);
            assert_close(&what, result.gradients[0].as_ref().unwrap(), &expected("d_x"), TOLERANCE);
            assert_close(&what, result.gradients[1].as_ref().unwrap(), &expected("d_weight"), TOLERANCE);
        }
    }
}

#[test]
fn bands_cover_a_picture_larger_than_a_binding() {
    for geometry in [ConvGeometry::Same, ConvGeometry::Down, ConvGeometry::DownAsymmetric] {
        // Rows of 720 and 960 bytes, so that bands start in the middle of an alignment unit; weights below 4 KiB.
        let case = case([2, 24, 15, 12], 16, geometry, DType::F16);
        let inputs = case.inputs();
        let upstream = Tensor::random(&case.out_shape(), 4);
        let (out, d_x) = (case.forward(&inputs), case.d_x(&inputs[1], &upstream));
        for device in devices_and_bands() {
            let result = evaluate_with_gradients(&device.gpu, &inputs, convolve(geometry), &upstream, &[0]);
            assert_close(&case.name(device.name), &result.outputs[0], &out, TOLERANCE);
            assert_close(&case.name(device.name), result.gradients[0].as_ref().unwrap(), &d_x, TOLERANCE);
        }
    }
}

#[test]
fn transformed_weights_are_kept_once_for_both_directions() {
    let (channels, side) = (64, 16);
    let weight = Buffer::declare("weight", (4 * 9 * channels * channels) as u64);
    for device in devices() {
        let mut tape = Tape::new();
        let x = tape.input("x", &[1, side, side, channels]).value;
        let upstream = tape.input("upstream", &[1, side, side, channels]).value;
        let value = tape.external("weight", &[9, channels, channels], DType::F32, &weight.whole());
        let out = ops::conv3x3(&mut tape, x, value, None, ConvGeometry::Same);
        let gradients = tape.backward(&[(out, upstream)], &[x], Checkpointing::Off, ops::add);
        tape.keep("out", out);
        tape.keep("d_x", gradients[0].unwrap());
        let plan = Plan::new("conv", tape, device.gpu.caps()).unwrap();
        let kept = if device.gpu.caps().variant == Variant::CpuDriver { 64 * channels * channels } else { 0 };
        assert_eq!(prepared_bytes([&plan].into_iter()), kept as u64, "{}", device.name);
    }
}
