//! The report of a run: one HTML page that needs no other file, no script and no network.

mod curve;

use std::{
    fs,
    io::Cursor,
    path::{Path, PathBuf},
};

use anyhow::{Context, Result};
use base64::{Engine, engine::general_purpose::STANDARD as BASE64};
use image::codecs::jpeg::JpegEncoder;

use crate::weights::write_atomically;

use super::metrics::History;
use curve::{Series, svg};

const PAGE: &str = include_str!("page.html");
/// Of the previews on the page; the PNG files stay as they are.
const JPEG_QUALITY: u8 = 85;

/// What a report shows.
pub(in crate::train) struct Report<'a> {
    pub name: &'a str,
    /// How the run ended, a sentence.
    pub outcome: String,
    pub prompt: String,
    /// Previews with the step they show, in order.
    pub previews: &'a [(u32, PathBuf)],
    pub history: &'a History,
    /// (label, label in Chinese, value).
    pub facts: Vec<(&'static str, &'static str, String)>,
    pub sheet: String,
    pub configuration: &'a str,
}

impl Report<'_> {
    /// Writes the page.
    ///
    /// # Errors
    /// Trouble with the disk, or with a preview that is gone.
    pub fn write(&self, path: &Path) -> Result<()> {
        let page = self.page()?;
        write_atomically(path, |out| out.write_all(page.as_bytes()))
    }

    fn page(&self) -> Result<String> {
        let held_out = !self.history.validation.is_empty();
        let (held_name, held_name_zh) = match held_out {
            true => ("the pictures held out", "留出的图片"),
            false => ("pictures and noise fixed at the start", "开始时固定的图片和噪声"),
        };
        let fields = [
            ("name", escaped(self.name)),
            ("outcome", escaped(&self.outcome)),
            ("prompt", escaped(&self.prompt)),
            ("previews", self.previews()?),
            ("held_loss", self.held_loss()),
            ("loss", self.loss()),
            ("held_name", held_name.to_owned()),
            ("held_name_zh", held_name_zh.to_owned()),
            ("rate", self.rate()),
            ("facts", self.facts()),
            ("sheet", escaped(&self.sheet)),
            ("configuration", escaped(self.configuration)),
            ("version", env!("CARGO_PKG_VERSION").to_owned()),
        ];
        Ok(filled(PAGE, &fields))
    }

    /// The newest first: it is what people look for.
    fn previews(&self) -> Result<String> {
        if self.previews.is_empty() {
            return Ok(String::new());
        }
        let figure = |(step, path): &(u32, PathBuf)| {
            let picture = jpeg(path)?;
            Ok(format!(
                "<figure><img alt=\"step {step}\" src=\"data:image/jpeg;base64,{picture}\">\
                 <figcaption>after {step} steps <span lang=\"zh\">第 {step} 步之后</span></figcaption></figure>\n"
            ))
        };
        let figures = self.previews.iter().rev().map(figure).collect::<Result<String>>()?;
        Ok(format!("<h2>Previews <small lang=\"zh\">样图</small></h2>\n{figures}"))
    }

    fn held_loss(&self) -> String {
        let History { probe, validation, .. } = self.history;
        let held = if validation.is_empty() { probe } else { validation };
        let points = held.iter().map(|&(step, loss)| (f64::from(step), loss)).collect();
        svg(&[Series { class: "other", points, dots: true }])
    }

    fn loss(&self) -> String {
        let steps = &self.history.steps;
        let each = steps.iter().map(|(record, _)| (f64::from(record.step), record.loss)).collect();
        let mean = steps.iter().map(|(record, average)| (f64::from(record.step), *average)).collect();
        svg(&[Series { class: "fine", points: each, dots: false }, Series { class: "main", points: mean, dots: false }])
    }

    fn rate(&self) -> String {
        let rates = self.history.steps.iter().map(|(record, _)| (f64::from(record.step), record.lr)).collect();
        svg(&[Series { class: "main", points: rates, dots: false }])
    }

    fn facts(&self) -> String {
        let line = |(label, chinese, value): &(&str, &str, String)| {
            format!("<dt>{label} <small lang=\"zh\">{chinese}</small></dt><dd>{}</dd>", escaped(value))
        };
        self.facts.iter().map(line).collect::<Vec<_>>().join("\n")
    }
}

/// A PNG file as JPEG, in base64.
fn jpeg(path: &Path) -> Result<String> {
    let bytes = fs::read(path).with_context(|| format!("cannot read {}", path.display()))?;
    let picture = image::load_from_memory(&bytes).with_context(|| format!("{} is no picture", path.display()))?;
    let mut jpeg = Cursor::new(Vec::new());
    picture.into_rgb8().write_with_encoder(JpegEncoder::new_with_quality(&mut jpeg, JPEG_QUALITY))?;
    Ok(BASE64.encode(jpeg.into_inner()))
}

/// Text as HTML.
fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;")
}

/// `template` with each `{{name}}` replaced, in one pass: what a value holds is never read as a name.
fn filled(template: &str, fields: &[(&str, String)]) -> String {
    let mut out = String::with_capacity(template.len());
    let mut rest = template;
    while let Some((before, after)) = rest.split_once("{{") {
        let (name, behind) = after.split_once("}}").expect("the template closes what it opens");
        let (_, value) = fields.iter().find(|(known, _)| *known == name).expect("the template knows the fields");
        out += before;
        out += value;
        rest = behind;
    }
    out + rest
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::train::events::StepRecord;

    #[test]
    fn a_page_holds_everything_and_nothing_of_the_users_is_markup() {
        let folder = tempfile::tempdir().unwrap();
        let preview = folder.path().join("p.png");
        image::RgbImage::from_pixel(4, 4, image::Rgb([200, 30, 30])).save(&preview).unwrap();
        let record =
            |step, loss| StepRecord { step, epoch: 1, loss, lr: 1e-4, grad_norm: 1.0, seconds: 1.0, images: 1 };
        let history = History {
            steps: vec![(record(1, 0.5), 0.5), (record(2, 0.25), 0.375)],
            probe: vec![(0, 0.5), (2, 0.25)],
            validation: Vec::new(),
        };
        let report = Report {
            name: "苏绣 <b>",
            outcome: "2 steps".into(),
            prompt: "{{name}} <lora:x:0.8>".into(),
            previews: &[(2, preview)],
            history: &history,
            facts: vec![("rank", "秩", "8".into())],
            sheet: "24 pictures & more".into(),
            configuration: "seed: 1",
        };
        let path = folder.path().join("report.html");
        report.write(&path).unwrap();
        let page = fs::read_to_string(&path).unwrap();
        for part in [
            "苏绣 &lt;b&gt;",
            "{{name}} &lt;lora:x:0.8&gt;",
            "data:image/jpeg;base64,/9j/",
            "after 2 steps",
            "&amp; more",
        ] {
            assert!(page.contains(part), "{part}");
        }
        assert_eq!(page.matches("<svg").count(), 3);
        assert!(!page.contains("<script") && !page.contains("http"), "the page is self-contained");
    }
}
