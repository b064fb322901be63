//! Pictures: read with these colours and these words, or refused with these.

use std::{collections::BTreeMap, fs, path::Path};

use image::{DynamicImage, GrayImage, ImageBuffer, ImageFormat, Luma, Rgb, Rgba};
use lora_wgpu::{
    data::{
        dataset::Example,
        image::{decode, inspect},
        sheet::DataSheet,
    },
    size::Size,
};
use moxcms::ColorProfile;

use super::{folder_with, holds, make};
use make::{PATCHES, Patches};

enum Outcome {
    /// Colours of the four patches; parts of the lines that are said of the picture, as many lines as parts.
    Read(Patches, &'static [&'static str]),
    /// Parts of the error.
    Refused(&'static [&'static str]),
}

use Outcome::{Read, Refused};

/// What the file is called, its content, and what must happen.
type Case = (&'static str, Vec<u8>, Outcome);

/// JPEG at its best quality is off by one, and so is arithmetic in fixed point; where a profile is a table, its
/// interpolation is another than littleCMS's.
const TOLERANCE: u8 = 2;

const CONVERTED: &str = "with a colour profile other than sRGB, converted to sRGB (1)";
const DEEP: &str = "with 16 bits per channel, reduced to 8 (1)";
const FLOAT: &str = "in floating point, cut to 0 to 1 and reduced to 8 bits (1)";
const UNUSABLE_PROFILE: &str = "whose colour profile cannot be used, taken as sRGB (1)";
const INKS: &str = "in CMYK, converted by their colour profile (1)";
const PLAIN_INKS: &str = "in CMYK without a usable colour profile";
const MOVES: &str = "that move, of which the first frame alone is used (1)";
const PAGES: &str = "with several pages, of which the first alone is used (1)";
const LIMIT: &str = "one picture may take 1.6 GB";

fn fixture(name: &str) -> Vec<u8> {
    fs::read(Path::new("tests/fixtures/pictures").join(name)).expect("a committed file")
}

/// Recorded pictures, whose colours `expected.json` holds, and what is said of each.
const RECORDED: [(&str, &[&str]); 20] = [
    ("adobe_rgb.png", &[CONVERTED]),
    ("adobe_rgb.jpg", &[CONVERTED]),
    ("adobe_rgb.webp", &[CONVERTED]),
    ("adobe_rgb.tif", &[CONVERTED]),
    ("wide_alpha.png", &[CONVERTED]),
    ("grey.png", &[CONVERTED]),
    ("grey.jpg", &[CONVERTED]),
    ("inks.jpg", &[INKS]),
    ("inks.tif", &[INKS]),
    ("plain_inks.jpg", &[PLAIN_INKS]),
    ("plain_inks.tif", &[PLAIN_INKS]),
    ("ycck.jpg", &[PLAIN_INKS]),
    ("palette.png", &[]),
    ("bilevel.tif", &[]),
    ("progressive.jpg", &[]),
    ("moving.gif", &[MOVES]),
    ("moving.webp", &[MOVES]),
    ("moving.png", &[MOVES]),
    ("pages.tif", &[PAGES]),
    ("jpeg.tif", &[]),
];

fn recorded() -> Vec<Case> {
    let expected: BTreeMap<String, Patches> =
        serde_json::from_slice(&fixture("expected.json")).expect("four colours per picture");
    RECORDED.iter().map(|&(name, said)| (name, fixture(name), Read(expected[name], said))).collect()
}

fn profiles() -> Vec<Case> {
    let (rgb, inks) = (fixture("adobe_rgb.icc"), fixture("inks.icc"));
    let srgb = ColorProfile::new_srgb().encode().expect("a known profile");
    let grey = |level| GrayImage::from_pixel(16, 16, Luma([level]));
    let in_pieces = |segments: &[_]| make::with_segments(&make::jpeg(), segments);
    let converted: Patches = [[233, 35, 35], [0, 161, 85], [57, 90, 204], [129, 129, 129]];
    let deep = DynamicImage::ImageRgb8(make::patches()).into_rgb16();
    let plain = make::encoded(make::patches(), ImageFormat::Png);
    vec![
        ("srgb_by_name.png", make::png_with_profile(make::patches(), &srgb), Read(PATCHES, &[])),
        ("three_pieces.jpg", in_pieces(&make::profile_segments(&rgb, 3)), Read(converted, &[CONVERTED])),
        ("a_piece_short.jpg", in_pieces(&make::profile_segments(&rgb, 3)[1..]), Read(PATCHES, &[UNUSABLE_PROFILE])),
        ("grey_in_rgb.png", make::png_with_profile(grey(128), &rgb), Read([[129; 3]; 4], &[CONVERTED])),
        ("sixteen_bits.png", make::png_with_profile(deep, &rgb), Read(converted, &[DEEP, CONVERTED])),
        ("no_profile.png", make::png_with_profile(make::patches(), b"rubbish"), Read(PATCHES, &[UNUSABLE_PROFILE])),
        ("cut_profile.png", make::png_with_profile(make::patches(), &rgb[..200]), Read(PATCHES, &[UNUSABLE_PROFILE])),
        (
            "not_packed.png",
            make::with_png_chunk(&plain, b"iCCP", b"name\0\0no zlib stream"),
            Read(PATCHES, &[UNUSABLE_PROFILE]),
        ),
        ("inks_on_rgb.png", make::png_with_profile(make::patches(), &inks), Read(PATCHES, &[UNUSABLE_PROFILE])),
    ]
}

fn depths() -> Vec<Case> {
    let level = |byte: u8| u16::from(byte) * 257;
    let deep_rgb = || DynamicImage::ImageRgb8(make::patches()).into_rgb16();
    let grey = ImageBuffer::from_pixel(16, 16, Luma([level(77)]));
    let faint = ImageBuffer::from_pixel(16, 16, Rgba([0, level(10), level(200), level(128)]));
    let float = DynamicImage::ImageRgb8(make::patches()).into_rgb32f();
    let over = ImageBuffer::from_pixel(16, 16, Rgb([1.5f32, -1.0, 0.5]));
    vec![
        ("grey16.png", make::encoded(grey, ImageFormat::Png), Read([[77; 3]; 4], &[DEEP])),
        ("rgb16.png", make::encoded(deep_rgb(), ImageFormat::Png), Read(PATCHES, &[DEEP])),
        ("rgb16.tif", make::encoded(deep_rgb(), ImageFormat::Tiff), Read(PATCHES, &[DEEP])),
        ("faint16.png", make::encoded(faint, ImageFormat::Png), Read([[127, 132, 227]; 4], &[DEEP])),
        ("float.tif", make::encoded(float, ImageFormat::Tiff), Read(PATCHES, &[FLOAT])),
        ("over.tif", make::encoded(over, ImageFormat::Tiff), Read([[255, 0, 128]; 4], &[FLOAT])),
    ]
}

fn jpegs() -> Vec<Case> {
    let [a, b, c, d] = PATCHES;
    let turned = make::with_segments(&make::jpeg(), &[make::exif_segment(3)]);
    // Not inverted, for Adobe's mark says so: the same numbers are other inks, R = (255 - C)(255 - K)/255.
    let inks = [[0, 200, 180, 10], [180, 20, 200, 0], [200, 150, 0, 30], [0, 0, 0, 120]];
    let upright = inks.map(|[cyan, magenta, yellow, black]: [u32; 4]| {
        [cyan, magenta, yellow].map(|ink| ((ink * black + 127) / 255) as u8)
    });
    vec![
        ("upside_down.jpg", turned, Read([d, c, b, a], &[])),
        ("inks_as_they_are.jpg", make::without_segment(&fixture("plain_inks.jpg"), 0xEE), Read(upright, &[PLAIN_INKS])),
        ("a_png.JPG", make::encoded(make::patches(), ImageFormat::Png), Read(PATCHES, &[])),
        ("cut.jpg", make::jpeg()[..400].to_vec(), Refused(&["cut short", "save or copy it again"])),
    ]
}

fn refused() -> Vec<Case> {
    let file = |content: &[u8]| content.to_vec();
    vec![
        (
            "vast.png",
            make::claimed_png(40_000, 20_000, [8, 2]),
            Refused(&["800 megapixels (40000×20000)", "2.4 GB", LIMIT, "scale it down"]),
        ),
        ("vast16.png", make::claimed_png(20_000, 15_000, [16, 6]), Refused(&["300 megapixels", "2.4 GB", LIMIT])),
        ("vast_grey.png", make::claimed_png(40_000, 20_000, [8, 0]), Refused(&["800 megapixels", LIMIT])),
        ("luma.tif", fixture("luma.tif"), Refused(&["of a kind that is not read", "save it as"])),
        ("palette.tif", fixture("palette.tif"), Refused(&["of a kind that is not read", "save it as"])),
        ("empty.png", vec![], Refused(&["the file is empty"])),
        ("text.png", file(b"no picture at all"), Refused(&["no PNG, JPEG, WebP", "convert it"])),
        ("page.png", file(b"<!DOCTYPE html><html>"), Refused(&["no PNG, JPEG, WebP"])),
        ("heic.jpg", file(b"\0\0\0\x18ftypheic\0\0\0\0"), Refused(&["an HEIC picture", "export it as JPEG"])),
        ("avif.jpg", file(b"\0\0\0\x18ftypavif\0\0\0\0"), Refused(&["an AVIF picture", "convert it to PNG"])),
        ("jxl.jpg", file(b"\xFF\x0A\0\0"), Refused(&["a JPEG XL picture", "convert it to PNG"])),
        ("jp2.jpg", file(b"\0\0\0\x0CjP  \r\n\x87\n"), Refused(&["a JPEG 2000 picture", "convert it to PNG"])),
        ("raw.tif", file(b"II*\0\x10\0\0\0CR\x02\0"), Refused(&["a camera's raw file", "develop it"])),
        ("psd.png", file(b"8BPS\0\x01\0\0"), Refused(&["a Photoshop file", "flattened"])),
        ("svg.png", file(b"<?xml version='1.0'?>\n<svg>"), Refused(&["an SVG drawing", "export it as PNG"])),
        ("pdf.jpg", file(b"%PDF-1.7\n"), Refused(&["a PDF", "export its pictures"])),
        ("video.jpg", file(b"\0\0\0\x18ftypisom\0\0\0\0"), Refused(&["a video"])),
    ]
}

#[track_caller]
fn check((name, content, outcome): &Case) {
    let folder = folder_with(&[(name, content)]);
    let path = folder.path().join(name);
    match outcome {
        Read(expected, said) => {
            let picture = decode(&path).unwrap_or_else(|error| panic!("{name}: {error:#}"));
            let size = inspect(&path).expect("a picture that was decoded").size;
            assert_eq!(picture.size(), size, "{name}");
            let places = [(1, 1), (3, 1), (1, 3), (3, 3)];
            let found = places.map(|(x, y)| pixel(&picture.rgb, size.width, (size.width * x / 4, size.height * y / 4)));
            let off = found.iter().flatten().zip(expected.iter().flatten()).map(|(left, right)| left.abs_diff(*right));
            assert!(off.max() <= Some(TOLERANCE), "{name}: {found:?} instead of {expected:?}");
            check_said(&path, said);
        }
        Refused(parts) => {
            let error = decode(&path).expect_err(name);
            holds(name, &format!("{error:#}"), &[parts, &[*name][..]].concat());
        }
    }
}

fn pixel(rgb: &[u8], width: usize, (x, y): (usize, usize)) -> [u8; 3] {
    rgb[(y * width + x) * 3..][..3].try_into().expect("three bytes")
}

#[track_caller]
fn check_said(path: &Path, said: &[&str]) {
    let example = Example { path: path.to_owned(), caption: "silk".into(), repeats: 1, mask: None };
    let (notes, warnings) = DataSheet::new(&[example], Size::square(16)).expect("a picture that was decoded").notices();
    let lines = [notes, warnings].concat().join("\n");
    let name = path.display().to_string();
    holds(&name, &lines, said);
    assert_eq!(lines.lines().count(), said.len(), "{name}: {lines}");
}

#[test]
fn recorded_pictures_have_the_colours_that_other_programs_see() {
    recorded().iter().for_each(check);
}

#[test]
fn profiles_are_used_or_said_to_be_unusable() {
    profiles().iter().for_each(check);
}

#[test]
fn deep_pictures_become_eight_bits() {
    depths().iter().for_each(check);
}

#[test]
fn jpegs_as_they_come() {
    jpegs().iter().for_each(check);
}

#[test]
fn what_cannot_be_read_is_named_with_a_remedy() {
    refused().iter().for_each(check);
}

#[test]
fn a_line_sums_up_all_pictures_of_a_kind() {
    let deep = make::encoded(DynamicImage::ImageRgb8(make::patches()).into_rgb16(), ImageFormat::Png);
    let folder = folder_with(&[("a.png", &deep), ("b.png", &deep), ("c.jpg", &fixture("adobe_rgb.jpg"))]);
    let example =
        |name: &str| Example { path: folder.path().join(name), caption: "silk".into(), repeats: 1, mask: None };
    let sheet = DataSheet::new(&["a.png", "b.png", "c.jpg"].map(example), Size::square(16)).expect("three pictures");
    let (notes, warnings) = sheet.notices();
    assert_eq!(
        notes,
        [
            "pictures with 16 bits per channel, reduced to 8 (2): a.png, b.png",
            "pictures with a colour profile other than sRGB, converted to sRGB (1): c.jpg (Adobe RGB in all but name)",
        ]
    );
    assert_eq!(warnings, [""; 0]);
}
