use lora_wgpu::ops;

use crate::support::{Tensor, assert_close, devices_and_bands, evaluate_with_gradients};

#[test]
fn multiplies_every_position_of_a_picture_by_its_mask() {
    for shape in [vec![1, 4], vec![2, 8], vec![3, 77, 4], vec![2, 5, 7, 16], vec![2, 300, 8]] {
        let (batch, rank) = (shape[0], shape[shape.len() - 1]);
        let (h, mask) = (Tensor::random(&shape, 1), Tensor::random(&[batch, rank], 2));
        let upstream = Tensor::random(&shape, 3);
        let masked = |values: &[f32]| -> Vec<f64> {
            let per_picture = values.len() / batch;
            let factor = |at: usize| f64::from(mask.data[at / per_picture * rank + at % rank]);
            values.iter().enumerate().map(|(at, &value)| f64::from(value) * factor(at)).collect()
        };
        for device in devices_and_bands() {
            let record = |tape: &mut _, v: &[_]| vec![ops::scale_rows(tape, v[0], v[1])];
            let inputs = [h.clone(), mask.clone()];
            let result = evaluate_with_gradients(&device.gpu, &inputs, record, &upstream, &[0]);
            let what = format!("{}: {shape:?}", device.name);
            assert_close(&what, &result.outputs[0], &masked(&h.data), 1e-7);
            assert_close(&what, result.gradients[0].as_ref().unwrap(), &masked(&upstream.data), 1e-7);
        }
    }
}
