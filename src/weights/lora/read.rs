//! Reading a LoRA file in any of the common layouts.

use std::collections::{BTreeMap, HashMap};
use std::path::Path;

use anyhow::{Context, Result, bail};

use super::adapter_config::AdapterConfig;
use super::keys::{self, ModuleName, Role};
use super::refuse::{not_plain, other_families};
use super::values::{finite_values, scalar};
use super::{Delta, LoraModule, Part, Site, WeightRef};
use crate::weights::safetensors_file::{SafetensorsFile, Tensor};

/// What a LoRA file holds.
#[derive(Clone, Debug)]
pub struct LoraFileContents {
    /// In the order of the known modules.
    pub modules: Vec<LoraModule>,
    /// What is no plain LoRA on a linear layer: LoHa, LoKr, DoRA, and LoRA on convolutions.
    pub deltas: Vec<Delta>,
    /// The header's metadata, such as `ss_network_dim`.
    pub metadata: BTreeMap<String, String>,
    /// What is odd but usable, one sentence each.
    pub warnings: Vec<String>,
}

/// Reads a LoRA in kohya's, diffusers', PEFT's or the old attention-processor layout.
///
/// `known_modules` are all modules of the model that a LoRA can stand on, trained here or not.
///
/// # Errors
/// A damaged file; a LoRA for another family of models; LoHa, LoKr, DoRA and their like; keys that belong to no known
/// module; halves of pairs; shapes that do not fit; NaN or infinity. Each names the file and the tensor.
pub fn read(path: &Path, known_modules: &[Site]) -> Result<LoraFileContents> {
    let file = SafetensorsFile::open(path)?;
    not_plain(file.tensors().map(|tensor| tensor.name))
        .and_then(|()| read_file(&file, known_modules, &[]))
        .with_context(|| format!("cannot use the LoRA {}", path.display()))
}

/// As [`read`], with LoHa, LoKr, DoRA and LoRA on convolutions too, on any of `weights`.
///
/// # Errors
/// As [`read`], but for those.
pub fn read_any(path: &Path, known_modules: &[Site], weights: &[WeightRef]) -> Result<LoraFileContents> {
    let file = SafetensorsFile::open(path)?;
    read_file(&file, known_modules, weights).with_context(|| format!("cannot use the LoRA {}", path.display()))
}

fn read_file(file: &SafetensorsFile, known_modules: &[Site], weights: &[WeightRef]) -> Result<LoraFileContents> {
    other_families(file.tensors().map(|tensor| tensor.name))?;
    let Sorted { mut plain, others } = sort_by_module(file, known_modules, weights)?;
    let config = AdapterConfig::of(file)?;
    let mut without_alpha = 0;
    let mut modules = Vec::new();
    for (index, module) in known_modules.iter().enumerate() {
        if let Some(tensors) = plain.remove(&index) {
            let (lora, has_alpha) = tensors.into_lora(module, config.as_ref())?;
            without_alpha += usize::from(!has_alpha);
            modules.push(lora);
        }
    }
    let delta = |(index, tensors): (usize, Tensors)| Delta::new(&weights[index], &tensors, config.as_ref());
    let deltas = others.into_iter().map(delta).collect::<Result<_>>()?;
    let warnings = alpha_warning(file.path(), without_alpha).into_iter().collect();
    Ok(LoraFileContents { modules, deltas, metadata: file.metadata().clone(), warnings })
}

/// What is to be said of `count` modules that state no alpha, if there are any.
pub(super) fn alpha_warning(path: &Path, count: usize) -> Option<String> {
    let said =
        || format!("{}: {count} modules state no alpha; taken to be their rank, as diffusers does", path.display());
    (count > 0).then(said)
}

/// The tensors of one module.
pub(super) type Tensors<'a> = BTreeMap<Role, Tensor<'a>>;

/// Tensors by the index of their module.
struct Sorted<'a> {
    /// Plain LoRA, by known module.
    plain: HashMap<usize, ModuleTensors<'a>>,
    /// Everything else, by weight.
    others: BTreeMap<usize, Tensors<'a>>,
}

/// The tensors of a plain LoRA's module.
#[derive(Default)]
struct ModuleTensors<'a> {
    down: Option<Tensor<'a>>,
    up: Option<Tensor<'a>>,
    alpha: Option<Tensor<'a>>,
}

/// Groups tensors by their module.
fn sort_by_module<'a>(file: &'a SafetensorsFile, known_modules: &[Site], weights: &[WeightRef]) -> Result<Sorted<'a>> {
    let (modules, mut unmatched) = by_name(file)?;
    let known = index_by_name(known_modules.iter().map(|module| (module.part, &module.path)));
    let known_weights = index_by_name(weights.iter().map(|weight| (weight.part, &weight.path)));
    let mut sorted = Sorted { plain: HashMap::new(), others: BTreeMap::new() };
    for (name, tensors) in modules {
        let is_plain = !tensors.keys().any(|role| matches!(role, Role::Factor(_)));
        let tensor = |role| tensors.get(&role).copied();
        match (known.get(&name).filter(|_| is_plain), known_weights.get(&name)) {
            (Some(&module), _) => {
                let [down, up, alpha] = [Role::Down, Role::Up, Role::Alpha].map(tensor);
                sorted.plain.insert(module, ModuleTensors { down, up, alpha });
            }
            (None, Some(&weight)) => {
                sorted.others.insert(weight, tensors);
            }
            (None, None) => unmatched.extend(tensors.values().map(|tensor| tensor.name)),
        }
    }
    refuse_unmatched(&unmatched, sorted.plain.is_empty() && sorted.others.is_empty())?;
    Ok(sorted)
}

/// Groups tensors by the name of their module; and the names of those that belong to none.
pub(super) fn by_name(file: &SafetensorsFile) -> Result<(BTreeMap<ModuleName, Tensors<'_>>, Vec<&str>)> {
    let mut modules: BTreeMap<ModuleName, Tensors> = BTreeMap::new();
    let mut unmatched = Vec::new();
    for tensor in file.tensors() {
        let Some((module, role)) = keys::parse(tensor.name) else {
            unmatched.push(tensor.name);
            continue;
        };
        if let Some(first) = modules.entry(module).or_default().insert(role, tensor) {
            bail!("{} and {} stand for the same tensor", first.name, tensor.name);
        }
    }
    Ok((modules, unmatched))
}

/// Every module under its kohya name and under its diffusers path.
pub(super) fn index_by_name<'p>(modules: impl Iterator<Item = (Part, &'p String)>) -> HashMap<ModuleName, usize> {
    let names = |(index, (part, path)): (usize, (Part, &String))| {
        let flat = ModuleName::Flat(keys::kohya_name(part, path));
        let dotted = ModuleName::Dotted(part, path.clone());
        [(flat, index), (dotted, index)]
    };
    modules.enumerate().flat_map(names).collect()
}

pub(super) fn refuse_unmatched(unmatched: &[&str], nothing_matched: bool) -> Result<()> {
    const SHOWN: usize = 3;
    if unmatched.is_empty() && nothing_matched {
        bail!("it holds no tensors");
    }
    if unmatched.is_empty() {
        return Ok(());
    }
    let first = unmatched[..unmatched.len().min(SHOWN)].join(", ");
    if nothing_matched {
        bail!("none of its tensors is a LoRA weight for this model; the first are: {first}");
    }
    bail!(
        "{} of its tensors belong to no module that a LoRA can be loaded on here; the first are: {first}",
        unmatched.len()
    )
}

impl ModuleTensors<'_> {
    /// The module's LoRA, and whether the file states its alpha.
    fn into_lora(self, module: &Site, config: Option<&AdapterConfig>) -> Result<(LoraModule, bool)> {
        let (down, up) = match (self.down, self.up) {
            (Some(down), Some(up)) => (down, up),
            (Some(lone), None) | (None, Some(lone)) => bail!("{} has no counterpart", lone.name),
            (None, None) => bail!("{} has an alpha but no weights", module.path),
        };
        let rank = down.shape.first().copied().unwrap_or(0);
        require_shape(&down, [rank, module.in_features])?;
        require_shape(&up, [module.out_features, rank])?;
        let stated = match self.alpha {
            Some(alpha) => Some(scalar(&alpha)?),
            None => config.and_then(|config| config.alpha(module.part, &module.path, rank)),
        };
        let lora = LoraModule {
            site: module.clone(),
            rank,
            alpha: stated.unwrap_or(rank as f32),
            down: finite_values(&down)?,
            up: finite_values(&up)?,
        };
        Ok((lora, stated.is_some()))
    }
}

fn require_shape(tensor: &Tensor, expected: [usize; 2]) -> Result<()> {
    let matrix = match tensor.shape {
        [rows, columns] | [rows, columns, 1, 1] => Some([*rows, *columns]),
        _ => None,
    };
    if matrix == Some(expected) && expected[0] > 0 {
        return Ok(());
    }
    let hint = match tensor.shape.get(1) {
        Some(1024) => " (1024 is the width of Stable Diffusion 2.x)",
        Some(2048) => " (2048 is the width of Stable Diffusion XL)",
        _ => "",
    };
    bail!(
        "{} has shape {:?}, expected {expected:?}{hint}: the LoRA is for another base model",
        tensor.name,
        tensor.shape
    )
}
