//! Fonts for the labels of pictures: one for Latin letters inside the binary, the machine's own for all others.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::{env, fs};

use ab_glyph::{Font, FontArc, FontVec, GlyphId, VariableFont};

use crate::data::names::name_list;

/// DejaVu Sans Condensed, cut down to Latin letters, punctuation and a few signs.
static LATIN: &[u8] = include_bytes!("../../assets/label_font.ttf");

/// How file names of fonts begin, in lower case, the best for Chinese first, and which face of a collection to take.
const KNOWN_FONTS: &[(&str, u32)] = &[
    ("notosanscjk-regular", SIMPLIFIED_CHINESE),
    ("notosanscjk-vf", SIMPLIFIED_CHINESE),
    ("notosanscjksc-regular", 0),
    ("notosanssc", 0),
    ("sourcehansanssc-regular", 0),
    ("sourcehansanscn-regular", 0),
    ("pingfang", 0),
    ("hiragino sans gb", 0),
    ("stheiti", 0),
    ("msyh", 0),
    ("deng", 0),
    ("simhei", 0),
    ("simsun", 0),
    ("wqy-microhei", 0),
    ("wqy-zenhei", 0),
    ("droidsansfallback", 0),
    ("arial unicode", 0),
    ("arialuni", 0),
    ("notosanscjk", 0),
    ("yugoth", 0),
    ("msgothic", 0),
    ("malgun", 0),
    ("applesdgothicneo", 0),
    ("dejavusans.", 0),
    ("notosans-regular", 0),
    ("liberationsans-regular", 0),
    ("segoeui.", 0),
    ("arial.", 0),
];
/// Noto's collections hold Japanese, Korean, simplified and traditional Chinese, in this order.
const SIMPLIFIED_CHINESE: u32 = 2;

/// Folders within folders that are looked through for fonts.
const FOLDER_DEPTH: usize = 4;

/// Fonts that have the signs of a text between them.
pub struct Fonts {
    /// The built-in one first.
    fonts: Vec<FontArc>,
    missing: BTreeSet<char>,
}

impl Fonts {
    /// The built-in font and, where `text` has signs that it lacks, those of the machine's that have them.
    pub fn for_text(text: &str) -> Self {
        Self::from_folders(text, &system_folders())
    }

    /// The same with the fonts of these folders.
    pub(super) fn from_folders(text: &str, folders: &[PathBuf]) -> Self {
        let latin = FontArc::try_from_slice(LATIN).expect("the built-in font is whole");
        let mut fonts = Self { fonts: vec![latin], missing: BTreeSet::new() };
        fonts.missing = text.chars().filter(|&sign| is_visible(sign) && fonts.glyph(sign).is_none()).collect();
        if !fonts.missing.is_empty() {
            known_fonts(folders).iter().for_each(|(rank, path)| fonts.add_if_needed(path, KNOWN_FONTS[*rank].1));
        }
        fonts
    }

    fn add_if_needed(&mut self, path: &Path, face: u32) {
        if self.missing.is_empty() {
            return;
        }
        let Some(font) = read_font(path, face) else { return };
        let lacked = self.missing.len();
        self.missing.retain(|&sign| glyph(&font, sign).is_none());
        if self.missing.len() < lacked {
            self.fonts.push(font);
        }
    }

    /// The first font that has a sign, and its glyph.
    pub fn glyph(&self, sign: char) -> Option<(&FontArc, GlyphId)> {
        self.fonts.iter().find_map(|font| glyph(font, sign).map(|glyph| (font, glyph)))
    }

    /// What the user should know where no font has a sign.
    pub fn note(&self) -> Option<String> {
        (!self.missing.is_empty()).then(|| {
            format!(
                "no font on this machine has {}: labels show a box instead. Install a font that does (for Chinese on \
                 Debian and Ubuntu: apt install fonts-noto-cjk)",
                name_list(self.missing.iter().map(char::to_string))
            )
        })
    }
}

/// Whether a sign takes room: no control letter, joiner or variation selector.
pub fn is_visible(sign: char) -> bool {
    !sign.is_control() && !matches!(sign, '\u{200B}'..='\u{200F}' | '\u{2060}' | '\u{FE00}'..='\u{FE0F}' | '\u{FEFF}')
}

/// A glyph that can be drawn: fonts of colour pictures have glyphs without outline.
fn glyph(font: &FontArc, sign: char) -> Option<GlyphId> {
    let glyph = font.glyph_id(sign);
    (glyph.0 != 0 && (sign.is_whitespace() || font.outline(glyph).is_some())).then_some(glyph)
}

fn read_font(path: &Path, face: u32) -> Option<FontArc> {
    let bytes = fs::read(path).ok()?;
    let mut font = FontVec::try_from_vec_and_index(bytes, face).ok()?;
    // Variable fonts may open at their thinnest weight.
    font.set_variation(b"wght", 400.0);
    Some(FontArc::new(font))
}

/// The fonts in these folders whose names are known, with their place in the list, in its order.
fn known_fonts(folders: &[PathBuf]) -> Vec<(usize, PathBuf)> {
    let mut found = Vec::new();
    folders.iter().for_each(|folder| find_fonts(folder, FOLDER_DEPTH, &mut found));
    found.sort();
    found
}

fn find_fonts(folder: &Path, depth: usize, found: &mut Vec<(usize, PathBuf)>) {
    for entry in fs::read_dir(folder).into_iter().flatten().flatten() {
        let path = entry.path();
        if path.is_dir() {
            if depth > 0 {
                find_fonts(&path, depth - 1, found);
            }
            continue;
        }
        let name = entry.file_name().to_string_lossy().to_lowercase();
        if let Some(rank) = KNOWN_FONTS.iter().position(|(start, _)| name.starts_with(start)) {
            found.push((rank, path));
        }
    }
}

fn system_folders() -> Vec<PathBuf> {
    let fixed = ["/usr/share/fonts", "/usr/local/share/fonts", "/System/Library/Fonts", "/Library/Fonts"];
    let below = [
        ("HOME", ".local/share/fonts"),
        ("HOME", ".fonts"),
        ("HOME", "Library/Fonts"),
        ("WINDIR", "Fonts"),
        ("LOCALAPPDATA", "Microsoft/Windows/Fonts"),
    ];
    let own = below.into_iter().filter_map(|(variable, folder)| Some(Path::new(&env::var_os(variable)?).join(folder)));
    fixed.into_iter().map(PathBuf::from).chain(own).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A folder with a font of 刺, 绣, 牡, 丹 and ，.
    fn chinese() -> tempfile::TempDir {
        let folder = tempfile::tempdir().unwrap();
        let below = folder.path().join("opentype/noto");
        fs::create_dir_all(&below).unwrap();
        fs::write(below.join("NotoSansSC-Test.otf"), include_bytes!("fixtures/chinese.otf")).unwrap();
        folder
    }

    #[test]
    fn latin_letters_need_no_other_font() {
        let fonts = Fonts::from_folders("Broderie à l'œil, Łódź — 7.5×\u{200B}…", &[]);
        assert!(fonts.note().is_none() && fonts.fonts.len() == 1);
    }

    #[test]
    fn chinese_comes_from_the_machine() {
        let folder = chinese();
        let fonts = Fonts::from_folders("a 刺绣，牡丹", &[folder.path().to_owned()]);
        assert!(fonts.note().is_none() && fonts.fonts.len() == 2);
        assert!(fonts.glyph('绣').is_some() && fonts.glyph('中').is_none());
    }

    #[test]
    fn what_no_font_has_is_told_once() {
        let folder = chinese();
        std::fs::write(folder.path().join("simsun.ttc"), "no font").unwrap();
        let note = Fonts::from_folders("国刺国中", &[folder.path().to_owned()]).note().unwrap();
        assert!(note.starts_with("no font on this machine has 中, 国: ") && note.contains("fonts-noto-cjk"), "{note}");
        let many = Fonts::from_folders("一二三四五六七八九十百千", &[]).note().unwrap();
        assert!(many.contains(" and 2 more: "), "{many}");
    }
}
