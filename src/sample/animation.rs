//! Pictures between two: how a pattern grows with a LoRA's strength, or goes over into another.

use std::{
    fmt::{self, Display, Formatter},
    str::FromStr,
};

use anyhow::{Context, Result, bail, ensure};
use image::{
    Delay, DynamicImage, Frame, RgbImage,
    codecs::gif::{GifEncoder, Repeat},
};

/// What changes from the first frame to the last.
#[derive(Clone, Debug, PartialEq)]
pub enum Change {
    /// The strength of every LoRA, from and to.
    Strength(f32, f32),
    /// From the drawing's seed to this one.
    Seed(u64),
    /// From the drawing's prompt to this one.
    Prompt(String),
}

impl FromStr for Change {
    type Err = anyhow::Error;

    /// Reads `strength=0..1`, `seed=43` or `prompt=TEXT`.
    fn from_str(text: &str) -> Result<Self> {
        const FORMS: &str = "strength=0..1, seed=43 or prompt=TEXT";
        let wrong = || format!("--animate {text:?}: expected {FORMS}");
        let (name, value) = text.split_once('=').with_context(wrong)?;
        let strength = |text: &str| text.parse().ok().filter(|strength: &f32| strength.is_finite());
        Ok(match name {
            "strength" => {
                let (from, to) = value.split_once("..").with_context(wrong)?;
                Self::Strength(strength(from).with_context(wrong)?, strength(to).with_context(wrong)?)
            }
            "seed" => Self::Seed(value.parse().ok().with_context(wrong)?),
            "prompt" if !value.trim().is_empty() => Self::Prompt(value.to_owned()),
            _ => bail!(wrong()),
        })
    }
}

impl Display for Change {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        match self {
            Self::Strength(from, to) => write!(f, "strength={from}..{to}"),
            Self::Seed(seed) => write!(f, "seed={seed}"),
            Self::Prompt(prompt) => write!(f, "prompt={prompt}"),
        }
    }
}

/// How far each of `count` frames is, 0 to 1: slow at both ends (smoothstep).
pub fn eased(count: usize) -> impl Iterator<Item = f64> {
    (0..count).map(move |frame| {
        let t = frame as f64 / (count - 1).max(1) as f64;
        t * t * (3.0 - 2.0 * t)
    })
}

/// Spherical interpolation: from `a` to `b` along the arc between them, so that noise in between is as strong as noise
/// (Shoemake, "Animating Rotation with Quaternion Curves", 1985). A straight line where they point the same way.
pub fn slerp(a: &[f32], b: &[f32], t: f64) -> Vec<f32> {
    let dot = |a: &[f32], b: &[f32]| a.iter().zip(b).map(|(a, b)| f64::from(*a) * f64::from(*b)).sum::<f64>();
    let cosine = dot(a, b) / (dot(a, a) * dot(b, b)).sqrt();
    let (of_a, of_b) = match cosine {
        cosine if cosine.abs() < 0.9995 => {
            let angle = cosine.acos();
            (((1.0 - t) * angle).sin() / angle.sin(), (t * angle).sin() / angle.sin())
        }
        _ => (1.0 - t, t),
    };
    a.iter().zip(b).map(|(a, b)| (of_a * f64::from(*a) + of_b * f64::from(*b)) as f32).collect()
}

/// A GIF that repeats for ever, at `fps` frames a second. GIF knows 256 colours a frame.
///
/// # Errors
/// A picture that cannot be encoded.
pub fn gif(frames: Vec<RgbImage>, fps: u32) -> Result<Vec<u8>> {
    const SPEED: i32 = 10; // of the search for colours, as the encoder recommends
    let mut bytes = Vec::new();
    let mut encoder = GifEncoder::new_with_speed(&mut bytes, SPEED);
    encoder.set_repeat(Repeat::Infinite)?;
    let delay = Delay::from_numer_denom_ms(1000, fps);
    let frame = |picture| Frame::from_parts(DynamicImage::ImageRgb8(picture).into_rgba8(), 0, 0, delay);
    encoder.encode_frames(frames.into_iter().map(frame)).context("cannot encode the animation")?;
    drop(encoder);
    Ok(bytes)
}

/// An animated PNG that repeats for ever, at `fps` frames a second.
///
/// # Errors
/// A picture that cannot be encoded.
pub fn apng(frames: &[RgbImage], fps: u16) -> Result<Vec<u8>> {
    let first = frames.first().context("an animation needs frames")?;
    ensure!(frames.iter().all(|frame| frame.dimensions() == first.dimensions()), "frames of different sizes");
    let mut bytes = Vec::new();
    let mut encoder = png::Encoder::new(&mut bytes, first.width(), first.height());
    encoder.set_color(png::ColorType::Rgb);
    encoder.set_depth(png::BitDepth::Eight);
    encoder.set_animated(frames.len() as u32, 0)?;
    encoder.set_frame_delay(1, fps)?;
    let mut writer = encoder.write_header()?;
    frames.iter().try_for_each(|frame| writer.write_image_data(frame.as_raw()))?;
    writer.finish()?;
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;
    use image::{AnimationDecoder, Rgb, codecs::gif::GifDecoder, codecs::png::PngDecoder};
    use std::io::Cursor;

    #[test]
    fn changes_read_back() {
        for text in ["strength=0..1", "strength=-0.5..0.8", "seed=43", "prompt=a rose = red"] {
            assert_eq!(text.parse::<Change>().unwrap().to_string(), text);
        }
        for text in ["strength=1", "strength=a..b", "seed=x", "prompt=", "colour=1", "seed"] {
            let error = text.parse::<Change>().unwrap_err().to_string();
            assert!(error.contains("strength=0..1, seed=43 or prompt=TEXT"), "{error}");
        }
    }

    #[test]
    fn frames_begin_and_end_slowly() {
        let shares: Vec<f64> = eased(5).collect();
        assert_eq!((shares[0], shares[2], shares[4]), (0.0, 0.5, 1.0));
        assert!(shares[1] < 0.25 && shares[3] > 0.75);
        assert_eq!(eased(1).collect::<Vec<_>>(), [0.0]);
    }

    #[test]
    fn noise_on_the_way_is_as_strong() {
        let (a, b) = ([3.0, 0.0], [0.0, 3.0]);
        assert_eq!(slerp(&a, &b, 0.0), a);
        let middle = slerp(&a, &b, 0.5);
        assert!((middle[0].hypot(middle[1]) - 3.0).abs() < 1e-6 && middle[0] == middle[1], "{middle:?}");
        assert_eq!(slerp(&a, &[5.0, 0.0], 0.5), [4.0, 0.0]);
    }

    #[test]
    fn both_files_hold_every_frame() {
        let frames: Vec<RgbImage> = [10, 200].map(|level| RgbImage::from_pixel(8, 6, Rgb([level, 0, 90]))).to_vec();
        let gif = gif(frames.clone(), 8).unwrap();
        let read = GifDecoder::new(Cursor::new(gif)).unwrap().into_frames().collect_frames().unwrap();
        assert_eq!(read.len(), 2);
        assert_eq!(std::time::Duration::from(read[0].delay()).as_millis(), 120, "in hundredths of a second");
        let apng = apng(&frames, 8).unwrap();
        let read = PngDecoder::new(Cursor::new(apng)).unwrap().apng().unwrap().into_frames().collect_frames().unwrap();
        assert_eq!(read.len(), 2);
        assert_eq!(DynamicImage::ImageRgba8(read[1].clone().into_buffer()).into_rgb8(), frames[1]);
    }
}
