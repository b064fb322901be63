//! Reading adapters of any kind tensor by tensor, to go on with their training.

use std::path::Path;

use anyhow::{Context, Result, bail};

use super::adapter_config::AdapterConfig;
use super::keys::Role;
use super::read::{Tensors, alpha_warning, by_name, index_by_name, refuse_unmatched};
use super::refuse::other_families;
use super::values::{finite_values, scalar};
use super::{AdapterModule, AdapterTensor, DOWN, MAGNITUDE, Site, UP};
use crate::weights::safetensors_file::{SafetensorsFile, Tensor};

/// What a file of adapters holds.
#[derive(Clone, Debug)]
pub struct AdapterFileContents {
    /// In the order of their sites.
    pub modules: Vec<AdapterModule>,
    /// What is odd but usable, one sentence each.
    pub warnings: Vec<String>,
}

/// Reads adapters of any kind in any of the layouts that [`super::read`] knows; `sites` are all layers of the model that one
/// can stand on.
///
/// # Errors
/// A damaged file; adapters for another family of models; keys that belong to no site; NaN or infinity. Each names the file
/// and the tensor.
pub fn read_adapters(path: &Path, sites: &[Site]) -> Result<AdapterFileContents> {
    let file = SafetensorsFile::open(path)?;
    read_file(&file, sites).with_context(|| format!("cannot use the LoRA {}", path.display()))
}

fn read_file(file: &SafetensorsFile, sites: &[Site]) -> Result<AdapterFileContents> {
    other_families(file.tensors().map(|tensor| tensor.name))?;
    let (by_module, mut unmatched) = by_name(file)?;
    let known = index_by_name(sites.iter().map(|site| (site.part, &site.path)));
    let config = AdapterConfig::of(file)?;
    let (mut found, mut without_alpha) = (Vec::new(), 0);
    for (name, tensors) in by_module {
        let Some(&site) = known.get(&name) else {
            unmatched.extend(tensors.values().map(|tensor| tensor.name));
            continue;
        };
        let (module, has_alpha) = module(&sites[site], &tensors, config.as_ref())?;
        without_alpha += usize::from(!has_alpha);
        found.push((site, module));
    }
    refuse_unmatched(&unmatched, found.is_empty())?;
    found.sort_by_key(|(site, _)| *site);
    let warnings = alpha_warning(file.path(), without_alpha).into_iter().collect();
    let modules = found.into_iter().map(|(_, module)| module).collect();
    Ok(AdapterFileContents { modules, warnings })
}

/// A module, and whether its alpha is stated.
fn module(site: &Site, tensors: &Tensors<'_>, config: Option<&AdapterConfig>) -> Result<(AdapterModule, bool)> {
    let rank = rank(tensors);
    let stated = match (tensors.get(&Role::Alpha), rank) {
        (Some(alpha), _) => Some(scalar(alpha)?),
        (None, Some(rank)) => config.and_then(|config| config.alpha(site.part, &site.path, rank)),
        (None, None) => None,
    };
    let alpha = stated.or(rank.map(|rank| rank as f32)).unwrap_or(1.0);
    let matrices = tensors.iter().filter(|(role, _)| **role != Role::Alpha);
    let matrices: Vec<AdapterTensor> =
        matrices.map(|(role, tensor)| adapter_tensor(site, *role, tensor)).collect::<Result<_>>()?;
    if matrices.is_empty() {
        bail!("{} has an alpha but no weights", site.path);
    }
    // Where nothing tells a rank, as in a LoKr of two whole factors, alpha is written as the rank.
    let rank = rank.unwrap_or(alpha as usize);
    Ok((AdapterModule { site: site.clone(), rank, alpha, tensors: matrices }, stated.is_some()))
}

fn adapter_tensor(site: &Site, role: Role, tensor: &Tensor<'_>) -> Result<AdapterTensor> {
    let name = match role {
        Role::Down => DOWN,
        Role::Up => UP,
        Role::Factor("lora_magnitude_vector") => MAGNITUDE,
        Role::Factor(name) => name,
        Role::Alpha => bail!("{}: an alpha is no matrix", site.path),
    };
    let values = finite_values(tensor)?;
    let shape = match role {
        // PEFT's, as LyCORIS shapes magnitudes of outputs.
        Role::Factor("lora_magnitude_vector") => [&[values.len(), 1], site.kind.ones()].concat(),
        _ => tensor.shape.to_vec(),
    };
    Ok(AdapterTensor { name, shape, values })
}

/// The rank that the tensors' shapes tell.
fn rank(tensors: &Tensors<'_>) -> Option<usize> {
    let inner = [Role::Down, Role::Factor("hada_w1_b"), Role::Factor("lokr_w2_b"), Role::Factor("lokr_w1_b")];
    inner.iter().find_map(|role| tensors.get(role)?.shape.first().copied())
}
