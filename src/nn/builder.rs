//! Building layers from a checkpoint part: paths, shape checks, and the list of what must be uploaded.

use std::{cell::RefCell, rc::Rc};

use anyhow::Result;
use thiserror::Error;

use crate::{
    gpu::Gpu,
    ops::Panels,
    tape::DType,
    weights::{
        PartTensors, StorageType, Tensor,
        lora::{Part, Site, SiteKind},
    },
};

use super::{
    Weight, padded,
    upload::{Layout, Upload, upload},
};

/// Tensors that a model needs and a checkpoint does not have, or has in another shape.
#[derive(Debug, Error)]
#[error("the checkpoint's {part} does not fit {family}:\n{}", list(.problems))]
pub struct BuildError {
    pub family: String,
    pub part: String,
    pub problems: Vec<String>,
}

/// Lists the first problems and counts the rest.
fn list(problems: &[String]) -> String {
    const SHOWN: usize = 12;
    let mut text = problems.iter().take(SHOWN).map(|problem| format!("  {problem}")).collect::<Vec<_>>().join("\n");
    if problems.len() > SHOWN {
        text += &format!("\n  … and {} more", problems.len() - SHOWN);
    }
    text
}

/// What building a model left behind besides the model.
pub struct Built<'a> {
    part: &'a PartTensors,
    pub uploads: Vec<Upload<'a>>,
    /// Layers that an adapter can stand on, where the builder was told of which network.
    pub sites: Vec<Site>,
}

impl Built<'_> {
    /// Uploads all weights; `progress` hears of each tensor's bytes.
    ///
    /// # Errors
    /// A tensor that holds a value that is not finite, named; or a failure of the device.
    pub fn upload(&self, gpu: &Gpu, progress: impl FnMut(u64)) -> Result<()> {
        upload(gpu, self.part, &self.uploads, progress)
    }

    /// Bytes of device memory that the weights take.
    pub fn bytes(&self) -> u64 {
        self.uploads.iter().map(|upload| upload.weight.slice.buffer.bytes()).sum()
    }
}

#[derive(Default)]
struct State<'a> {
    uploads: Vec<Upload<'a>>,
    sites: Vec<Site>,
    /// Names and shapes that the checkpoint does not have.
    missing: Vec<(String, Vec<usize>)>,
    problems: Vec<String>,
}

/// Builds layers under a path. Problems are collected, so that all of them can be reported at once.
#[derive(Clone)]
pub struct Builder<'a> {
    part: &'a PartTensors,
    /// Whose layers are noted as sites.
    network: Option<Part>,
    path: String,
    state: Rc<RefCell<State<'a>>>,
}

impl<'a> Builder<'a> {
    pub fn new(part: &'a PartTensors) -> Self {
        Self { part, network: None, path: String::new(), state: Rc::default() }
    }

    /// A builder that notes the layers an adapter can stand on.
    pub fn adaptable(part: &'a PartTensors, network: Part) -> Self {
        Self { network: Some(network), ..Self::new(part) }
    }

    /// Names and shapes of all tensors that `build` takes from a checkpoint.
    pub fn tensors_of(build: impl FnOnce(&Builder<'_>)) -> Vec<(String, Vec<usize>)> {
        let nothing = PartTensors::default();
        let builder = Builder::new(&nothing);
        build(&builder);
        builder.state.take().missing
    }

    /// The builder of a submodule.
    #[must_use]
    pub fn child(&self, name: impl std::fmt::Display) -> Self {
        Self { path: self.name(&name.to_string()), ..self.clone() }
    }

    pub fn path(&self) -> &str {
        &self.path
    }

    /// Whether the checkpoint has `name` under this path.
    pub fn has(&self, name: &str) -> bool {
        self.part.get(&self.name(name)).is_some()
    }

    /// A matrix `(out_features, in_features)` in the checkpoint's own precision; 1×1 convolutions count as matrices.
    pub fn matrix(&self, name: &str, in_features: usize, out_features: usize) -> Weight {
        let conv_shape = [out_features, in_features, 1, 1];
        let shape = matrix_shape(out_features, in_features);
        self.take(name, &[&conv_shape[..2], &conv_shape], &shape, Layout::Matrix { out_features, in_features })
    }

    /// A convolution whose kernel is as large as its stride, `(out_channels, in_channels, size, size)`, as the matrix
    /// that multiplies its patches.
    pub fn patch_matrix(&self, name: &str, in_channels: usize, size: usize, out_channels: usize) -> Weight {
        let in_features = in_channels * size * size;
        let shape = matrix_shape(out_channels, in_features);
        let layout = Layout::Matrix { out_features: out_channels, in_features };
        self.take(name, &[&[out_channels, in_channels, size, size]], &shape, layout)
    }

    /// A 3×3 convolution's weight as nine matrices `(in_channels, out_channels)` in the checkpoint's own precision.
    pub fn conv3x3(&self, name: &str, in_channels: usize, out_channels: usize) -> Weight {
        let stored = [out_channels, in_channels, 3, 3];
        let shape = [&[9], &matrix_shape(in_channels, out_channels)[..]].concat();
        self.take(name, &[&stored], &shape, Layout::Conv3x3 { out_channels, in_channels })
    }

    /// A bias or a norm's weight `(count)`, as f32 whatever the checkpoint has.
    pub fn vector(&self, name: &str, count: usize) -> Weight {
        self.take(name, &[&[count]], &[padded(count)], Layout::Vector)
    }

    /// The tensor itself, for rows that the host gathers.
    ///
    /// # Errors
    /// Where it is missing or not of the shape `(rows, width)`.
    pub fn host_table(&self, name: &str, width: usize) -> Option<Tensor<'a>> {
        let name = self.name(name);
        let tensor = self.part.get(&name);
        match &tensor {
            Some(tensor) if tensor.shape.len() == 2 && tensor.shape[1] == width => {}
            Some(tensor) => self.problem(format!("{name} has the shape {:?}, not (rows, {width})", tensor.shape)),
            None => self.problem(format!("{name} is missing")),
        }
        tensor
    }

    /// A few numbers that the host works with, `count` of them in any shape; zeros where the checkpoint has them not.
    pub fn host_values(&self, name: &str, count: usize) -> Vec<f32> {
        let name = self.name(name);
        let values = match self.part.get(&name) {
            Some(tensor) if tensor.len() == count => tensor.to_f32().map_err(|error| format!("{error:#}")),
            Some(tensor) => Err(format!("{name} has the shape {:?}, not {count} elements", tensor.shape)),
            None => Err(format!("{name} is missing")),
        };
        values.unwrap_or_else(|problem| {
            self.problem(problem);
            vec![0.0; count]
        })
    }

    /// Notes a linear layer or 1×1 convolution.
    pub(super) fn linear_site(&self, in_features: usize, out_features: usize) {
        let conv = self.part.get(&self.name("weight")).is_some_and(|tensor| tensor.shape.len() == 4);
        self.site(if conv { SiteKind::Conv1x1 } else { SiteKind::Linear }, in_features, out_features);
    }

    /// Notes a layer that an adapter can stand on.
    pub(super) fn site(&self, kind: SiteKind, in_features: usize, out_features: usize) {
        if let Some(part) = self.network {
            let site = Site { part, path: self.path.clone(), kind, in_features, out_features };
            self.state.borrow_mut().sites.push(site);
        }
    }

    /// Ends building `part` of a model of `family`, as messages call them.
    ///
    /// # Errors
    /// All tensors that were missing or had another shape.
    pub fn finish(self, family: &str, part: &str) -> Result<Built<'a>, BuildError> {
        let State { uploads, sites, problems, .. } = self.state.take();
        if problems.is_empty() {
            return Ok(Built { part: self.part, uploads, sites });
        }
        Err(BuildError { family: family.to_owned(), part: part.to_owned(), problems })
    }

    fn name(&self, name: &str) -> String {
        if self.path.is_empty() { name.to_owned() } else { format!("{}.{name}", self.path) }
    }

    fn problem(&self, problem: String) {
        self.state.borrow_mut().problems.push(problem);
    }

    fn take(&self, name: &str, accepted: &[&[usize]], shape: &[usize], layout: Layout) -> Weight {
        let name = self.name(name);
        let Some(tensor) = self.part.get(&name) else {
            self.problem(format!("{name} is missing (expected the shape {:?})", accepted[0]));
            self.state.borrow_mut().missing.push((name.clone(), accepted[0].to_vec()));
            return Weight::declare(&name, shape, DType::F32);
        };
        let stored = storage(&tensor);
        if stored.is_none() {
            self.problem(format!("{name} is stored as {:?}; f32, f16 and bf16 are understood", tensor.dtype));
        }
        if !accepted.contains(&tensor.shape) {
            self.problem(format!("{name} has the shape {:?}, expected {:?}", tensor.shape, accepted[0]));
        }
        let dtype = if matches!(layout, Layout::Vector) { DType::F32 } else { stored.unwrap_or(DType::F32) };
        let weight = Weight::declare(&name, shape, dtype);
        self.state.borrow_mut().uploads.push(Upload { tensor, layout, weight: weight.clone() });
        weight
    }
}

/// The device's shape of a matrix.
fn matrix_shape(rows: usize, columns: usize) -> Vec<usize> {
    Panels::of(padded(rows), padded(columns)).shape()
}

fn storage(tensor: &Tensor<'_>) -> Option<DType> {
    match tensor.dtype {
        StorageType::F32 => Some(DType::F32),
        StorageType::F16 => Some(DType::F16),
        StorageType::BF16 => Some(DType::BF16),
        _ => None,
    }
}
