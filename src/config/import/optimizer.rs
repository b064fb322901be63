//! The optimizer with its arguments. Its name and arguments are read by the table of optimizers, and offered to the keys.

use super::{
    super::optimizers::{self, OptimizerSettings},
    findings::Fate,
    text,
    theirs::{Entry, Theirs},
    translation::{Setting, Translation},
};
use serde_yaml::{Mapping, Value};

/// Takes the optimizer out of sd-scripts' settings.
pub(super) fn translate(theirs: &mut Theirs, translation: &mut Translation) {
    let mut arguments = Vec::new();
    for list in ["optimizer_args", "optimizer_args_custom"] {
        arguments.extend(theirs.take(list).map(|entry| text::arguments(&entry.value)).unwrap_or_default());
    }
    let by_flag: Vec<_> = [("use_8bit_adam", "AdamW8bit"), ("use_lion_optimizer", "Lion")]
        .into_iter()
        .filter(|(flag, _)| theirs.take_flag(flag))
        .map(|(flag, name)| (flag.to_owned(), name.to_owned()))
        .collect();
    let named = theirs.take("optimizer_type").or_else(|| theirs.take("optimizer"));
    let named = named.and_then(|entry| Some((entry.spelled.clone(), entry.value.as_str()?.to_owned())));
    match named.or_else(|| by_flag.into_iter().next()) {
        Some((spelled, name)) => put(&spelled, &name, arguments, translation),
        None => put_arguments(OptimizerSettings::default(), arguments, translation),
    }
}

/// Puts an optimizer that was set under the name `spelled`.
pub(super) fn put(spelled: &str, name: &str, arguments: Vec<(String, Value)>, translation: &mut Translation) {
    let Some(settings) = OptimizerSettings::named(name) else {
        translation.put(Setting::from("optimizer_type", name, spelled));
        let why = format!("it is for {name}");
        return arguments.into_iter().for_each(|(name, value)| translation.leave_out(&name, value, &why));
    };
    let note = optimizers::note(&name.into()).unwrap_or_default();
    translation.put(Setting::from("optimizer_type", settings.name(), spelled).note(note));
    put_arguments(settings, arguments, translation);
}

/// Keeps the arguments that the optimizer takes.
fn put_arguments(mut settings: OptimizerSettings, arguments: Vec<(String, Value)>, translation: &mut Translation) {
    let mut kept = Mapping::new();
    for (name, value) in arguments {
        let alone = Value::Mapping(Mapping::from_iter([(Value::from(name.as_str()), value.clone())]));
        match settings.set(&name, &value) {
            Ok(()) if optimizers::note_arguments(&alone).is_some() => {
                translation.findings.add(Fate::NoEffect, name, "it says how that implementation computes");
            }
            Ok(()) => drop(kept.insert(name.into(), value)),
            Err(error) => translation.leave_out(&name, value, &format!("{}: {error:#}", settings.name())),
        }
    }
    if !kept.is_empty() {
        translation.put(Setting::from("optimizer_args", Value::Mapping(kept), "optimizer_args"));
    }
}

/// The optimizer as metadata name it: `module.Class(name=value,…)`.
pub(super) fn from_call(call: &str) -> (Entry, Vec<String>) {
    let (class, arguments) = call.trim().split_once('(').unwrap_or((call, ""));
    let known = OptimizerSettings::all().find(|known| known.python_call().starts_with(&format!("{class}(")));
    let name =
        known.map_or_else(|| class.rsplit('.').next().unwrap_or(class).to_owned(), |known| known.name().to_owned());
    let value = name.as_str().into();
    let entry = Entry { name: "optimizer_type".to_owned(), spelled: "ss_optimizer".to_owned(), value };
    (entry, split_arguments(arguments.trim_end_matches(')')))
}

/// `a=1,b=(0.9,0.99)` at the commas outside of brackets.
fn split_arguments(text: &str) -> Vec<String> {
    let mut parts = vec![String::new()];
    let mut depth = 0;
    for c in text.chars() {
        match c {
            '(' | '[' => depth += 1,
            ')' | ']' => depth -= 1,
            _ => {}
        }
        if c == ',' && depth == 0 {
            parts.push(String::new());
        } else {
            parts.last_mut().expect("starts with a part").push(c);
        }
    }
    parts.retain(|part| !part.trim().is_empty());
    parts
}
