//! A training put together: adapters on their networks, what updates them, and the plans of everything that is replayed.

use anyhow::Result;

use crate::{
    adapters::{AdapterSet, Group},
    gpu::{Gpu, GpuError},
    models::UNet,
    optim::{self, Ema, EmaRule, Optimizer, SETTINGS},
    train::engine::{LossScale, Plans, UpdateNumbers, record_update},
    weights::lora::AdapterModule,
};

use super::recording::{Recorder, StepOptions, StepShape, TrainedText};

/// What is trained, and by what.
pub struct Trained {
    pub adapters: AdapterSet,
    /// The parameter groups of `adapters`.
    pub groups: Vec<Group>,
    pub loss_scale: LossScale,
    optimizer: Optimizer,
    state: optim::State,
    /// A running average of what is trained, by its rule.
    average: Option<(Ema, EmaRule)>,
}

impl Trained {
    /// Declares the optimizer's state over `adapters`.
    pub fn new(adapters: AdapterSet, groups: Vec<Group>, optimizer: Optimizer, loss_scale: LossScale) -> Self {
        let state = optimizer.state(&adapters.store);
        Self { adapters, groups, loss_scale, optimizer, state, average: None }
    }

    /// With a running average, which is what is saved and previewed.
    #[must_use]
    pub fn averaged(self, rule: Option<EmaRule>) -> Self {
        let average = rule.map(|rule| (Ema::new(&self.adapters.store), rule));
        Self { average, ..self }
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
        let groups = self.groups.len();
        let mut sizes = vec![SETTINGS; groups];
        sizes.extend(self.average.as_ref().map(|_| 1));
        let update = record_update(store, &self.loss_scale, &sizes, |tape, clip, numbers| {
            let update = optim::UpdateValues { clip, settings: &numbers[..groups] };
            self.optimizer.record(tape, store, &self.state, update);
            if let Some((average, _)) = &self.average {
                average.record(tape, store, numbers[groups]);
            }
        });
        Plans::new(gpu, store, recorded, update)
    }

    /// Device memory of parameters, gradients and what else updates need.
    pub fn bytes(&self) -> u64 {
        let average = self.average.as_ref().map_or(0, |(average, _)| average.bytes());
        self.adapters.store.bytes() + self.state.bytes() + average
    }

    /// Starts from given values, with an optimizer that begins anew.
    ///
    /// # Errors
    /// As [`AdapterSet::matching`].
    pub fn load(&self, gpu: &Gpu, modules: &[AdapterModule]) -> Result<()> {
        let store = &self.adapters.store;
        self.adapters.load(gpu, modules)?;
        self.state.reset(gpu, store);
        self.average.iter().for_each(|(average, _)| average.reset(gpu, store));
        self.loss_scale.reset(gpu);
        Ok(())
    }

    /// The values to save, preview and go on with elsewhere, tensor by tensor.
    ///
    /// # Errors
    /// A failure of the device.
    pub fn evaluated(&self, gpu: &Gpu) -> Result<Vec<Vec<f32>>> {
        match &self.average {
            Some((average, _)) => average.read(gpu, &self.adapters.store),
            None => self.optimizer.evaluated(gpu, &self.adapters.store, &self.state),
        }
    }

    /// The numbers of update `update`, from 1, with the learning rate of each parameter group.
    pub fn update_numbers(&self, update: u32, rates: &[f64], max_grad_norm: f64) -> UpdateNumbers {
        let settings = self.optimizer.settings(update, rates).into_iter().map(|row| row.to_vec());
        let average = self.average.iter().map(|(_, rule)| vec![rule.weight(update) as f32]);
        UpdateNumbers { numbers: settings.chain(average).collect(), max_grad_norm }
    }
}
