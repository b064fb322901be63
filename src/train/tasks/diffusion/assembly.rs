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

use super::step::{Recorder, StepOptions, StepShape, TrainedText};

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
    /// The largest norm of a module's change (kohya's scale_weight_norms).
    largest_norm: Option<f32>,
}

impl Trained {
    /// Declares the optimizer's state over `adapters`.
    pub fn new(adapters: AdapterSet, groups: Vec<Group>, optimizer: Optimizer, loss_scale: LossScale) -> Self {
        let state = optimizer.state(&adapters.store);
        Self { adapters, groups, loss_scale, optimizer, state, average: None, largest_norm: None }
    }

    /// With a running average, which is what is saved and previewed.
    #[must_use]
    pub fn averaged(self, rule: Option<EmaRule>) -> Self {
        let average = rule.map(|rule| (Ema::new(&self.adapters.store), rule));
        Self { average, ..self }
    }

    /// With the norm of every LoRA's change kept at or below a number.
    #[must_use]
    pub fn capped(self, largest_norm: Option<f32>) -> Self {
        Self { largest_norm, ..self }
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
        let update = record_update(store, &self.loss_scale, &self.update_sizes(), |tape, clip, numbers| {
            let (settings, others) = numbers.split_at(self.groups.len());
            let mut others = others.iter().copied();
            self.optimizer.record(tape, store, &self.state, optim::UpdateValues { clip, settings });
            if self.largest_norm.is_some() {
                self.adapters.record_cap(tape, others.next().expect("the largest norm"), clip);
            }
            if let Some((average, _)) = &self.average {
                average.record(tape, store, others.next().expect("the average's weight"));
            }
        });
        Plans::new(gpu, store, recorded, update)
    }

    /// Lengths of [`UpdateNumbers::numbers`]: settings of each group, the largest norm, the average's weight.
    fn update_sizes(&self) -> Vec<usize> {
        let others = usize::from(self.largest_norm.is_some()) + usize::from(self.average.is_some());
        [vec![SETTINGS; self.groups.len()], vec![1; others]].concat()
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

    /// The learning rate in effect in update `update`, from 1, where the schedule gives `rate`.
    pub fn rate(&self, update: u32, rate: f64) -> f64 {
        self.optimizer.rate(update, rate)
    }

    /// The numbers of update `update`, from 1, with the learning rate of each parameter group.
    pub fn update_numbers(&self, update: u32, rates: &[f64], max_grad_norm: f64) -> UpdateNumbers {
        let settings = self.optimizer.settings(update, rates).into_iter().map(|row| row.to_vec());
        let average = self.average.iter().map(|(_, rule)| vec![rule.weight(update) as f32]);
        let largest = self.largest_norm.iter().map(|&norm| vec![norm]);
        UpdateNumbers { numbers: settings.chain(largest).chain(average).collect(), max_grad_norm }
    }
}
