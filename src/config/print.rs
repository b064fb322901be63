//! The resolved configuration as YAML: every key, with a comment where the value is not the file's own.

use super::{key::Key, keys, train_config::TrainConfig};

/// Every key that has a field, with its value. `comment` says where a value came from; it gives nothing for one written
/// in the file.
pub(super) fn to_yaml(config: &TrainConfig, comment: impl Fn(&Key) -> Option<String>) -> String {
    let mut yaml = String::new();
    for key in keys::settings().filter(|key| key.kind().is_some()) {
        let line = format!("{}: {}", key.name, key.show(config));
        match comment(key) {
            Some(comment) => yaml += &format!("{line:<48}  # {comment}\n"),
            None => yaml += &format!("{line}\n"),
        }
    }
    yaml
}
