//! Normalization over arbitrary sets of elements, and its gradient: the plain loops behind group and layer norm.

/// x̂ = (x − mean)/√(variance + eps) of each element, and the gradient by x.
pub struct Normalized {
    pub x_hat: Vec<f64>,
    pub d_x: Vec<f64>,
}

/// Normalizes each of `sets`, lists of element indices. `d_x_hat` gives an element's gradient by x̂ from its index and x̂.
pub fn normalize(x: &[f32], sets: &[Vec<usize>], eps: f64, d_x_hat: impl Fn(usize, f64) -> f64) -> Normalized {
    let mut result = Normalized { x_hat: vec![0.0; x.len()], d_x: vec![0.0; x.len()] };
    for set in sets {
        let count = set.len() as f64;
        let mean = set.iter().map(|&i| f64::from(x[i])).sum::<f64>() / count;
        let variance = set.iter().map(|&i| (f64::from(x[i]) - mean).powi(2)).sum::<f64>() / count;
        let rstd = 1.0 / (variance + eps).sqrt();
        for &i in set {
            result.x_hat[i] = (f64::from(x[i]) - mean) * rstd;
        }
        let gradients: Vec<f64> = set.iter().map(|&i| d_x_hat(i, result.x_hat[i])).collect();
        let plain = gradients.iter().sum::<f64>() / count;
        let weighted = set.iter().zip(&gradients).map(|(&i, d)| d * result.x_hat[i]).sum::<f64>() / count;
        for (&i, d) in set.iter().zip(&gradients) {
            result.d_x[i] = rstd * (d - plain - result.x_hat[i] * weighted);
        }
    }
    result
}
