//! A picture file with its header read: everything is checked that can be before a pixel is decoded.

use std::fs::{self, File};
use std::io::{BufRead, BufReader, Cursor, Read, Seek};
use std::path::Path;

use anyhow::{Context, Result, anyhow, bail, ensure};
use image::metadata::Orientation;
use image::{ExtendedColorType, ImageDecoder, ImageError, ImageFormat, ImageReader, Limits};
use tiff::decoder::{Decoder as TiffDecoder, ifd::Value};
use tiff::tags::Tag;

use super::container::{self, Claims};
use super::inks;
use super::jpeg;
use super::notice::Notice;
use super::pixel::{Channels, Depth, PixelType};
use super::profile::Conversion;
use super::raster::Raster;
use crate::{data::foreign, size::Size};

/// Memory that one picture's samples may take: 200 megapixels of the deepest common kind, RGBA with 16 bits. Pictures
/// are decoded one after the other, so this bounds the run as well; a decoder may need as much again for itself.
pub const MAX_DECODED_BYTES: u64 = 1_600_000_000;

const UNREADABLE: &str = "it cannot be read";
const REMEDY: &str = "save or copy it again, or take it out of the folder";

/// How much of a file is looked at to tell its format: an SVG may open with comments.
const HEAD: usize = 1024;

/// What a picture's header says.
pub struct Header {
    /// As stored, before it is turned upright.
    pub size: Size,
    pub orientation: Orientation,
    /// How its colours become sRGB, where they are not.
    pub conversion: Option<Conversion>,
    pub notices: Vec<Notice>,
    pixel: PixelType,
}

/// An opened picture.
pub struct Source {
    pub header: Header,
    reader: Reader,
}

/// Who decodes the pixels.
enum Reader {
    Library(Box<dyn ImageDecoder>),
    JpegInks {
        bytes: Vec<u8>,
        inverted: bool,
    },
    /// TIFF without planes: the image crate would hold the picture twice, and give inks only as RGB.
    Tiff(Box<TiffDecoder<BufReader<File>>>),
}

impl Source {
    /// Opens the picture at `path` and reads its header.
    ///
    /// # Errors
    /// A file that cannot be read, is no picture of a known format, is damaged as far as the header tells, or would
    /// take more than [`MAX_DECODED_BYTES`].
    pub fn open(path: &Path) -> Result<Self> {
        let mut file = reader(path)?;
        let mut head = Vec::with_capacity(HEAD);
        file.by_ref().take(HEAD as u64).read_to_end(&mut head).context(UNREADABLE)?;
        match format_of(&head)? {
            ImageFormat::Jpeg => Self::open_jpeg(fs::read(path).context(UNREADABLE)?),
            ImageFormat::Tiff => Self::open_tiff(path),
            format => {
                let claims = container::claims(file, format).map_err(|error| damaged(&error))?;
                Self::from_library(library_decoder(reader(path)?, format)?, &claims)
            }
        }
    }

    fn open_jpeg(bytes: Vec<u8>) -> Result<Self> {
        // The decoder fills what is missing with grey and says nothing.
        ensure!(jpeg::is_complete(&bytes), "the file is cut short; {REMEDY}");
        let segments = jpeg::header(&bytes);
        let claims = Claims { animated: false, profile: segments.has_profile };
        if segments.components == 4 {
            let mut decoder = library_decoder(Cursor::new(&bytes), ImageFormat::Jpeg)?;
            let profile = decoder.icc_profile().map_err(explain)?;
            let header = Header::read(&mut *decoder, inks::JPEG_INKS, profile, &claims)?;
            drop(decoder);
            return Ok(Self { header, reader: Reader::JpegInks { bytes, inverted: segments.adobe } });
        }
        Self::from_library(library_decoder(Cursor::new(bytes), ImageFormat::Jpeg)?, &claims)
    }

    fn from_library(mut decoder: Box<dyn ImageDecoder>, claims: &Claims) -> Result<Self> {
        let pixel = pixel_of(&*decoder)?;
        let profile = decoder.icc_profile().map_err(explain)?;
        let header = Header::read(&mut *decoder, pixel, profile, claims)?;
        Ok(Self { header, reader: Reader::Library(decoder) })
    }

    fn open_tiff(path: &Path) -> Result<Self> {
        let mut library = library_decoder(reader(path)?, ImageFormat::Tiff)?;
        let pixel = match library.original_color_type() {
            ExtendedColorType::Cmyk8 => PixelType::new(Channels::Cmyk, Depth::Eight),
            ExtendedColorType::Cmyk16 => PixelType::new(Channels::Cmyk, Depth::Sixteen),
            _ => pixel_of(&*library)?,
        };
        let mut tiff = TiffDecoder::new(reader(path)?).map_err(|error| damaged(&error))?.with_limits(tiff_limits());
        // The image crate 0.25.10 loses a TIFF's profile once its limits are set.
        let profile = tiff.find_tag(Tag::IccProfile).and_then(|tag| tag.map(Value::into_u8_vec).transpose());
        let claims = Claims { animated: false, profile: !matches!(profile, Ok(None)) };
        let mut header = Header::read(&mut *library, pixel, profile.unwrap_or_default(), &claims)?;
        header.notices.extend(tiff.more_images().then_some(Notice::SeveralPages));
        let layout = tiff.image_buffer_layout().map_err(|error| damaged(&error))?;
        if layout.planes == 1 && layout.complete_len == header.bytes() {
            return Ok(Self { header, reader: Reader::Tiff(Box::new(tiff)) });
        }
        ensure!(pixel.channels != Channels::Cmyk, "its inks lie in a plane each, which is not read: save it in RGB");
        Ok(Self { header, reader: Reader::Library(library) })
    }

    /// Decodes the pixels.
    ///
    /// # Errors
    /// Damaged data, or memory that the system does not have.
    pub fn read(self) -> Result<(Header, Raster)> {
        let Self { header, reader } = self;
        let samples = match reader {
            Reader::JpegInks { bytes, inverted } => inks::read_jpeg(&bytes, inverted)?,
            Reader::Library(decoder) => {
                let mut samples = room_for(header.bytes())?;
                decoder.read_image_boxed(&mut samples).map_err(explain)?;
                samples
            }
            Reader::Tiff(mut decoder) => {
                let mut samples = room_for(header.bytes())?;
                decoder.read_image_bytes(&mut samples).map_err(|error| damaged(&error))?;
                samples
            }
        };
        let (size, pixel) = (header.size, header.pixel);
        Ok((header, Raster { size, pixel, samples }))
    }
}

impl Header {
    fn read(
        decoder: &mut dyn ImageDecoder,
        pixel: PixelType,
        profile: Option<Vec<u8>>,
        claims: &Claims,
    ) -> Result<Self> {
        let size = Size::from(decoder.dimensions());
        check_size(size, pixel)?;
        let orientation = decoder.orientation().map_err(explain)?;
        let (conversion, colour) = colours(profile, claims.profile, pixel.channels);
        let depth = match pixel.depth {
            Depth::Eight => None,
            Depth::Sixteen => Some(Notice::SixteenBits),
            Depth::Float => Some(Notice::FloatingPoint),
        };
        let notices = depth.into_iter().chain(claims.animated.then_some(Notice::Animated)).chain(colour).collect();
        Ok(Self { size, orientation, conversion, notices, pixel })
    }

    pub fn has_alpha(&self) -> bool {
        self.pixel.channels.has_alpha()
    }

    pub fn has_inks(&self) -> bool {
        self.pixel.channels == Channels::Cmyk
    }

    /// Bytes of all samples; [`check_size`] has bounded them.
    fn bytes(&self) -> usize {
        self.size.area() * self.pixel.bytes()
    }
}

/// The picture's conversion to sRGB, and what there is to say about its colours.
fn colours(profile: Option<Vec<u8>>, claimed: bool, channels: Channels) -> (Option<Conversion>, Vec<Notice>) {
    let inks = channels == Channels::Cmyk;
    let plain = || inks.then_some(Notice::PlainInks);
    let broken = |reason: String| (None, [Notice::BrokenProfile(reason)].into_iter().chain(plain()).collect());
    match profile.as_deref().map(|profile| Conversion::new(profile, channels)) {
        None if claimed => broken("it cannot be unpacked".into()),
        None | Some(Ok(None)) => (None, plain().into_iter().collect()),
        Some(Ok(Some(conversion))) => {
            let notice = if inks { Notice::InksByProfile } else { Notice::Profile(conversion.name.clone()) };
            (Some(conversion), vec![notice])
        }
        Some(Err(error)) => broken(format!("{error:#}")),
    }
}

fn check_size(size: Size, pixel: PixelType) -> Result<()> {
    ensure!(size.width > 0 && size.height > 0, "the picture has no pixels ({size})");
    let pixels = size.width as u64 * size.height as u64;
    let bytes = pixels * pixel.bytes().max(3) as u64;
    let (mega, giga) = (|count: u64| count as f64 * 1e-6, |count: u64| count as f64 * 1e-9);
    ensure!(
        bytes <= MAX_DECODED_BYTES,
        "it has {:.0} megapixels ({size}), {:.1} GB once decoded, and one picture may take {:.1} GB: scale \
         it down, for instance to 4096 pixels; pictures are trained at a fraction of that",
        mega(pixels),
        giga(bytes),
        giga(MAX_DECODED_BYTES)
    );
    Ok(())
}

/// Zeros for a decoder to fill. The system may refuse them, which must not end the program without a word.
fn room_for(bytes: usize) -> Result<Vec<u8>> {
    let mut room = Vec::new();
    room.try_reserve_exact(bytes).map_err(|_| {
        let needed = bytes as f64 * 1e-9;
        anyhow!("the system has no {needed:.1} GB of memory left to decode it: close programs, or scale it down")
    })?;
    room.resize(bytes, 0);
    Ok(room)
}

fn reader(path: &Path) -> Result<BufReader<File>> {
    Ok(BufReader::new(File::open(path).context(UNREADABLE)?))
}

fn library_decoder<'a>(content: impl BufRead + Seek + 'a, format: ImageFormat) -> Result<Box<dyn ImageDecoder + 'a>> {
    let mut limits = Limits::no_limits();
    limits.max_alloc = Some(2 * MAX_DECODED_BYTES);
    let mut reader = ImageReader::with_format(content, format);
    reader.limits(limits);
    Ok(Box::new(reader.into_decoder().map_err(explain)?))
}

fn tiff_limits() -> tiff::decoder::Limits {
    let mut limits = tiff::decoder::Limits::default();
    let most = usize::try_from(MAX_DECODED_BYTES).unwrap_or(usize::MAX);
    (limits.decoding_buffer_size, limits.intermediate_buffer_size, limits.ifd_value_size) = (most, most, most);
    limits
}

fn pixel_of(decoder: &dyn ImageDecoder) -> Result<PixelType> {
    let color = decoder.color_type();
    PixelType::of(color).with_context(|| format!("its pixels are {color:?}, which is not read: save it as PNG"))
}

fn format_of(head: &[u8]) -> Result<ImageFormat> {
    match image::guess_format(head) {
        Ok(format) if format.reading_enabled() && foreign::by_content(head).is_none() => Ok(format),
        _ if head.is_empty() => bail!("the file is empty; {REMEDY}"),
        _ => match foreign::by_content(head) {
            Some(format) => bail!("it is {}, which is not read: {}", format.name, format.remedy),
            None => bail!("its content is no PNG, JPEG, WebP, BMP, TIFF or GIF picture: convert it to PNG or JPEG"),
        },
    }
}

/// What stands before an error about the picture at `path`.
pub fn unusable(path: &Path) -> String {
    format!("cannot use the picture {}", path.display())
}

fn explain(error: ImageError) -> anyhow::Error {
    match error {
        ImageError::Unsupported(kind) => {
            anyhow!("it is of a kind that is not read ({kind}): save it as an ordinary PNG or JPEG, in RGB")
        }
        ImageError::Limits(limit) => {
            anyhow!("it is too large to decode ({limit}): scale it down, for instance to 4096 pixels")
        }
        other => damaged(&other),
    }
}

fn damaged(error: &dyn std::fmt::Display) -> anyhow::Error {
    anyhow!("the file is damaged or cut short ({error}); {REMEDY}")
}
