//! Holding a recorded run against a reference, group by group.

use std::collections::{BTreeMap, HashMap};

use anyhow::{Context, Result, bail, ensure};
use safetensors::Dtype;

use crate::{
    check::optimizer::{self, OptimizerCase},
    label, sample,
    weights::{OwnedTensor, SafetensorsFile, StorageType, Tensor},
};

/// Runs up to this many steps are held to the tight tolerances.
const SHORT_RUN: usize = 20;

/// A drawn picture in [−1, 1]: its worst is the largest difference of a channel, as a share of the channel's range.
const IMAGE: &str = "image";

/// How far a group of tensors lies from the reference.
#[derive(Clone, Debug)]
pub struct GroupError {
    pub group: String,
    pub tensors: usize,
    /// Relative L2 distance over the whole group, and what is accepted.
    pub whole: f64,
    pub whole_tolerance: f64,
    /// Relative L2 distance of the worst tensor, its name, and what is accepted where that is limited.
    pub worst: f64,
    pub worst_tensor: String,
    pub worst_tolerance: Option<f64>,
}

impl GroupError {
    pub fn accepted(&self) -> bool {
        // A NaN fails both comparisons.
        self.whole <= self.whole_tolerance && self.worst_tolerance.is_none_or(|tolerance| self.worst <= tolerance)
    }
}

/// What a group may differ by: over the whole, and by tensor.
fn tolerances(group: &str, steps: usize) -> (f64, Option<f64>) {
    let long = steps > SHORT_RUN;
    match group {
        IMAGE => (1e-3, Some(2.0 / 255.0)),
        // The tokens of a caption are equal or they are not.
        _ if group.starts_with("gen_") => (0.0, None),
        "loss" | "grad_norm" if long => (1e-3, None),
        "loss" => (1e-6, None),
        "grad_norm" => (2e-5, None),
        "step1/grad" => (2e-5, Some(1e-4)),
        "step1/after" | "step1/ema" => (1e-5, None),
        // Longer runs have no tolerance of their own: AdamW amplifies rounding in near-zero gradients.
        "final" | "ema" if long => (f64::INFINITY, None),
        "final" | "ema" => (1e-4, None),
        _ if ["latents", "eps_cond", "eps_uncond"].iter().any(|name| group.ends_with(name)) => (1e-4, None),
        _ => (1e-5, None),
    }
}

/// The group a tensor is judged in.
fn group_of(name: &str) -> String {
    let grouped = ["step1/grad", "step1/after", "step1/ema", "final", "ema"];
    let group = grouped.iter().find(|group| name.strip_prefix(**group).is_some_and(|rest| rest.starts_with('/')));
    group.map_or_else(|| name.to_owned(), |group| (*group).to_owned())
}

/// Compares every tensor of `reference` with its twin in `ours`, but for what a case gives.
///
/// # Errors
/// A tensor of the reference that we do not have, or of another shape.
pub fn compare(reference: &SafetensorsFile, ours: &[OwnedTensor]) -> Result<Vec<GroupError>> {
    let by_name: HashMap<&str, &OwnedTensor> = ours.iter().map(|tensor| (tensor.name.as_str(), tensor)).collect();
    let steps = reference.get("loss").map_or(0, |loss| loss.shape.iter().product());
    let mut groups: BTreeMap<String, Sums> = BTreeMap::new();
    let of_optimizer = OptimizerCase::is_one(reference);
    let given = |name: &str| sample::case::GIVEN.contains(&name) || label::case::GIVEN.contains(&name);
    for expected in reference.tensors().filter(|tensor| !given(tensor.name)) {
        let Some(actual) = by_name.get(expected.name) else {
            bail!("the reference holds `{}`, which this version does not record", expected.name)
        };
        let name = expected.name;
        ensure!(actual.shape == expected.shape, "`{name}`: shape {:?}, reference {:?}", actual.shape, expected.shape);
        let (actual, expected) = (doubles(actual.dtype, &actual.bytes)?, reference_values(&expected)?);
        let (difference, norm) = squared_norms(&actual, &expected);
        let group = if of_optimizer { optimizer::group_of(name) } else { group_of(name) };
        let sums = groups.entry(group).or_default();
        sums.add(name, difference, norm);
        if name == IMAGE {
            sums.worst = largest_difference(&actual, &expected) / 2.0;
        }
    }
    let allowed = |group: &str| match of_optimizer {
        true => optimizer::tolerances(group, reference),
        false => tolerances(group, steps),
    };
    Ok(groups.into_iter().map(|(group, sums)| sums.into_error(allowed(&group), group)).collect())
}

#[derive(Default)]
struct Sums {
    tensors: usize,
    difference: f64,
    norm: f64,
    worst: f64,
    worst_tensor: String,
}

impl Sums {
    fn add(&mut self, name: &str, difference: f64, norm: f64) {
        self.tensors += 1;
        self.difference += difference;
        self.norm += norm;
        let relative = ratio(difference, norm);
        if self.worst_tensor.is_empty() || relative.is_nan() || relative > self.worst {
            self.worst = relative;
            self.worst_tensor = name.to_owned();
        }
    }

    fn into_error(self, (whole_tolerance, worst_tolerance): (f64, Option<f64>), group: String) -> GroupError {
        GroupError {
            group,
            tensors: self.tensors,
            whole: ratio(self.difference, self.norm),
            whole_tolerance,
            worst: self.worst,
            worst_tensor: self.worst_tensor,
            worst_tolerance,
        }
    }
}

/// √(difference / norm); the plain distance where the reference is zero.
fn ratio(difference: f64, norm: f64) -> f64 {
    if norm > 0.0 { (difference / norm).sqrt() } else { difference.sqrt() }
}

fn squared_norms(actual: &[f64], expected: &[f64]) -> (f64, f64) {
    let difference = actual.iter().zip(expected).map(|(a, e)| (a - e) * (a - e)).sum();
    (difference, expected.iter().map(|e| e * e).sum())
}

fn largest_difference(actual: &[f64], expected: &[f64]) -> f64 {
    // A NaN stays one: no other number is larger.
    actual
        .iter()
        .zip(expected)
        .map(|(a, e)| (a - e).abs())
        .fold(0.0, |most, next| if next <= most { most } else { next })
}

fn reference_values(tensor: &Tensor<'_>) -> Result<Vec<f64>> {
    doubles(tensor.dtype, tensor.bytes).with_context(|| format!("reference tensor `{}`", tensor.name))
}

fn doubles(dtype: StorageType, bytes: &[u8]) -> Result<Vec<f64>> {
    match dtype {
        StorageType::F32 => Ok(bytemuck::pod_collect_to_vec::<u8, f32>(bytes).into_iter().map(f64::from).collect()),
        StorageType::Other(Dtype::F64) => Ok(bytemuck::pod_collect_to_vec(bytes)),
        StorageType::Other(Dtype::I64) => {
            Ok(bytemuck::pod_collect_to_vec::<u8, i64>(bytes).into_iter().map(|number| number as f64).collect())
        }
        other => bail!("stored as {other}; recorded runs hold F32, F64 and I64"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn gradients_are_judged_together_and_by_tensor() {
        assert_eq!(group_of("step1/grad/mid_block.attentions.0.proj_in.lora_A.weight"), "step1/grad");
        assert_eq!(group_of("step1/block/conv_in"), "step1/block/conv_in");
        let mut sums = Sums::default();
        sums.add("good", 0.0, 1.0);
        sums.add("bad", 1e-6, 1.0);
        let error = sums.into_error(tolerances("step1/grad", 5), "step1/grad".to_owned());
        assert!(!error.accepted());
        assert_eq!(error.worst_tensor, "bad");
    }

    #[test]
    fn a_nan_is_never_accepted() {
        let mut sums = Sums::default();
        sums.add("broken", f64::NAN, 1.0);
        sums.add("good", 0.0, 1.0);
        assert!(!sums.into_error(tolerances("loss", 5), "loss".to_owned()).accepted());
    }
}
