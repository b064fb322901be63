//! Folders of a BLIP captioner and a CLIP model that follow from their parameters' names, as tools/record_case/label.py
//! makes them.

use std::{
    collections::BTreeMap,
    fs,
    path::{Path, PathBuf},
    sync::OnceLock,
};

use lora_wgpu::weights::{OwnedTensor, SafetensorsFile};

use super::{
    synthetic::{values, write},
    topology::Parameter,
};

/// BERT's and BLIP's marks and unused tokens, which the recording script makes unlikely.
const UNUSED: usize = 100;
const BIAS: &str = "text_decoder.cls.predictions.bias";

/// What label.py recorded of `name`, `blip` or `clip`.
pub fn recorded(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(format!("tests/fixtures/label_{name}.safetensors"))
}

/// A folder with the BLIP captioner, written once in a test run.
pub fn blip() -> &'static Path {
    static FOLDER: OnceLock<PathBuf> = OnceLock::new();
    FOLDER.get_or_init(|| {
        let folder = model("blip");
        fs::write(folder.join("vocab.txt"), &header("blip")["vocabulary"]).expect("a writable folder");
        folder
    })
}

/// A folder with the CLIP model, written once in a test run.
pub fn clip() -> &'static Path {
    static FOLDER: OnceLock<PathBuf> = OnceLock::new();
    FOLDER.get_or_init(|| model("clip"))
}

/// The header of what was recorded.
pub fn header(name: &str) -> BTreeMap<String, String> {
    SafetensorsFile::open(&recorded(name)).expect("a fixture").metadata().clone()
}

fn model(name: &str) -> PathBuf {
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("label-{name}"));
    fs::create_dir_all(&folder).expect("a writable folder");
    let header = header(name);
    fs::write(folder.join("config.json"), &header["config"]).expect("a writable folder");
    let shapes: BTreeMap<String, Vec<usize>> = serde_json::from_str(&header["parameters"]).expect("names and shapes");
    let tensor = |(stored_name, shape): (String, Vec<usize>)| {
        let mut values = values(&Parameter {
            name: format!("{name}.{stored_name}"),
            shape: shape.clone(),
            stored_name: stored_name.clone(),
        });
        if stored_name == BIAS {
            values[..UNUSED].iter_mut().for_each(|value| *value -= 20.0);
        }
        OwnedTensor::f32(&stored_name, &values, &shape)
    };
    write(&folder.join("model.safetensors"), shapes.into_iter().map(tensor).collect());
    folder
}
