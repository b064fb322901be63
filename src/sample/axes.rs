//! The axes of a grid: `strength=0,0.8 prompt=@prompts.txt seed=1,2 lora=a,b`. The first goes along the columns, the
//! others, in all combinations, along the rows.

use std::path::Path;

use anyhow::{Context, Result, bail, ensure};

use crate::data::text_encoding::read_text;

use super::prompt::lora_tags::LoraTag;

/// What of a drawing a grid varies.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Variation {
    pub prompt: Option<String>,
    pub seed: Option<u64>,
    /// Strength of every LoRA of the prompt.
    pub strength: Option<f32>,
    /// Name of the prompt's LoRA.
    pub lora: Option<String>,
}

/// One axis: its values, each with its label.
#[derive(Clone, Debug)]
pub struct Axis {
    pub name: String,
    values: Vec<(String, Variation)>,
}

/// The cells of a grid.
pub struct Cells {
    pub columns: Vec<String>,
    pub rows: Vec<String>,
    /// Row by row.
    pub variations: Vec<Variation>,
}

impl Axis {
    const NAMES: &str = "strength, prompt, seed and lora";

    /// Reads `name=value,value`; `prompt=@FILE` takes the lines of a file.
    ///
    /// # Errors
    /// An unknown name, no values, a value that is no number, a file that cannot be read.
    pub fn parse(text: &str) -> Result<Self> {
        let (name, values) = text
            .split_once('=')
            .with_context(|| format!("--grid {text:?}: expected NAME=VALUE,VALUE with a name of {}", Self::NAMES))?;
        let values = match values.strip_prefix('@') {
            Some(path) => lines(Path::new(path))?,
            None => values.split(',').map(|value| value.trim().to_owned()).collect(),
        };
        ensure!(values.iter().any(|value| !value.is_empty()), "--grid {name}: there are no values");
        let values = values.into_iter().map(|value| variation(name, value)).collect::<Result<_>>()?;
        Ok(Self { name: name.to_owned(), values })
    }
}

fn lines(path: &Path) -> Result<Vec<String>> {
    let text = read_text(path).context("--grid")?.text;
    let lines = text.lines().map(str::trim).filter(|line| !line.is_empty() && !line.starts_with('#'));
    Ok(lines.map(str::to_owned).collect())
}

fn variation(axis: &str, value: String) -> Result<(String, Variation)> {
    let wrong = || format!("--grid {axis}: {value:?} is no number");
    let plain = Variation::default();
    Ok(match axis {
        "strength" => {
            let strength: f32 = value.parse().ok().filter(|x: &f32| x.is_finite()).with_context(wrong)?;
            (format!("strength {value}"), Variation { strength: Some(strength), ..plain })
        }
        "seed" => {
            let seed = value.parse().with_context(wrong)?;
            (format!("seed {value}"), Variation { seed: Some(seed), ..plain })
        }
        "prompt" => (value.clone(), Variation { prompt: Some(value), ..plain }),
        "lora" => (value.clone(), Variation { lora: Some(value), ..plain }),
        _ => bail!("--grid {axis}=…: there is no such axis; there are {}", Axis::NAMES),
    })
}

impl Cells {
    /// All combinations.
    ///
    /// # Errors
    /// The same axis twice.
    pub fn of(axes: &[Axis]) -> Result<Self> {
        for (index, axis) in axes.iter().enumerate() {
            let before = axes[..index].iter().any(|other| other.name == axis.name);
            ensure!(!before, "--grid {}=… is given twice; list all of its values in one", axis.name);
        }
        let (first, others) = axes.split_first().context("--grid needs an axis")?;
        let mut rows = vec![(String::new(), Variation::default())];
        for axis in others {
            rows = rows.iter().flat_map(|row| axis.values.iter().map(|value| combined(row, value))).collect();
        }
        let cell = |row: &(String, Variation), column| combined(row, column).1;
        Ok(Self {
            columns: first.values.iter().map(|(label, _)| label.clone()).collect(),
            variations: rows.iter().flat_map(|row| first.values.iter().map(|column| cell(row, column))).collect(),
            rows: rows.into_iter().map(|(label, _)| label).collect(),
        })
    }
}

/// Both together; they vary different things.
fn combined((label, one): &(String, Variation), (other_label, other): &(String, Variation)) -> (String, Variation) {
    let label = if label.is_empty() { other_label.clone() } else { format!("{label}, {other_label}") };
    let variation = Variation {
        prompt: one.prompt.clone().or_else(|| other.prompt.clone()),
        seed: one.seed.or(other.seed),
        strength: one.strength.or(other.strength),
        lora: one.lora.clone().or_else(|| other.lora.clone()),
    };
    (label, variation)
}

impl Variation {
    /// The LoRAs of a prompt as this cell has them.
    ///
    /// # Errors
    /// A name for the LoRA of a prompt that has several; a strength for a prompt that has none.
    pub fn vary(&self, mut tags: Vec<LoraTag>) -> Result<Vec<LoraTag>> {
        if let Some(name) = &self.lora {
            match &mut tags[..] {
                [] => tags.push(LoraTag { name: name.clone(), text_encoder: 1.0, unet: 1.0 }),
                [tag] => tag.name.clone_from(name),
                several => bail!("--grid lora=…: the prompt has {} LoRAs; it takes a prompt with one", several.len()),
            }
        }
        if let Some(strength) = self.strength {
            ensure!(!tags.is_empty(), "the strength is to vary, but the prompt has no <lora:name:1>");
            tags.iter_mut().for_each(|tag| (tag.text_encoder, tag.unet) = (strength, strength));
        }
        Ok(tags)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cells(axes: &[&str]) -> Result<Cells> {
        Cells::of(&axes.iter().map(|axis| Axis::parse(axis)).collect::<Result<Vec<_>>>()?)
    }

    #[test]
    fn the_first_axis_goes_along_the_columns() {
        let cells = cells(&["strength=0,0.8", "prompt=a rose,a bird", "seed=1,2"]).expect("a grid");
        assert_eq!(cells.columns, ["strength 0", "strength 0.8"]);
        assert_eq!(cells.rows, ["a rose, seed 1", "a rose, seed 2", "a bird, seed 1", "a bird, seed 2"]);
        let last = Variation { prompt: Some("a bird".to_owned()), seed: Some(2), strength: Some(0.8), lora: None };
        assert_eq!(cells.variations.len(), 8);
        assert_eq!(cells.variations[7], last);
    }

    #[test]
    fn an_axis_that_is_wrong_says_what_is_right() {
        let message = |axes: &[&str]| cells(axes).err().expect("an error").to_string();
        assert!(message(&["strenght=1"]).contains("strength, prompt, seed and lora"));
        assert!(message(&["strength"]).contains("NAME=VALUE"));
        assert!(message(&["seed=one"]).contains("\"one\" is no number"));
        assert!(message(&["seed="]).contains("no values"));
        assert!(message(&["seed=1", "seed=2"]).contains("twice"));
    }

    #[test]
    fn strengths_and_names_reach_the_tags() {
        let tag = |name: &str, strength| LoraTag { name: name.to_owned(), text_encoder: strength, unet: strength };
        let vary = |lora: Option<&str>, strength, tags| {
            Variation { lora: lora.map(str::to_owned), strength, ..Variation::default() }.vary(tags)
        };
        assert_eq!(vary(Some("b"), Some(0.5), vec![tag("a", 1.0)]).expect("fits"), [tag("b", 0.5)]);
        assert_eq!(vary(Some("b"), None, vec![]).expect("fits"), [tag("b", 1.0)]);
        assert!(vary(None, Some(0.5), vec![]).is_err());
        assert!(vary(Some("c"), None, vec![tag("a", 1.0), tag("b", 1.0)]).is_err());
    }
}
