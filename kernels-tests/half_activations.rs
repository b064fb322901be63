//! Every op over activations in f16, in each kernel variant, against the naive kernels in f32 on the same rounded inputs.

use lora_wgpu::{
    ops::{self, ConvGeometry, Mask, Panels},
    tape::{DType, Tape, Value},
};

use crate::support::{Device, Evaluated, Tensor, assert_close, devices, devices_and_bands, evaluate_with_gradients};

/// Values are rounded when they are stored, to 2⁻¹¹ of themselves at most (2⁻¹⁰ where a driver cuts off), and once more
/// where a product is added to what is stored.
const TOLERANCE: f64 = 1e-3;

/// An op over some activations, the first of `inputs`, and weights in f32.
struct Case {
    name: &'static str,
    inputs: Vec<Tensor>,
    activations: usize,
    out_shape: Vec<usize>,
    /// Inputs whose gradients are compared.
    wanted: Vec<usize>,
    record: fn(&mut Tape, &[Value]) -> Value,
}

impl Case {
    fn new(
        name: &'static str,
        activations: &[&[usize]],
        out_shape: &[usize],
        record: fn(&mut Tape, &[Value]) -> Value,
    ) -> Self {
        let random = |(index, shape): (usize, &&[usize])| Tensor::random(shape, index as u64 + 1).stored_as(DType::F16);
        let inputs: Vec<Tensor> = activations.iter().enumerate().map(random).collect();
        let wanted = (0..inputs.len()).collect();
        Self { name, activations: inputs.len(), inputs, out_shape: out_shape.to_vec(), wanted, record }
    }

    /// With weights of these shapes behind the activations.
    fn weights(mut self, shapes: &[&[usize]]) -> Self {
        for shape in shapes {
            let scale = (*shape.last().unwrap() as f32).sqrt().recip();
            self.inputs.push(Tensor::random(shape, 100 + self.inputs.len() as u64).scaled(scale));
        }
        self
    }

    /// Compares the gradients of these inputs, not of all activations.
    fn wanting(mut self, inputs: &[usize]) -> Self {
        self.wanted = inputs.to_vec();
        self
    }

    fn run(&self, gpu: &lora_wgpu::gpu::Gpu, dtype: DType) -> Evaluated {
        let mut inputs = self.inputs.clone();
        inputs[..self.activations].iter_mut().for_each(|input| input.dtype = dtype);
        let mut upstream = Tensor::random(&self.out_shape, 50).stored_as(DType::F16);
        upstream.dtype = dtype;
        let record = |tape: &mut Tape, values: &[Value]| {
            let out = (self.record)(tape, values);
            assert_eq!((tape.shape(out), tape.dtype(out)), (&self.out_shape[..], dtype), "{}", self.name);
            vec![out]
        };
        evaluate_with_gradients(gpu, &inputs, record, &upstream, &self.wanted)
    }

    fn check(&self) {
        self.check_on(devices());
    }

    /// Also with bindings that do not hold whole values.
    fn check_with_bands(&self) {
        self.check_on(devices_and_bands());
    }

    fn check_on(&self, tested: impl IntoIterator<Item = &'static Device>) {
        let expected = self.run(&devices()[0].gpu, DType::F32);
        for device in tested {
            let actual = self.run(&device.gpu, DType::F16);
            let compare = |what: String, actual: &[f32], expected: &[f32]| {
                let expected: Vec<f64> = expected.iter().map(|&value| f64::from(value)).collect();
                assert_close(&format!("{} of {}, {}", what, self.name, device.name), actual, &expected, TOLERANCE);
            };
            compare("output".to_owned(), &actual.outputs[0], &expected.outputs[0]);
            for &index in &self.wanted {
                let gradient = |result: &Evaluated| result.gradients[index].clone().expect("a wanted gradient");
                compare(format!("gradient {index}"), &gradient(&actual), &gradient(&expected));
            }
        }
    }
}

#[test]
fn elementwise_ops() {
    let shape: &[usize] = &[2, 50, 12];
    Case::new("silu", &[shape], shape, |tape, values| ops::silu(tape, values[0])).check_with_bands();
    Case::new("gelu", &[shape], shape, |tape, values| ops::gelu(tape, values[0])).check_with_bands();
    Case::new("quick_gelu", &[shape], shape, |tape, values| ops::quick_gelu(tape, values[0])).check_with_bands();
    Case::new("add", &[shape, shape], shape, |tape, values| ops::add(tape, values[0], values[1]))
        .wanting(&[])
        .check_with_bands();
    Case::new("multiply", &[shape, shape], shape, |tape, values| ops::multiply(tape, values[0], values[1]))
        .check_with_bands();
    Case::new("scale", &[shape], shape, |tape, values| ops::scale(tape, values[0], 0.3)).check_with_bands();
    Case::new("geglu", &[&[2, 50, 24]], shape, |tape, values| ops::geglu(tape, values[0])).check_with_bands();
    Case::new("scale_by", &[shape], shape, |tape, values| ops::scale_by(tape, values[0], values[1]))
        .weights(&[&[1]])
        .check_with_bands();
    Case::new("scale_rows", &[shape], shape, |tape, values| ops::scale_rows(tape, values[0], values[1]))
        .weights(&[&[2, 12]])
        .check_with_bands();
    let dropout = |tape: &mut Tape, values: &[Value]| {
        let key = tape.input_of("key", &[2], DType::U32).value;
        ops::dropout(tape, values[0], key, 3, 0.4)
    };
    Case::new("dropout", &[shape], shape, dropout).check_with_bands();
    let add_channels =
        Case::new("add_channels", &[shape], shape, |tape, values| ops::add_channels(tape, values[0], values[1]));
    add_channels.weights(&[&[2, 12]]).wanting(&[1]).check_with_bands();
}

#[test]
fn ops_that_move_pixels() {
    let join_chunks = |tape: &mut Tape, values: &[Value]| ops::join_chunks(tape, values[0], 3);
    Case::new("join_chunks", &[&[6, 7, 12]], &[2, 17, 12], join_chunks).check();
    let concat = |tape: &mut Tape, values: &[Value]| ops::concat(tape, values[0], values[1]);
    Case::new("concat", &[&[2, 45, 12], &[2, 45, 20]], &[2, 45, 32], concat).check_with_bands();
    let upsample = |tape: &mut Tape, values: &[Value]| ops::upsample_nearest(tape, values[0]);
    Case::new("upsample", &[&[2, 5, 4, 32]], &[2, 10, 8, 32], upsample).check_with_bands();
    Case::new("crop", &[&[2, 6, 10, 12]], &[2, 5, 9, 12], |tape, values| ops::crop(tape, values[0], 5, 9))
        .check_with_bands();
}

#[test]
fn norms() {
    let group =
        |tape: &mut Tape, values: &[Value]| ops::group_norm(tape, values[0], values[1], values[2], 8, 1e-5, true);
    Case::new("group_norm", &[&[2, 5, 7, 24]], &[2, 5, 7, 24], group).weights(&[&[24], &[24]]).check_with_bands();
    let layer = |tape: &mut Tape, values: &[Value]| ops::layer_norm(tape, values[0], values[1], values[2], 1e-5);
    Case::new("layer_norm", &[&[2, 37, 20]], &[2, 37, 20], layer).weights(&[&[20], &[20]]).check_with_bands();
}

#[test]
fn linears() {
    let linear = |tape: &mut Tape, values: &[Value]| ops::linear(tape, values[0], values[1], Some(values[2]));
    // Rows of fours and of eights, long sums that are cut into slices, the large tile.
    for [rows, k, n] in [[65, 36, 44], [130, 72, 40], [7, 1280, 64], [300, 320, 320]] {
        let case = Case::new("linear", &[&[rows, k]], &[rows, n], linear);
        case.weights(&[&Panels::of(n, k).shape(), &[n]]).check();
    }
    for [rows, k, n] in [[65, 36, 44], [130, 72, 40], [1030, 20, 12]] {
        let unbiased = |tape: &mut Tape, values: &[Value]| ops::linear(tape, values[0], values[1], None);
        Case::new("linear's weight", &[&[rows, k]], &[rows, n], unbiased).weights(&[&[n, k]]).wanting(&[0, 1]).check();
    }
    let lora = |tape: &mut Tape, values: &[Value]| {
        let &[x, weight, down, up, scale, bias] = values else { panic!("six values") };
        ops::lora_linear(tape, x, weight, Some(bias), down, up, scale)
    };
    for [rows, k, n, rank] in [[65, 36, 44, 4], [130, 72, 40, 8]] {
        let case = Case::new("lora_linear", &[&[rows, k]], &[rows, n], lora);
        let case = case.weights(&[&[n, k], &[rank, k], &[n, rank], &[1], &[n]]);
        case.wanting(&[0, 2, 3]).check();
    }
}

#[test]
fn convolutions() {
    let same = |tape: &mut Tape, values: &[Value]| {
        ops::conv3x3(tape, values[0], values[1], Some(values[2]), ConvGeometry::Same)
    };
    let down = |tape: &mut Tape, values: &[Value]| {
        ops::conv3x3(tape, values[0], values[1], Some(values[2]), ConvGeometry::Down)
    };
    // Direct with rows of fours and of eights, and by Winograd on CPU drivers.
    for [side, k, n] in [[5, 12, 20], [6, 24, 40], [24, 32, 40]] {
        let case = Case::new("conv3x3", &[&[2, side, side, k]], &[2, side, side, n], same);
        case.weights(&[&[9, k, n], &[n]]).check();
    }
    for [side, k, n] in [[5, 12, 20], [24, 64, 4]] {
        let unbiased =
            |tape: &mut Tape, values: &[Value]| ops::conv3x3(tape, values[0], values[1], None, ConvGeometry::Same);
        let case = Case::new("conv3x3's weight", &[&[2, side, side, k]], &[2, side, side, n], unbiased);
        case.weights(&[&[9, k, n]]).wanting(&[0, 1]).check();
    }
    let case = Case::new("conv3x3 with stride 2", &[&[1, 9, 7, 12]], &[1, 5, 4, 20], down);
    case.weights(&[&[9, 12, 20], &[20]]).check();
}

#[test]
fn attentions() {
    let crossed =
        |tape: &mut Tape, values: &[Value]| ops::attention(tape, values[0], values[1], values[2], 2, Mask::None);
    let causal =
        |tape: &mut Tape, values: &[Value]| ops::attention(tape, values[0], values[1], values[2], 2, Mask::Causal);
    // Heads that fit the lanes of CPU drivers, and such that go by chunks of scores.
    for head in [8, 12, 40, 64, 96] {
        let (queries, keys) = ([2, 65, 2 * head], [2, 77, 2 * head]);
        Case::new("attention", &[&queries, &keys, &keys], &queries, crossed).check();
        Case::new("causal attention", &[&keys, &keys, &keys], &keys, causal).check();
    }
}
