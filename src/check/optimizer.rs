//! The recorded case of an optimizer: its updates on given gradients, without a model.

use anyhow::{Context, Result, bail, ensure};

use crate::{
    adapters::{Store, TensorShape},
    config::{OptimizerKind, OptimizerSettings, RateRule},
    gpu::Gpu,
    optim::{Optimizer, SETTINGS, State, TensorState, UpdateValues},
    tape::{DType, Program},
    train::engine::{LossScale, RecordedUpdate, UpdateNumbers, record_update},
    weights::{OwnedTensor, SafetensorsFile},
};

/// Keys of the header that are no arguments of the optimizer.
const OWN_KEYS: [&str; 4] = ["kind", "optimizer", "steps", "lr"];

/// The value of the header's `kind`.
const KIND: &str = "optimizer";

/// A recorded case: parameters to begin with, and the gradients of every update.
pub struct OptimizerCase {
    settings: OptimizerSettings,
    rate: f64,
    updates: u32,
    tensors: Vec<Given>,
}

/// One tensor of a case.
struct Given {
    name: String,
    shape: Vec<usize>,
    first: Vec<f32>,
    gradients: Vec<f32>, // (updates, …)
}

impl OptimizerCase {
    /// Whether `file` holds such a case, or its reference.
    pub fn is_one(file: &SafetensorsFile) -> bool {
        file.metadata().get("kind").is_some_and(|kind| kind == KIND)
    }

    /// Reads a case: `p0/NAME` and `grad/NAME` (updates, …); the header has the class, its arguments and `lr`.
    ///
    /// # Errors
    /// A tensor or header that is missing or something else than expected; an optimizer that is not built.
    pub fn read(file: &SafetensorsFile) -> Result<Self> {
        Self::of(file).with_context(|| format!("{} is no case of an optimizer", file.path().display()))
    }

    fn of(file: &SafetensorsFile) -> Result<Self> {
        let updates: u32 = file.header_number("steps")?;
        let rate = file.metadata().get("lr").map_or(Ok(1.0), |_| file.header_number("lr"))?;
        let names = file.tensors().filter_map(|tensor| tensor.name.strip_prefix("p0/").map(str::to_owned));
        let tensors = names.map(|name| Given::read(file, name, updates as usize)).collect::<Result<_>>()?;
        Ok(Self { settings: settings(file)?, rate, updates, tensors })
    }

    /// Takes every update. Recorded are the parameters after each (`step1/NAME`), what would be saved at the end
    /// (`eval/NAME`), the optimizer's state then (`state/NAME/SLOT`), and of every update the estimated distance (`d`)
    /// and the rate of optimizers with a warm-up of their own (`scheduled_lr`), else zeros.
    ///
    /// # Errors
    /// A failure of the device.
    pub fn run(&self, gpu: &Gpu) -> Result<Vec<OwnedTensor>> {
        let run = Run::new(gpu, self)?;
        let (mut recorded, mut distances) = (Vec::new(), Vec::new());
        for update in 1..=self.updates {
            run.update(update)?;
            let parameters = run.store.read(gpu, |shard| &shard.parameters)?;
            recorded.extend(self.named(&format!("step{update}"), &parameters));
            distances.push(run.state.distance(gpu)?.unwrap_or_default());
        }
        recorded.extend(self.named("eval", &run.optimizer.evaluated(gpu, &run.store, &run.state)?));
        recorded.extend(run.state.read(gpu, &run.store)?.iter().map(|state| self.state(state)));
        let rates: Vec<f32> = (1..=self.updates).map(|update| self.scheduled_rate(&run.optimizer, update)).collect();
        let length = [self.updates as usize];
        recorded
            .extend([OwnedTensor::f32("d", &distances, &length), OwnedTensor::f32("scheduled_lr", &rates, &length)]);
        Ok(recorded)
    }

    fn named<'a>(&'a self, prefix: &'a str, values: &'a [Vec<f32>]) -> impl Iterator<Item = OwnedTensor> + 'a {
        let named = self.tensors.iter().zip(values);
        named.map(move |(tensor, values)| OwnedTensor::f32(&format!("{prefix}/{}", tensor.name), values, &tensor.shape))
    }

    fn state(&self, state: &TensorState) -> OwnedTensor {
        // prodigyopt flattens what it samples.
        let flat = self.settings.kind == OptimizerKind::Prodigy && ["s", "p0"].contains(&state.slot);
        let shape = if flat { vec![state.values.len()] } else { state.shape.clone() };
        let name = format!("state/{}/{}", self.tensors[state.tensor].name, state.slot);
        OwnedTensor::f32(&name, &state.values, &shape)
    }

    fn scheduled_rate(&self, optimizer: &Optimizer, update: u32) -> f32 {
        let own = self.settings.rate_rule() == RateRule::Unscheduled;
        if own { optimizer.rate(update, self.rate) as f32 } else { 0.0 }
    }
}

/// The optimizer of a header: a Python class, and the arguments it was made with.
fn settings(file: &SafetensorsFile) -> Result<OptimizerSettings> {
    let class = file.header_text("optimizer")?;
    ensure!(!class.ends_with("8bit"), "`{class}` keeps its state in 8 bits; here it is 32 bits, and nothing is equal");
    let nesterov = file.metadata().get("nesterov").is_some_and(|flag| flag == "True");
    let mut settings = match OptimizerSettings::named(class) {
        Some(settings) => settings,
        None if class == "torch.optim.SGD" && nesterov => OptimizerSettings::new(OptimizerKind::SgdNesterov),
        None => bail!("`{class}` is not built"),
    };
    for (name, value) in file.metadata().iter().filter(|(name, _)| !OWN_KEYS.contains(&name.as_str())) {
        settings.set(name, &value.as_str().into())?;
    }
    Ok(settings)
}

impl Given {
    fn read(file: &SafetensorsFile, name: String, updates: usize) -> Result<Self> {
        let (first, gradients) = (file.require(&format!("p0/{name}"))?, file.require(&format!("grad/{name}"))?);
        let shape = first.shape.to_vec();
        let expected = [&[updates][..], &shape].concat();
        ensure!(gradients.shape == expected, "`grad/{name}`: shape {:?}, not {expected:?}", gradients.shape);
        Ok(Self { shape, first: first.to_f32()?, gradients: gradients.to_f32()?, name })
    }
}

/// A case on a device.
struct Run<'a> {
    gpu: &'a Gpu,
    case: &'a OptimizerCase,
    store: Store,
    optimizer: Optimizer,
    state: State,
    program: Program,
    inputs: RecordedUpdate,
}

impl<'a> Run<'a> {
    fn new(gpu: &'a Gpu, case: &'a OptimizerCase) -> Result<Self> {
        let shape = |shape: &[usize]| match shape {
            [_] => TensorShape::vector(shape),
            _ => TensorShape::matrix(shape),
        };
        let tensors = case.tensors.iter().map(|tensor| (shape(&tensor.shape), Some(0))).collect();
        let store = Store::new(tensors, gpu.caps().max_binding, false);
        let first: Vec<Vec<f32>> = case.tensors.iter().map(|tensor| tensor.first.clone()).collect();
        store.write(gpu, &first);
        let optimizer = Optimizer::new(&case.settings);
        let state = optimizer.state(&store);
        state.reset(gpu, &store);
        let scale = LossScale::for_activations(DType::F32);
        scale.reset(gpu);
        let (tape, inputs) = record_update(&store, &scale, &[SETTINGS], |tape, clip, numbers| {
            let update = UpdateValues { clip, settings: numbers };
            optimizer.record(tape, &store, &state, update);
        });
        let program = Program::compile(gpu, "update", tape)?;
        Ok(Self { gpu, case, store, optimizer, state, program, inputs })
    }

    fn update(&self, update: u32) -> Result<()> {
        let of_update = |given: &Given| {
            let count = given.first.len();
            given.gradients[(update as usize - 1) * count..][..count].to_vec()
        };
        let gradients: Vec<Vec<f32>> = self.case.tensors.iter().map(of_update).collect();
        self.store.write_into(self.gpu, &gradients, |shard| &shard.accumulated);
        let settings = self.optimizer.settings(update, &[self.case.rate]).iter().map(|row| row.to_vec()).collect();
        let numbers = UpdateNumbers { numbers: settings, max_grad_norm: 0.0 };
        let result = self.inputs.start(self.gpu, &self.program, &numbers).wait(self.gpu)?;
        ensure!(result.finite, "update {update}: a gradient is not finite");
        Ok(())
    }
}

/// The group a tensor of such a case is judged in: all tensors of an update, all of a slot.
pub fn group_of(name: &str) -> String {
    match name.strip_prefix("state/").and_then(|rest| rest.rsplit_once('/')) {
        Some((_, slot)) => format!("state/{slot}"),
        None => name.split_once('/').map_or(name, |(group, _)| group).to_owned(),
    }
}

/// What a group may differ by, over the whole and by tensor. Early on, Prodigy's p0 − p is below p's own rounding, so that
/// its distance is good to some 1e-4 only in f32; its state is proportional to the distance or its square.
pub fn tolerances(group: &str, reference: &SafetensorsFile) -> (f64, Option<f64>) {
    let prodigy = reference.metadata().get("optimizer").is_some_and(|class| class.contains("Prodigy"));
    let tolerance = match group {
        "d" if prodigy => 2e-3,
        _ if prodigy && group.starts_with("state/") => 4e-3,
        _ if prodigy => 5e-4,
        _ => 1e-5,
    };
    (tolerance, Some(tolerance))
}
