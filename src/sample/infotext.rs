//! The text in which A1111's WebUI, and what follows it, keeps a picture's settings.

use std::fmt;

use crate::size::Size;

const VERSION: &str = concat!("lora-wgpu ", env!("CARGO_PKG_VERSION"));

/// The second pass of a picture that is drawn small and then larger.
#[derive(Debug, Clone, PartialEq)]
pub struct Hires {
    /// How many times larger.
    pub upscale: f64,
    /// Steps, if not those of the first pass.
    pub steps: Option<u32>,
    /// The method's name, as A1111 lists it, such as `Latent`.
    pub upscaler: String,
}

/// How a picture was made. [`Display`](fmt::Display) writes A1111's text, with its keys in its order, and those that
/// it leaves out at their defaults left out.
#[derive(Debug, Clone, PartialEq)]
pub struct Infotext {
    /// As the user wrote it, with its `<lora:…>` tags.
    pub prompt: String,
    pub negative_prompt: String,
    pub steps: u32,
    /// A1111's name of it, such as `Euler a`.
    pub sampler: String,
    /// The noise schedule's name, such as `Automatic`.
    pub schedule: String,
    pub cfg_scale: f32,
    pub seed: u64,
    pub size: Size,
    /// The first ten hex digits of the checkpoint's SHA-256.
    pub model_hash: Option<String>,
    /// The checkpoint's file name without extension.
    pub model: String,
    /// Of img2img, and of the second pass.
    pub denoising_strength: Option<f64>,
    /// 1 is none.
    pub clip_skip: u32,
    /// Where the noise is not that of A1111's GPU generator: `CPU` or `NV`.
    pub rng: Option<String>,
    pub hires: Option<Hires>,
    /// Name and the first twelve hex digits of the file's `sshs_model_hash`.
    pub lora_hashes: Vec<(String, String)>,
    /// Whether the shorter of prompt and negative prompt got empty chunks.
    pub padded: bool,
}

impl fmt::Display for Infotext {
    fn fmt(&self, out: &mut fmt::Formatter) -> fmt::Result {
        let settings: Vec<String> =
            self.settings().into_iter().map(|(key, value)| format!("{key}: {}", quoted(&value))).collect();
        let mut text = self.prompt.clone();
        if !self.negative_prompt.is_empty() {
            text += &format!("\nNegative prompt: {}", self.negative_prompt);
        }
        text += &format!("\n{}", settings.join(", "));
        out.write_str(text.trim())
    }
}

impl Infotext {
    fn settings(&self) -> Vec<(&'static str, String)> {
        let hires = self.hires.as_ref();
        [
            ("Steps", Some(self.steps.to_string())),
            ("Sampler", Some(self.sampler.clone())),
            ("Schedule type", Some(self.schedule.clone())),
            ("CFG scale", Some(self.cfg_scale.to_string())),
            ("Seed", Some(self.seed.to_string())),
            ("Size", Some(format!("{}x{}", self.size.width, self.size.height))),
            ("Model hash", self.model_hash.clone()),
            ("Model", Some(self.model.clone())),
            ("Denoising strength", self.denoising_strength.map(|strength| strength.to_string())),
            ("Clip skip", (self.clip_skip > 1).then(|| self.clip_skip.to_string())),
            ("RNG", self.rng.clone()),
            ("Hires upscale", hires.map(|hires| hires.upscale.to_string())),
            ("Hires steps", hires.and_then(|hires| hires.steps).map(|steps| steps.to_string())),
            ("Hires upscaler", hires.map(|hires| hires.upscaler.clone())),
            ("Lora hashes", self.lora_hashes()),
            ("Pad conds", self.padded.then(|| "True".to_owned())),
            ("Version", Some(VERSION.to_owned())),
        ]
        .into_iter()
        .filter_map(|(key, value)| Some((key, value?)))
        .collect()
    }

    /// `name: hash, name: hash`, with names that cannot be taken for two.
    fn lora_hashes(&self) -> Option<String> {
        let pairs: Vec<String> =
            self.lora_hashes.iter().map(|(name, hash)| format!("{}: {hash}", name.replace([':', ','], ""))).collect();
        (!pairs.is_empty()).then(|| pairs.join(", "))
    }
}

/// A value as it stands, or as a JSON string where it could be taken for more than one.
fn quoted(value: &str) -> String {
    if value.contains([',', ':', '\n']) { serde_json::Value::from(value).to_string() } else { value.to_owned() }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn plain() -> Infotext {
        Infotext {
            prompt: "a cat <lora:suzhou:0.8>".into(),
            negative_prompt: String::new(),
            steps: 20,
            sampler: "Euler a".into(),
            schedule: "Automatic".into(),
            cfg_scale: 7.0,
            seed: 42,
            size: Size::new(512, 768),
            model_hash: None,
            model: "v1-5".into(),
            denoising_strength: None,
            clip_skip: 1,
            rng: None,
            hires: None,
            lora_hashes: vec![],
            padded: false,
        }
    }

    #[test]
    fn defaults_are_left_out() {
        let settings = format!(
            "Steps: 20, Sampler: Euler a, Schedule type: Automatic, CFG scale: 7, Seed: 42, Size: 512x768, Model: v1-5, \
             Version: {VERSION}"
        );
        assert_eq!(plain().to_string(), format!("a cat <lora:suzhou:0.8>\n{settings}"));
        assert_eq!(Infotext { prompt: String::new(), ..plain() }.to_string(), settings);
    }

    #[test]
    fn all_keys_stand_in_a1111s_order() {
        let text = Infotext {
            prompt: "牡丹,\n\"silk\"".into(),
            negative_prompt: "blurry: bad, hands".into(),
            cfg_scale: 7.5,
            model_hash: Some("6ce0161689".into()),
            model: "a, \"b\": 牡丹".into(),
            denoising_strength: Some(0.7),
            clip_skip: 2,
            rng: Some("CPU".into()),
            hires: Some(Hires { upscale: 1.5, steps: Some(10), upscaler: "Latent".into() }),
            lora_hashes: vec![("suzhou: a".into(), "0123456789ab".into()), ("b".into(), "cdef01234567".into())],
            padded: true,
            ..plain()
        };
        let expected = "牡丹,\n\"silk\"\nNegative prompt: blurry: bad, hands\nSteps: 20, Sampler: Euler a, \
             Schedule type: Automatic, CFG scale: 7.5, Seed: 42, Size: 512x768, Model hash: 6ce0161689, \
             Model: \"a, \\\"b\\\": 牡丹\", Denoising strength: 0.7, Clip skip: 2, RNG: CPU, Hires upscale: 1.5, \
             Hires steps: 10, Hires upscaler: Latent, Lora hashes: \"suzhou a: 0123456789ab, b: cdef01234567\", \
             Pad conds: True, Version: ";
        assert_eq!(text.to_string(), format!("{expected}{VERSION}"));
    }
}
