use lora_wgpu::ops;

use crate::support::{Tensor, assert_close, devices, evaluate_with_gradients};

#[test]
fn keeps_the_first_rows_and_columns_and_pads_the_gradient_with_zeros() {
    for ([images, height, width, channels], kept) in
        [([1, 2, 2, 4], (1, 1)), ([2, 6, 10, 12], (5, 9)), ([3, 4, 7, 64], (4, 6))]
    {
        let x = Tensor::random(&[images, height, width, channels], 1);
        let upstream = Tensor::random(&[images, kept.0, kept.1, channels], 2);
        let mut expected = Vec::new();
        let mut d_x = vec![0.0; x.data.len()];
        for (to, &gradient) in upstream.data.iter().enumerate() {
            let (channel, pixel) = (to % channels, to / channels);
            let (column, row, image) = (pixel % kept.1, pixel / kept.1 % kept.0, pixel / kept.1 / kept.0);
            let from = ((image * height + row) * width + column) * channels + channel;
            expected.push(f64::from(x.data[from]));
            d_x[from] = f64::from(gradient);
        }
        for device in devices() {
            let record = |tape: &mut _, values: &[_]| vec![ops::crop(tape, values[0], kept.0, kept.1)];
            let inputs = std::slice::from_ref(&x);
            let result = evaluate_with_gradients(&device.gpu, inputs, record, &upstream, &[0]);
            assert_close(device.name, &result.outputs[0], &expected, 0.0);
            assert_close(device.name, result.gradients[0].as_ref().unwrap(), &d_x, 0.0);
        }
    }
}
