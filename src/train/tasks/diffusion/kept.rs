//! Values of each example that are computed once, and kept on disk for later runs where the configuration wants it.

use anyhow::Result;

use crate::{
    config::TrainConfig,
    data::latent_cache::{CacheKey, LatentCache},
};

/// Values of the examples as far as they are known.
pub(super) struct Kept {
    pub values: Vec<Option<Vec<f32>>>,
    disk: Option<(LatentCache, Vec<CacheKey>)>,
}

impl Kept {
    /// What earlier runs have left of `count` examples, under the keys that `keys` makes; nothing where the
    /// configuration keeps nothing on disk.
    pub fn open(config: &TrainConfig, count: usize, keys: impl FnOnce() -> Result<Vec<CacheKey>>) -> Result<Self> {
        if !config.cache_latents_to_disk {
            return Ok(Self { values: vec![None; count], disk: None });
        }
        let mut cache = LatentCache::open(&config.output_dir.join("cache"))?;
        let keys = keys()?;
        let values = keys.iter().map(|key| cache.get(key)).collect();
        Ok(Self { values, disk: Some((cache, keys)) })
    }

    /// What there is to tell of the files.
    pub fn notes(&mut self) -> Vec<String> {
        self.disk.as_mut().map(|(cache, _)| cache.take_notes()).unwrap_or_default()
    }

    /// Examples that are not known yet.
    pub fn missing(&self) -> Vec<usize> {
        (0..self.values.len()).filter(|&index| self.values[index].is_none()).collect()
    }

    pub fn put(&mut self, index: usize, shape: &[usize], values: Vec<f32>) -> Result<()> {
        if let Some((cache, keys)) = &mut self.disk {
            cache.put(&keys[index], shape, &values)?;
        }
        self.values[index] = Some(values);
        Ok(())
    }

    /// # Panics
    /// Where an example is missing.
    pub fn all(self) -> Vec<Vec<f32>> {
        self.values.into_iter().map(|values| values.expect("every example was put")).collect()
    }
}
