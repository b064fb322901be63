//! The resolved configuration as YAML: every key, with a comment where the value is not the file's own.

use super::{keys, train_config::TrainConfig};

/// Every key that has a field, with its value. `comment` says where a value came from; it gives nothing for one written
/// in the file.
pub(super) fn to_yaml(config: &TrainConfig, comment: impl Fn(&str) -> Option<String>) -> String {
    let mut yaml = String::new();
    for key in keys::settings().filter(|key| key.kind().is_some()) {
        let line = format!("{}: {}", key.name, key.show(config));
        match comment(key.name) {
            Some(comment) => yaml += &format!("{line:<48}  # {comment}\n"),
            None => yaml += &format!("{line}\n"),
        }
    }
    yaml
}
