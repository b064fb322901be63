//! Which optimizer a run uses, with its arguments: resolved, plain data.

pub(super) mod rates;
mod read;
mod rows;

use anyhow::{Result, bail};
use serde_yaml::Value;

use super::{choices::Word, value};
use read::Argument;
use rows::{ROWS, Row};

/// The optimizers that are built.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OptimizerKind {
    AdamW,
    Prodigy,
    Adafactor,
    Lion,
    AdamWScheduleFree,
    RAdamScheduleFree,
    Came,
    SgdNesterov,
    DAdaptAdam,
}

/// What an optimizer asks of the learning rates that it is given.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RateRule {
    /// Any rate for each group, and any schedule.
    Free,
    /// Finds its step size itself and multiplies it by the rate, which should be 1. The rates of groups may differ only
    /// by being 0.
    Shared,
    /// No schedule and no warm-up but its own.
    Unscheduled,
    /// Its rate is a function of the update; whatever is set is ignored.
    Own,
}

/// An optimizer with a value for each of its arguments, which have the names and defaults of the implementation that
/// the row of its kind names.
#[derive(Clone, Debug, PartialEq)]
pub struct OptimizerSettings {
    pub kind: OptimizerKind,
    values: Vec<Argument>,
}

impl OptimizerSettings {
    /// All arguments at their defaults.
    pub fn new(kind: OptimizerKind) -> Self {
        let values = Row::of(kind).arguments.iter().map(|argument| argument.kind.default()).collect();
        Self { kind, values }
    }

    /// Every optimizer with its defaults.
    pub fn all() -> impl Iterator<Item = Self> {
        ROWS.iter().map(|row| Self::new(row.kind))
    }

    /// Finds an optimizer by any of its names, in any case, with or without a module before it
    /// (`schedulefree.AdamWScheduleFree`).
    pub fn named(name: &str) -> Option<Self> {
        Row::named(name).map(|row| Self::new(row.kind))
    }

    /// Sets an argument by its name; a text may be a Python literal, as sd-scripts has them.
    ///
    /// # Errors
    /// An unknown argument, with the nearest one; a value out of range.
    pub fn set(&mut self, name: &str, value: &Value) -> Result<()> {
        let row = Row::of(self.kind);
        let in_argument = |error: anyhow::Error| error.context(format!("`{name}`"));
        if let Some(at) = row.arguments.iter().position(|argument| argument.name == name) {
            self.values[at] = row.arguments[at].kind.read(value).map_err(in_argument)?;
            return Ok(());
        }
        match row.without_effect.iter().find(|(ignored, _)| *ignored == name) {
            Some((_, only)) => read::without_effect(*only, value).map_err(in_argument),
            None => Err(row.unknown(name)),
        }
    }

    /// The name that is shown.
    pub fn name(&self) -> &'static str {
        Row::of(self.kind).name
    }

    /// As sd-scripts names it in a LoRA's `ss_optimizer`: `torch.optim.adamw.AdamW(weight_decay=0.01)`.
    pub fn python_call(&self) -> String {
        let row = Row::of(self.kind);
        let arguments: Vec<String> = row
            .arguments
            .iter()
            .zip(&self.values)
            .map(|(row, value)| format!("{}={}", row.name, value.python()))
            .collect();
        format!("{}({})", row.class, arguments.join(","))
    }

    /// The arguments as a YAML map on one line.
    pub fn arguments_yaml(&self) -> String {
        let row = Row::of(self.kind);
        let arguments: Vec<String> = row
            .arguments
            .iter()
            .zip(&self.values)
            .map(|(row, value)| format!("{}: {}", row.name, value.yaml()))
            .collect();
        format!("{{{}}}", arguments.join(", "))
    }

    pub fn rate_rule(&self) -> RateRule {
        match self.kind {
            OptimizerKind::Adafactor if self.flag("relative_step") => RateRule::Own,
            kind => Row::of(kind).rates,
        }
    }

    /// What contradicts itself among the arguments.
    ///
    /// # Errors
    /// Such a contradiction, and what to do.
    pub fn check(&self) -> Result<()> {
        if self.kind == OptimizerKind::Adafactor && self.flag("warmup_init") && !self.flag("relative_step") {
            bail!("`warmup_init` is a part of `relative_step`: set `relative_step: true`, or leave `warmup_init` out");
        }
        Ok(())
    }

    /// The value of an argument of one number.
    ///
    /// # Panics
    /// Where the optimizer's row has no such argument: this and what follows.
    pub fn number(&self, name: &str) -> f64 {
        let [number] = self.numbers(name);
        number
    }

    /// The value of an argument of one number that may be left out.
    pub fn optional_number(&self, name: &str) -> Option<f64> {
        match self.value(name) {
            Argument::Numbers(numbers) => numbers.first().copied(),
            Argument::Flag(_) => panic!("{}: `{name}` is no number", self.name()),
        }
    }

    /// The value of an argument of several numbers.
    pub fn numbers<const N: usize>(&self, name: &str) -> [f64; N] {
        match self.value(name) {
            Argument::Numbers(numbers) => numbers[..].try_into().expect("the row says how many"),
            Argument::Flag(_) => panic!("{}: `{name}` is no number", self.name()),
        }
    }

    pub fn flag(&self, name: &str) -> bool {
        match self.value(name) {
            Argument::Flag(flag) => *flag,
            Argument::Numbers(_) => panic!("{}: `{name}` is no flag", self.name()),
        }
    }

    fn value(&self, name: &str) -> &Argument {
        let at = Row::of(self.kind).arguments.iter().position(|argument| argument.name == name);
        &self.values[at.unwrap_or_else(|| panic!("{} has no argument `{name}`", self.name()))]
    }
}

impl Default for OptimizerSettings {
    fn default() -> Self {
        Self::new(OptimizerKind::AdamW)
    }
}

/// The words of the key `optimizer_type`.
pub(super) fn words() -> Vec<Word> {
    rows::words()
}

/// Takes the optimizer of a word of [`words`].
pub(super) fn put(settings: &mut OptimizerSettings, word: usize) {
    *settings = OptimizerSettings::named(words()[word].word).expect("every word is a name");
}

/// The word that shows an optimizer.
pub(super) fn word(settings: &OptimizerSettings) -> usize {
    words().iter().position(|word| word.word == settings.name()).expect("every name is a word")
}

/// What the user should know about a word.
pub(super) fn note(value: &Value) -> Option<&'static str> {
    let name = value.as_str()?;
    let row = Row::named(name)?;
    row.stand_ins.iter().any(|stand_in| stand_in.eq_ignore_ascii_case(name.trim())).then_some(row.stand_in_note)
}

/// Reads the key `optimizer_args`.
///
/// # Errors
/// Those of [`OptimizerSettings::set`] and [`OptimizerSettings::check`].
pub(super) fn set_arguments(settings: &mut OptimizerSettings, value: &Value) -> Result<()> {
    for (name, value) in value::arguments(value)? {
        settings.set(&name, &value)?;
    }
    settings.check()
}

/// What the user should know about arguments.
pub(super) fn note_arguments(value: &Value) -> Option<&'static str> {
    let given = value::arguments(value).ok()?;
    let ignored = |name: &str| ROWS.iter().any(|row| row.without_effect.iter().any(|(ignored, _)| *ignored == name));
    let any = given.iter().any(|(name, _)| ignored(name));
    any.then_some("arguments that say how another implementation computes, such as `fused`, have no effect here")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn yaml(text: &str) -> Value {
        serde_yaml::from_str(text).unwrap()
    }

    #[test]
    fn names_are_found_in_every_spelling() {
        for (name, kind) in [
            ("adamw", OptimizerKind::AdamW),
            ("torch.optim.AdamW", OptimizerKind::AdamW),
            ("PagedAdamW8bit", OptimizerKind::AdamW),
            ("AdaFactor", OptimizerKind::Adafactor),
            ("DAdaptation", OptimizerKind::DAdaptAdam),
            ("schedulefree.RAdamScheduleFree", OptimizerKind::RAdamScheduleFree),
        ] {
            assert_eq!(OptimizerSettings::named(name).map(|settings| settings.kind), Some(kind), "{name}");
        }
        assert_eq!(OptimizerSettings::named("Prodgy"), None);
        assert_eq!(note(&"pagedlion8BIT".into()), Some("8-bit and paged kinds run as Lion, with 32-bit state"));
        assert_eq!(note(&"Lion".into()), None);
    }

    #[test]
    fn arguments_are_read_as_yaml_and_as_python() {
        let mut prodigy = OptimizerSettings::new(OptimizerKind::Prodigy);
        for (name, value) in [
            ("betas", "0.9,0.99"),
            ("decouple", "\"True\""),
            ("use_bias_correction", "true"),
            ("d_coef", "'2'"),
            ("beta3", "None"),
            ("growth_rate", "inf"),
        ] {
            prodigy.set(name, &yaml(value)).unwrap_or_else(|error| panic!("{name}: {error:#}"));
        }
        assert_eq!(prodigy.numbers("betas"), [0.9, 0.99]);
        assert_eq!((prodigy.number("d_coef"), prodigy.optional_number("beta3")), (2.0, None));
        assert!(prodigy.flag("use_bias_correction") && !prodigy.flag("safeguard_warmup"));
        assert!(prodigy.number("growth_rate").is_infinite());
        prodigy.set("slice_p", &yaml("1")).unwrap();
        assert!(note_arguments(&yaml("{slice_p: 1}")).is_some() && note_arguments(&yaml("{d_coef: 1}")).is_none());
        for (name, value, wanted) in [
            ("slice_p", "11", "only 1"),
            ("d0", "0", "above 0"),
            ("betas", "[0.9]", "2 numbers"),
            ("betas", "[0.9, 1]", "below 1"),
            ("decouple", "maybe", "true or false"),
            ("d_coeff", "1", "did you mean `d_coef`?"),
            ("wavelet", "1", "Prodigy takes `betas`"),
        ] {
            let error = format!("{:#}", prodigy.set(name, &yaml(value)).unwrap_err());
            assert!(error.contains(wanted), "{name}: {value}: {error}");
        }
    }

    #[test]
    fn every_optimizer_shows_arguments_that_read_back() {
        for settings in OptimizerSettings::all() {
            let mut back = OptimizerSettings::named(settings.name()).unwrap();
            let Value::Mapping(map) = yaml(&settings.arguments_yaml()) else { panic!("no map") };
            assert_eq!(map.len(), settings.values.len());
            for (name, value) in &map {
                back.set(name.as_str().unwrap(), value).unwrap();
            }
            assert_eq!(back, settings, "{}", settings.arguments_yaml());
        }
        let adamw = OptimizerSettings::new(OptimizerKind::AdamW).python_call();
        assert_eq!(adamw, "torch.optim.adamw.AdamW(betas=(0.9,0.999),weight_decay=0.01,eps=0.00000001)");
    }

    #[test]
    fn adafactor_has_its_own_rate_only_with_relative_step() {
        let mut adafactor = OptimizerSettings::new(OptimizerKind::Adafactor);
        assert_eq!(adafactor.rate_rule(), RateRule::Own);
        adafactor.set("relative_step", &yaml("False")).unwrap();
        assert_eq!(adafactor.rate_rule(), RateRule::Free);
        adafactor.set("warmup_init", &yaml("True")).unwrap();
        assert!(adafactor.check().unwrap_err().to_string().contains("relative_step: true"));
    }
}
