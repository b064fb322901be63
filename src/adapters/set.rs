//! All adapters of a training: on which sites they stand, and where their tensors lie.

use std::ops::Range;

use anyhow::{Context, Result, ensure};

use crate::{
    gpu::Gpu,
    nn::{Adapters, Dropped},
    ops::{self, Capped},
    tape::{Tape, Value},
    weights::lora::{AdapterModule, AdapterTensor, FloatType, Site, UP},
};

use super::{
    kinds::{BLEND, Kind, OnTape, TensorSpec},
    scales::{Factor, Scales},
    store::Store,
};

/// What is to stand on one site.
#[derive(Clone, Debug)]
pub struct SitePlan {
    pub site: Site,
    pub rank: usize,
    pub alpha: f32,
    /// The parameter group of its tensors; `None`: it is written and used, but never updated, since it gets no gradient.
    pub group: Option<usize>,
    /// The group of `up`, where that has one of its own (LoRA+).
    pub up_group: Option<usize>,
}

impl SitePlan {
    /// Everything in the first group.
    pub fn plain(site: Site, rank: usize, alpha: f32) -> Self {
        Self { site, rank, alpha, group: Some(0), up_group: None }
    }
}

/// A module with the numbers of its tensors.
struct Module {
    plan: SitePlan,
    specs: Vec<TensorSpec>,
    tensors: Range<usize>,
    factor: Factor,
    /// As files state it.
    alpha: f32,
}

/// The adapters in training.
pub struct AdapterSet {
    kind: Kind,
    modules: Vec<Module>,
    pub store: Store,
    pub scales: Scales,
}

/// A set of adapters as it stands on one tape.
pub struct RecordedAdapters {
    pub adapters: Adapters,
    /// The tensors that are updated, and their numbers.
    pub parameters: Vec<Value>,
    numbers: Vec<usize>,
}

impl AdapterSet {
    /// Lays out adapters of a kind in shards of at most `max_binding` bytes; `accumulate` asks for a second set of
    /// gradients. Nothing is allocated yet.
    pub fn new(kind: Kind, plans: Vec<SitePlan>, max_binding: u64, accumulate: bool) -> Self {
        let (mut modules, mut tensors) = (Vec::with_capacity(plans.len()), Vec::new());
        for plan in plans {
            let specs = kind.tensors(&plan.site, plan.rank);
            let first = tensors.len();
            for TensorSpec { name, shape } in &specs {
                let group = if *name == UP { plan.up_group.or(plan.group) } else { plan.group };
                tensors.push((shape.clone(), group));
            }
            let factor = kind.factor(&plan.site, plan.rank, plan.alpha);
            let alpha = kind.stated_alpha(&plan.site, plan.rank, plan.alpha);
            modules.push(Module { plan, specs, tensors: first..tensors.len(), factor, alpha });
        }
        let store = Store::new(tensors, max_binding, accumulate);
        let blend = BLEND.into_iter().filter(|_| kind.blends());
        let factors = modules.iter().map(|module: &Module| module.factor).chain(blend);
        let scales = Scales::new("adapter scales", factors);
        Self { kind, modules, store, scales }
    }

    /// What stands where.
    pub fn plans(&self) -> impl Iterator<Item = &SitePlan> {
        self.modules.iter().map(|module| &module.plan)
    }

    pub fn module_count(&self) -> usize {
        self.modules.len()
    }

    /// Modules of the values that `of` gives for each tensor.
    ///
    /// # Errors
    /// What `of` says.
    pub fn modules_from(&self, of: impl Fn(&Site, &TensorSpec) -> Result<Vec<f32>>) -> Result<Vec<AdapterModule>> {
        let of = &of;
        let values = self.modules.iter().flat_map(|module| module.specs.iter().map(|spec| of(&module.plan.site, spec)));
        Ok(self.modules_of(values.collect::<Result<_>>()?))
    }

    /// The kind's first values; `weight` as [`Kind::initial`] wants it.
    ///
    /// # Errors
    /// What `weight` says.
    pub fn initial(&self, seed: u64, weight: &dyn Fn(&Site) -> Result<Vec<f32>>) -> Result<Vec<AdapterModule>> {
        let values = self.modules.iter().enumerate().map(|(index, module)| {
            let SitePlan { site, rank, .. } = &module.plan;
            self.kind.initial((seed, index), site, *rank, weight)
        });
        Ok(self.modules_of(values.collect::<Result<Vec<_>>>()?.concat()))
    }

    /// The values of `modules` for each of ours, in our order.
    ///
    /// # Errors
    /// A module that is missing, of another kind, rank or alpha.
    pub fn matching(&self, modules: &[AdapterModule]) -> Result<Vec<Vec<f32>>> {
        let values = self.modules.iter().map(|module| module.values_in(modules));
        Ok(values.collect::<Result<Vec<_>>>()?.concat())
    }

    /// Starts from given values; whatever updates them has to begin anew.
    ///
    /// # Errors
    /// As [`AdapterSet::matching`].
    pub fn load(&self, gpu: &Gpu, modules: &[AdapterModule]) -> Result<()> {
        self.store.write(gpu, &self.matching(modules)?);
        self.scales.set_strength(gpu, 1.0);
        Ok(())
    }

    /// The current values.
    ///
    /// # Errors
    /// A failure of the device.
    pub fn read(&self, gpu: &Gpu) -> Result<Vec<AdapterModule>> {
        Ok(self.modules_of(self.store.read(gpu, |shard| &shard.parameters)?))
    }

    /// The gradients of the last step, in the shape of the adapters, times the loss scale.
    ///
    /// # Errors
    /// A failure of the device.
    pub fn read_gradients(&self, gpu: &Gpu) -> Result<Vec<AdapterModule>> {
        Ok(self.modules_of(self.store.read(gpu, |shard| &shard.gradients)?))
    }

    /// `values` of all tensors as files hold them.
    pub fn modules_of(&self, values: Vec<Vec<f32>>) -> Vec<AdapterModule> {
        let mut values = values.into_iter();
        let module = |module: &Module| {
            let SitePlan { site, rank, .. } = &module.plan;
            let alpha = module.alpha;
            let tensor = |spec: &TensorSpec| AdapterTensor {
                name: spec.name,
                shape: spec.shape.shape.clone(),
                values: values.next().expect("values of every tensor"),
            };
            let tensors = module.specs.iter().map(tensor).collect();
            AdapterModule { site: site.clone(), rank: *rank, alpha, tensors }
        };
        self.modules.iter().map(module).collect()
    }

    /// Does `work` with `values` as a file of `precision` would give them back, then puts the parameters' own bits back.
    ///
    /// # Errors
    /// What `work` says; a failure of the device.
    pub fn as_saved<T>(
        &self,
        gpu: &Gpu,
        values: &[Vec<f32>],
        precision: FloatType,
        work: impl FnOnce() -> Result<T>,
    ) -> Result<T> {
        let own = self.store.read_bytes(gpu)?;
        let rounded = values.iter().map(|values| values.iter().map(|&value| precision.rounded(value)).collect());
        self.store.write_into(gpu, &rounded.collect::<Vec<Vec<f32>>>(), |shard| &shard.parameters);
        let result = work();
        self.store.write_bytes(gpu, &own);
        result
    }

    /// Puts the adapters onto a tape, at the strength of `scales`; `dropped` says what each module drops, by its number.
    pub fn record(
        &self,
        tape: &mut Tape,
        scales: &Scales,
        dropped: &dyn Fn(usize) -> Option<Dropped>,
    ) -> RecordedAdapters {
        let mut recorded =
            RecordedAdapters { adapters: Adapters::default(), parameters: Vec::new(), numbers: Vec::new() };
        let blend = (self.kind.blends() && scales.varies).then(|| OnTape::blend(tape, scales));
        for (index, module) in self.modules.iter().enumerate() {
            let site = &module.plan.site;
            let tensors = self.tensors_on(tape, module);
            let on_tape = OnTape {
                site,
                tensors: &tensors,
                scale: scales.on(tape, module.factor),
                blend,
                dropped: dropped(index),
            };
            recorded.adapters.extend([(site.path.clone(), self.kind.record(&on_tape))]);
            for (value, number) in tensors.into_iter().zip(module.tensors.clone()) {
                if self.store.is_trained(number) {
                    recorded.parameters.push(value);
                    recorded.numbers.push(number);
                }
            }
        }
        recorded
    }

    fn tensors_on(&self, tape: &mut Tape, module: &Module) -> Vec<Value> {
        let path = &module.plan.site.path;
        let value = |(spec, number): (&TensorSpec, usize)| {
            let name = spec.name.strip_suffix(".weight").unwrap_or(spec.name);
            self.store.parameter(tape, number, &format!("{path}.{name}"))
        };
        module.specs.iter().zip(module.tensors.clone()).map(value).collect()
    }

    /// Records that the change of every LoRA that is updated keeps to a `largest` (1) norm; see [`ops::cap_norm`].
    ///
    /// # Panics
    /// Where the adapters are of another kind.
    pub fn record_cap(&self, tape: &mut Tape, largest: Value, clip: Value) {
        assert_eq!(self.kind, Kind::Lora, "only a LoRA's norm is capped");
        for module in self.modules.iter().filter(|module| self.store.is_trained(module.tensors.start)) {
            let tensors = self.tensors_on(tape, module);
            let scale = self.scales.on(tape, module.factor);
            ops::cap_norm(tape, Capped { down: tensors[0], up: tensors[1], scale }, largest, clip);
        }
    }

    /// Lets the gradients of [`RecordedAdapters::parameters`] be computed into the store.
    ///
    /// # Panics
    /// Where one of them leads to no loss: it belongs into no group then.
    pub fn place_gradients(&self, tape: &mut Tape, recorded: &RecordedAdapters, gradients: &[Option<Value>]) {
        for ((&number, gradient), &parameter) in recorded.numbers.iter().zip(gradients).zip(&recorded.parameters) {
            let gradient = gradient.unwrap_or_else(|| panic!("{} leads to no loss", tape.name(parameter)));
            self.store.place_gradient(tape, number, gradient);
        }
    }
}

impl Module {
    /// The values of this module's tensors in the one of `modules` for the same site.
    fn values_in(&self, modules: &[AdapterModule]) -> Result<Vec<Vec<f32>>> {
        let SitePlan { site, rank, .. } = &self.plan;
        let (path, alpha) = (&site.path, self.alpha);
        let found = modules.iter().find(|module| module.site.part == site.part && module.site.path == *path);
        let found = found.with_context(|| {
            format!("the LoRA to start from has nothing for `{path}`; train it with the same `lora_target`")
        })?;
        ensure!(
            found.rank == *rank && found.alpha == alpha,
            "the LoRA to start from has rank {} and alpha {} at `{path}`, the configuration asks for rank {rank} and \
             alpha {alpha}; set `lora_rank: {}` and `lora_alpha: {}`",
            found.rank,
            found.alpha,
            found.rank,
            found.alpha,
        );
        self.specs.iter().map(|spec| self.tensor_in(found, spec)).collect()
    }

    fn tensor_in(&self, module: &AdapterModule, spec: &TensorSpec) -> Result<Vec<f32>> {
        let path = &self.plan.site.path;
        let tensor = module.tensor(spec.name).with_context(|| {
            format!("the LoRA to start from has no `{}` for `{path}`: it is another kind of adapter", spec.name)
        })?;
        ensure!(
            tensor.values.len() == spec.shape.elements(),
            "the LoRA to start from has a `{}` of shape {:?} for `{path}`, not {:?}",
            spec.name,
            tensor.shape,
            spec.shape.shape
        );
        Ok(tensor.values.clone())
    }
}
