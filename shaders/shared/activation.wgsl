// Activations and their derivatives, four values at a time.

// 1/(1 + exp(−x)); the clamp keeps exp finite, where the value is 1e-35.
fn sigmoid(x: vec4<f32>) -> vec4<f32> {
    return 1.0 / (1.0 + exp(-max(x, vec4<f32>(-80.0))));
}

// x·σ(x)
fn silu(x: vec4<f32>) -> vec4<f32> {
    return x * sigmoid(x);
}

fn silu_derivative(x: vec4<f32>) -> vec4<f32> {
    let s = sigmoid(x);
    return s * (1.0 + x * (1.0 - s));
}

const QUICK_GELU_FACTOR: f32 = 1.702;

// x·σ(1.702·x): CLIP's approximation of GELU.
fn quick_gelu(x: vec4<f32>) -> vec4<f32> {
    return x * sigmoid(QUICK_GELU_FACTOR * x);
}

fn quick_gelu_derivative(x: vec4<f32>) -> vec4<f32> {
    let s = sigmoid(QUICK_GELU_FACTOR * x);
    return s * (1.0 + QUICK_GELU_FACTOR * x * (1.0 - s));
}

// The standard normal distribution: Φ(x) and φ(x).
struct Normal {
    cdf: vec4<f32>,
    pdf: vec4<f32>,
}

// Φ(−t) = exp(−t²/2)·u·p(u) for t ≥ 0 with u = 1/(1 + 0.3·t): the form of Abramowitz and Stegun 7.1.26, with p fitted
// for the least relative error over 0 ≤ t ≤ 13: 1.1e-7, and 4.1e-7 in f32 arithmetic. So GELU keeps its relative
// accuracy in the negative tail too, where 1 + erf(x/√2) would cancel.
fn normal(x: vec4<f32>) -> Normal {
    let t = min(abs(x), vec4<f32>(13.0));
    let e = exp(-0.5 * t * t);
    let u = 1.0 / (1.0 + 0.3 * t);
    var p = vec4<f32>(0.0361950125);
    p = p * u - 0.15937897;
    p = p * u + 0.210119546;
    p = p * u - 0.0571684469;
    p = p * u + 0.13041704;
    p = p * u + 0.0993469414;
    p = p * u + 0.12084556;
    p = p * u + 0.119623261;
    let tail = e * u * p;
    return Normal(select(1.0 - tail, tail, x < vec4<f32>(0.0)), 0.3989422804 * e);
}

// x·Φ(x), the exact GELU.
fn gelu(x: vec4<f32>) -> vec4<f32> {
    return x * normal(x).cdf;
}

fn gelu_derivative(x: vec4<f32>) -> vec4<f32> {
    let n = normal(x);
    return n.cdf + x * n.pdf;
}
