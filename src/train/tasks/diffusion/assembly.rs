//! A training put together: adapters on a U-Net, their optimizer, and the plans of everything that is replayed.

use crate::{
    adapters::AdapterSet,
    gpu::{Gpu, GpuError},
    models::UNet,
    optim::{self, Optimizer, SETTINGS},
    train::engine::{LossScale, Plans, UpdateNumbers, record_update},
    weights::lora::AdapterModule,
};

use super::recording::{Recorder, StepOptions, StepShape, TrainedText};

/// What is trained, and by what.
pub struct Trained {
    pub adapters: AdapterSet,
    pub loss_scale: LossScale,
    optimizer: Optimizer,
    state: optim::State,
    /// Parameter groups.
    groups: usize,
}

impl Trained {
    /// Declares the optimizer's state over `adapters`.
    pub fn new(adapters: AdapterSet, optimizer: Optimizer, loss_scale: LossScale) -> Self {
        let state = optimizer.state(&adapters.store);
        let groups = adapters.store.trained().filter_map(|(_, shard)| shard.group).max().map_or(0, |last| last + 1);
        Self { adapters, loss_scale, optimizer, state, groups }
    }

    /// Records and plans everything for `shapes`; `text` is the text encoder where that is trained.
    ///
    /// # Errors
    /// A value too large for the device.
    pub fn plan(
        &self,
        gpu: &Gpu,
        (unet, text): (&UNet, Option<TrainedText<'_>>),
        shapes: &[StepShape],
        options: &StepOptions,
    ) -> Result<Plans, GpuError> {
        let recorder = Recorder { unet, text, adapters: &self.adapters, loss_scale: &self.loss_scale };
        let recorded = shapes.iter().map(|&shape| recorder.record(shape, options)).collect();
        let store = &self.adapters.store;
        let update = record_update(store, &self.loss_scale, [self.groups, SETTINGS], |tape, values| {
            let update = optim::UpdateValues { clip: values.clip, settings: values.settings };
            self.optimizer.record(tape, store, &self.state, update);
        });
        Plans::new(gpu, store, recorded, update)
    }

    /// Device memory of parameters, gradients and the optimizer's state.
    pub fn bytes(&self) -> u64 {
        self.adapters.store.bytes() + self.state.bytes()
    }

    /// Starts from given values, with an optimizer that begins anew.
    ///
    /// # Errors
    /// As [`AdapterSet::matching`].
    pub fn load(&self, gpu: &Gpu, modules: &[AdapterModule]) -> anyhow::Result<()> {
        self.adapters.load(gpu, modules)?;
        self.state.reset(gpu, &self.adapters.store);
        self.loss_scale.reset(gpu);
        Ok(())
    }

    /// The values to save, preview and go on with elsewhere.
    ///
    /// # Errors
    /// A failure of the device.
    pub fn evaluated(&self, gpu: &Gpu) -> anyhow::Result<Vec<Vec<f32>>> {
        self.optimizer.evaluated(gpu, &self.adapters.store, &self.state)
    }

    /// The numbers of update `update`, from 1, with the learning rate of each parameter group.
    pub fn update_numbers(&self, update: u32, rates: &[f64], max_grad_norm: f64) -> UpdateNumbers {
        let settings = self.optimizer.settings(update, rates).iter().map(|row| row.to_vec()).collect();
        UpdateNumbers { settings, max_grad_norm }
    }
}
