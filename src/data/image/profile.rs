//! Colour profiles (ICC.1:2022): from what a picture's numbers mean to sRGB.

use std::sync::Arc;

use anyhow::{Result, anyhow, bail};
use moxcms::{ColorProfile, DataColorSpace, Layout, ProfileText, Transform16BitExecutor, TransformOptions};

use super::pixel::Channels;

/// How far, of 65535, a profile's colours may lie from sRGB's for it to count as sRGB: programs write sRGB with
/// slightly different primaries and curves, and no 8-bit level changes by more than one.
const SRGB_TOLERANCE: u16 = 257;
/// Levels per channel of the colours on which a profile is compared with sRGB.
const PROBES: u16 = 6;

/// A conversion of pixels to sRGB.
pub struct Conversion {
    /// The profile's own name, where it has one.
    pub name: Option<String>,
    transform: Arc<Transform16BitExecutor>,
    /// What the transform reads.
    reads: Channels,
}

impl Conversion {
    /// The conversion that `icc` asks for in a picture of `channels`; `None` where it is sRGB in effect.
    ///
    /// # Errors
    /// A profile that cannot be read, or that is made for another kind of picture.
    pub fn new(icc: &[u8], channels: Channels) -> Result<Option<Self>> {
        let profile = ColorProfile::new_from_slice(icc).map_err(|error| anyhow!("it is damaged: {error}"))?;
        let reads = channels_for(profile.color_space, channels)?;
        let layout = |channels| match channels {
            Channels::Grey => Layout::Gray,
            Channels::GreyAlpha => Layout::GrayAlpha,
            Channels::Rgb => Layout::Rgb,
            Channels::Rgba | Channels::Cmyk => Layout::Rgba,
        };
        let srgb = ColorProfile::new_srgb();
        let transform = profile
            .create_transform_16bit(layout(reads), &srgb, layout(rgb_like(reads)), TransformOptions::default())
            .map_err(|error| anyhow!("it describes no conversion: {error}"))?;
        let conversion = Self { name: name(&profile), transform, reads };
        Ok((!conversion.is_identity()?).then_some(conversion))
    }

    /// Converts a row of 16-bit levels; what comes out is RGB, or RGBA where there was transparency.
    pub fn apply(&self, levels: Vec<u16>, channels: Channels) -> Result<(Vec<u16>, Channels)> {
        let levels = if channels == self.reads { levels } else { grey_to_rgb(&levels, channels) };
        let converted = rgb_like(self.reads);
        let mut out = vec![0; levels.len() / self.reads.count() * converted.count()];
        self.transform.transform(&levels, &mut out).map_err(|error| anyhow!("its colour profile failed: {error}"))?;
        Ok((out, converted))
    }

    /// Whether a grid of colours comes out as it went in.
    fn is_identity(&self) -> Result<bool> {
        if !matches!(self.reads, Channels::Rgb | Channels::Rgba) {
            return Ok(false);
        }
        let level = |step: u16| step * (u16::MAX / (PROBES - 1));
        let grid = (0..PROBES.pow(3)).map(|index| [index, index / PROBES, index / PROBES.pow(2)]);
        let colours = grid.map(|steps| steps.map(|step| level(step % PROBES)));
        let alpha = (self.reads == Channels::Rgba).then_some(u16::MAX);
        let levels: Vec<u16> = colours.flat_map(|colour| colour.into_iter().chain(alpha)).collect();
        let (converted, _) = self.apply(levels.clone(), self.reads)?;
        Ok(levels.iter().zip(&converted).all(|(before, after)| before.abs_diff(*after) <= SRGB_TOLERANCE))
    }
}

/// In what form a picture's pixels enter a profile of `space`: grey pictures may carry a profile for RGB.
fn channels_for(space: DataColorSpace, channels: Channels) -> Result<Channels> {
    use Channels::{Cmyk, Grey, GreyAlpha, Rgb, Rgba};
    Ok(match (space, channels) {
        (DataColorSpace::Rgb, Grey | Rgb) => Rgb,
        (DataColorSpace::Rgb, GreyAlpha | Rgba) => Rgba,
        (DataColorSpace::Gray, Grey | GreyAlpha) | (DataColorSpace::Cmyk, Cmyk) => channels,
        _ => bail!("it is made for {space:?} pictures, and this one is {channels:?}"),
    })
}

fn rgb_like(channels: Channels) -> Channels {
    match channels {
        Channels::GreyAlpha | Channels::Rgba => Channels::Rgba,
        Channels::Grey | Channels::Rgb | Channels::Cmyk => Channels::Rgb,
    }
}

fn grey_to_rgb(levels: &[u16], channels: Channels) -> Vec<u16> {
    let pixels = levels.chunks_exact(channels.count());
    pixels.flat_map(|pixel| [pixel[0]; 3].into_iter().chain(pixel.get(1).copied())).collect()
}

fn name(profile: &ColorProfile) -> Option<String> {
    let name = match profile.description.as_ref()? {
        ProfileText::PlainString(text) => text.clone(),
        ProfileText::Localizable(texts) => texts.first()?.value.clone(),
        ProfileText::Description(text) => text.ascii_string.clone(),
    };
    let name: String = name.chars().filter(|sign| !sign.is_control()).collect();
    (!name.trim().is_empty()).then(|| name.trim().to_owned())
}
