//! Adapters that are no plain LoRA on a linear layer, worked out into a change of the whole weight: LoRA on
//! convolutions, LoHa, LoKr, and DoRA over any of them.
//!
//! LoHa: Hyeon-Woo et al., "FedPara", <https://arxiv.org/abs/2108.06098>. LoKr: Yeh et al., "Navigating Text-to-Image
//! Customization: From LyCORIS Fine-Tuning to Model Evaluation", <https://arxiv.org/abs/2309.14859>. DoRA: Liu et al.,
//! <https://arxiv.org/abs/2402.09353>. Names, shapes and scales as LyCORIS writes and A1111 reads them.

use std::collections::BTreeMap;

use anyhow::{Context, Result, ensure};

use super::Part;
use super::adapter_config::AdapterConfig;
use super::keys::Role;
use super::values::{finite_values, scalar};
use crate::weights::safetensors_file::Tensor;

/// A weight that an adapter can change: a linear layer's, `[out, in]`, or a convolution's, `[out, in, h, w]`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WeightRef {
    pub part: Part,
    /// diffusers' module path; the tensor's name without `.weight`.
    pub path: String,
    pub shape: Vec<usize>,
}

/// What an adapter makes of one weight.
#[derive(Clone, Debug)]
pub struct Delta {
    pub part: Part,
    /// diffusers' module path.
    pub path: String,
    /// ΔW at strength 1, in the order of the weight.
    change: Vec<f32>,
    dora: Option<Dora>,
    rows: usize,
}

/// DoRA's magnitudes.
#[derive(Clone, Debug)]
struct Dora {
    magnitudes: Vec<f32>,
    /// One for each output; else one for each input.
    by_output: bool,
    inputs: usize,
}

impl Delta {
    /// Works out the change of `weight` from its tensors.
    ///
    /// # Errors
    /// Tensors that are missing, of shapes that do not fit, or not finite.
    pub(super) fn new(
        weight: &WeightRef,
        tensors: &BTreeMap<Role, Tensor>,
        config: Option<&AdapterConfig>,
    ) -> Result<Self> {
        let factors = Factors { weight, tensors, config };
        let change = factors.change()?;
        let dora = factors.dora()?;
        Ok(Self { part: weight.part, path: weight.path.clone(), change, dora, rows: weight.shape[0] })
    }

    /// The weight under the adapter; `weight` is what it was.
    pub fn apply(&self, weight: &mut [f32], strength: f32) {
        assert_eq!(weight.len(), self.change.len(), "{}: elements", self.path);
        let merged: Vec<f32> = weight.iter().zip(&self.change).map(|(weight, change)| weight + change).collect();
        let merged = match &self.dora {
            Some(dora) => dora.rescaled(merged, self.rows),
            None => merged,
        };
        weight.iter_mut().zip(merged).for_each(|(weight, merged)| *weight += strength * (merged - *weight));
    }
}

impl Dora {
    /// Every column of inputs (or row of an output) brought to its magnitude.
    fn rescaled(&self, mut merged: Vec<f32>, rows: usize) -> Vec<f32> {
        let row = merged.len() / rows;
        let place = |index: usize| if self.by_output { index / row } else { index % row / (row / self.inputs) };
        let mut squares = vec![0f64; self.magnitudes.len()];
        for (index, value) in merged.iter().enumerate() {
            squares[place(index)] += f64::from(*value).powi(2);
        }
        for (index, value) in merged.iter_mut().enumerate() {
            let at = place(index);
            // A column of zeros has no direction to be brought to a magnitude.
            if squares[at] > 0.0 {
                *value *= self.magnitudes[at] / squares[at].sqrt() as f32;
            }
        }
        merged
    }
}

/// A matrix, or a 4-D tensor as a matrix of its first axis by the rest.
#[derive(Clone, Debug)]
struct Matrix {
    values: Vec<f32>,
    shape: Vec<usize>,
}

impl Matrix {
    fn rows(&self) -> usize {
        self.shape[0]
    }

    fn columns(&self) -> usize {
        self.values.len() / self.shape[0]
    }

    /// self (a, b) · other (b, c).
    fn times(&self, other: &Self) -> Result<Self> {
        let (rows, inner, columns) = (self.rows(), self.columns(), other.columns());
        ensure!(other.rows() == inner, "{:?} and {:?} do not fit each other", self.shape, other.shape);
        let mut values = vec![0f32; rows * columns];
        for (out, left) in values.chunks_exact_mut(columns).zip(self.values.chunks_exact(inner)) {
            for (factor, right) in left.iter().zip(other.values.chunks_exact(columns)) {
                out.iter_mut().zip(right).for_each(|(out, right)| *out += factor * right);
            }
        }
        Ok(Self { values, shape: [&[rows], &other.shape[1..]].concat() })
    }

    /// (a, b, rest) to (b, a, rest).
    fn swapped(&self) -> Self {
        let (a, b) = (self.shape[0], self.shape[1]);
        let rest = self.values.len() / (a * b);
        let mut values = Vec::with_capacity(self.values.len());
        for second in 0..b {
            (0..a).for_each(|first| values.extend(&self.values[(first * b + second) * rest..][..rest]));
        }
        Self { values, shape: [&[b, a], &self.shape[2..]].concat() }
    }
}

/// One module's tensors.
struct Factors<'a> {
    weight: &'a WeightRef,
    tensors: &'a BTreeMap<Role, Tensor<'a>>,
    config: Option<&'a AdapterConfig>,
}

impl Factors<'_> {
    fn of(&self, role: Role) -> Result<Option<Matrix>> {
        let matrix = |tensor: &Tensor| -> Result<Matrix> {
            ensure!(!tensor.bytes.is_empty(), "{} is empty", tensor.name);
            let shape =
                if tensor.shape.len() < 2 { vec![tensor.shape.iter().product(), 1] } else { tensor.shape.to_vec() };
            Ok(Matrix { values: finite_values(tensor)?, shape })
        };
        self.tensors.get(&role).map(matrix).transpose()
    }

    fn matrix(&self, name: &'static str) -> Result<Option<Matrix>> {
        self.of(Role::Factor(name))
    }

    fn required(&self, name: &'static str) -> Result<Matrix> {
        self.matrix(name)?.with_context(|| format!("{}: {name} is missing", self.weight.path))
    }

    /// alpha / rank; 1 where no alpha is stated, neither by a tensor nor by a configuration.
    fn scale(&self, rank: usize) -> Result<f32> {
        let alpha = match self.tensors.get(&Role::Alpha) {
            Some(tensor) => Some(scalar(tensor)?),
            None => self.config.and_then(|config| config.alpha(self.weight.part, &self.weight.path, rank)),
        };
        Ok(alpha.map_or(1.0, |alpha| alpha / rank as f32))
    }

    /// Outputs, inputs, and elements of the kernel.
    fn sizes(&self) -> (usize, usize, usize) {
        let shape = &self.weight.shape;
        (shape[0], shape[1], shape[2..].iter().product())
    }

    /// Checks that factors of these sizes make a change of the weight's shape.
    fn require(&self, outputs: usize, rest: usize, wanted_rest: usize) -> Result<()> {
        let (wanted, _, _) = self.sizes();
        ensure!(
            (outputs, rest) == (wanted, wanted_rest),
            "its factors are for {outputs} × {rest} values, the weight is {:?}: it is for another base model",
            self.weight.shape
        );
        Ok(())
    }

    /// ΔW, in the order of the weight.
    fn change(&self) -> Result<Vec<f32>> {
        let has = |name| self.tensors.contains_key(&Role::Factor(name));
        let (change, scale) = match () {
            () if has("hada_w1_a") => self.loha(),
            () if has("lokr_w1") || has("lokr_w1_a") => self.lokr(),
            () => self.lora(),
        }
        .with_context(|| format!("the adapter of {}", self.weight.path))?;
        Ok(change.values.into_iter().map(|value| scale * value).collect())
    }

    /// up · down; in Tucker form `up` and `down` stand at both sides of a small convolution.
    fn lora(&self) -> Result<(Matrix, f32)> {
        let [down, up] = [(Role::Down, "lora_down"), (Role::Up, "lora_up")]
            .map(|(role, name)| self.of(role).and_then(|found| found.with_context(|| format!("{name} is missing"))));
        let (down, up) = (down?, up?);
        let scale = self.scale(down.rows())?;
        let (_, inputs, kernel) = self.sizes();
        Ok(match self.matrix("lora_mid")? {
            Some(mid) => {
                self.require(up.rows(), down.columns(), inputs)?;
                (tucker(&mid, &up, &down.swapped(), kernel)?, scale)
            }
            None => {
                self.require(up.rows(), down.columns(), inputs * kernel)?;
                (up.times(&down)?, scale)
            }
        })
    }

    /// (w1_a · w1_b) ∘ (w2_a · w2_b)
    fn loha(&self) -> Result<(Matrix, f32)> {
        let half = |[a, b, t]: [&'static str; 3]| {
            let (a, b) = (self.required(a)?, self.required(b)?);
            let rank = b.rows();
            // In Tucker form `a` is (rank, out) and `b` (rank, in).
            let (_, inputs, kernel) = self.sizes();
            let product = match self.matrix(t)? {
                Some(core) => {
                    self.require(a.columns(), b.columns(), inputs)?;
                    tucker(&core, &a.swapped(), &b.swapped(), kernel)?
                }
                None => {
                    self.require(a.rows(), b.columns(), inputs * kernel)?;
                    a.times(&b)?
                }
            };
            anyhow::Ok((product, rank))
        };
        let (mut first, rank) = half(["hada_w1_a", "hada_w1_b", "hada_t1"])?;
        let (second, _) = half(["hada_w2_a", "hada_w2_b", "hada_t2"])?;
        first.values.iter_mut().zip(&second.values).for_each(|(first, second)| *first *= second);
        Ok((first, self.scale(rank)?))
    }

    /// w1 ⊗ w2
    fn lokr(&self) -> Result<(Matrix, f32)> {
        let mut rank = None;
        let mut side = |whole: &'static str, a: &'static str, b: &'static str, core: Option<Matrix>| {
            if let Some(whole) = self.matrix(whole)? {
                return Ok(whole);
            }
            let (a, b) = (self.required(a)?, self.required(b)?);
            rank = Some(b.rows());
            match core {
                Some(core) => tucker(&core, &a.swapped(), &b.swapped(), self.sizes().2),
                None => a.times(&b),
            }
        };
        let first = side("lokr_w1", "lokr_w1_a", "lokr_w1_b", None)?;
        let second = side("lokr_w2", "lokr_w2_a", "lokr_w2_b", self.matrix("lokr_t2")?)?;
        let scale = rank.map_or(Ok(1.0), |rank| self.scale(rank))?;
        Ok((self.kronecker(&first, second)?, scale))
    }

    /// first (a, b) ⊗ second (c, d, h, w): (a·c, b·d, h, w).
    fn kronecker(&self, first: &Matrix, second: Matrix) -> Result<Matrix> {
        let (a, b) = (first.rows(), first.columns());
        let c = second.rows();
        // A product of two factors has lost the shape of the kernel: the weight's own tells it.
        let (_, inputs, kernel) = self.sizes();
        self.require(a * c, b * second.columns(), inputs * kernel)?;
        let d = second.columns() / kernel;
        let mut values = Vec::with_capacity(a * c * b * d * kernel);
        for row in 0..a * c {
            let right = &second.values[row % c * d * kernel..][..d * kernel];
            for column in 0..b {
                let factor = first.values[row / c * b + column];
                values.extend(right.iter().map(|value| factor * value));
            }
        }
        Ok(Matrix { values, shape: vec![a * c, b * d, kernel] })
    }

    /// LyCORIS' `dora_scale` says by its shape what it counts; PEFT's vector has one number for each output.
    fn dora(&self) -> Result<Option<Dora>> {
        let (outputs, inputs, _) = self.sizes();
        let (magnitudes, by_output) = match (self.matrix("lora_magnitude_vector")?, self.matrix("dora_scale")?) {
            (Some(vector), _) => (vector, true),
            (None, Some(scale)) => {
                let by_output = scale.rows() == outputs && scale.columns() == 1;
                (scale, by_output)
            }
            (None, None) => return Ok(None),
        };
        let count = if by_output { outputs } else { inputs };
        ensure!(
            magnitudes.values.len() == count,
            "DoRA's magnitudes {:?} do not fit {} {:?}",
            magnitudes.shape,
            self.weight.path,
            self.weight.shape
        );
        Ok(Some(Dora { magnitudes: magnitudes.values, by_output, inputs }))
    }
}

/// Σ core[p, q, h, w] · left[o, p] · right[i, q]: (o, i, h, w).
fn tucker(core: &Matrix, left: &Matrix, right: &Matrix, kernel: usize) -> Result<Matrix> {
    let fits = core.shape.len() == 4 && core.shape[2] * core.shape[3] == kernel;
    ensure!(fits, "a Tucker core of shape {:?} does not fit a kernel of {kernel} values", core.shape);
    // (o, q, h, w), then (q, o, h, w), then (i, o, h, w), then (o, i, h, w)
    Ok(right.times(&left.times(core)?.swapped())?.swapped())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::weights::StorageType;

    /// What a 2 × 2 weight of ones becomes under a rank-one LoRA with `factor` besides.
    fn applied(down: &[f32; 2], up: &[f32], factor: Option<(&'static str, [usize; 2])>) -> Result<Vec<f32>> {
        let weight = WeightRef { part: Part::Unet, path: "linear".to_owned(), shape: vec![2, 2] };
        let bytes = |values: &[f32]| values.iter().flat_map(|value| value.to_le_bytes()).collect::<Vec<u8>>();
        let (down, up, magnitudes) = (bytes(down), bytes(up), bytes(&[5.0, 10.0]));
        let shape = factor.map_or([0, 0], |(_, shape)| shape);
        let up_shape = [up.len() / 4, 1];
        let tensor = |shape, bytes| Tensor { name: "tensor", dtype: StorageType::F32, shape, bytes };
        let mut tensors =
            BTreeMap::from([(Role::Down, tensor(&[1, 2], &down[..])), (Role::Up, tensor(&up_shape, &up))]);
        tensors.extend(factor.map(|(name, _)| (Role::Factor(name), tensor(&shape, &magnitudes))));
        let mut values = vec![1.0; 4];
        Delta::new(&weight, &tensors, None)?.apply(&mut values, 1.0);
        Ok(values)
    }

    #[test]
    fn magnitudes_count_inputs_or_outputs() {
        // merged: [[4, 1], [3, 1]]
        let (down, up) = ([1.0, 0.0], [3.0, 2.0]);
        assert_eq!(applied(&down, &up, None).unwrap(), [4.0, 1.0, 3.0, 1.0]);
        let close = |values: Vec<f32>, expected: [f32; 4]| {
            assert!(values.iter().zip(expected).all(|(a, b)| (a - b).abs() < 1e-5), "{values:?}");
        };
        let half = 0.5f32.sqrt();
        close(applied(&down, &up, Some(("dora_scale", [1, 2]))).unwrap(), [4.0, 10.0 * half, 3.0, 10.0 * half]);
        let (first, second) = (5.0 / 17f32.sqrt(), 10f32.sqrt());
        let by_output = [4.0 * first, first, 3.0 * second, second];
        close(applied(&down, &up, Some(("dora_scale", [2, 1]))).unwrap(), by_output);
        // PEFT's vector counts outputs whatever its shape.
        close(applied(&down, &up, Some(("lora_magnitude_vector", [1, 2]))).unwrap(), by_output);
    }

    #[test]
    fn a_column_of_zeros_stays_one() {
        let values = applied(&[-1.0, 0.0], &[1.0, 1.0], Some(("dora_scale", [1, 2]))).unwrap();
        assert!(values.iter().all(|value| value.is_finite()), "{values:?}");
    }

    #[test]
    fn factors_for_another_weight_are_refused() {
        let error = format!("{:#}", applied(&[1.0, 0.0], &[1.0, 1.0, 1.0], None).unwrap_err());
        assert!(error.contains("3 × 2") && error.contains("another base model"), "{error}");
    }
}
