//! Formats that cameras, phones and drawing programs write and that are not read here: named, with what to do.

use std::path::Path;

use super::names::has_extension;

/// A format that is recognized and not read.
#[derive(Debug)]
pub struct Foreign {
    /// "an HEIC picture".
    pub name: &'static str,
    /// How to make a picture of it that is read: a sentence's part that follows a colon.
    pub remedy: &'static str,
    /// A photograph or painting, that somebody would miss, not a document that happens to lie there.
    pub is_picture: bool,
    extensions: &'static [&'static str],
    is_content: fn(&[u8]) -> bool,
}

const CONVERT: &str = "convert it to PNG or JPEG";

const FORMATS: [Foreign; 10] = [
    Foreign {
        name: "an HEIC picture",
        remedy: "export it as JPEG, or convert it to PNG; an iPhone takes JPEG with Settings, Camera, Formats, Most \
                 Compatible",
        is_picture: true,
        extensions: &["heic", "heif", "hif"],
        is_content: |head| {
            matches!(brand(head), Some(b"heic" | b"heix" | b"heim" | b"heis" | b"hevc" | b"hevx" | b"mif1" | b"msf1"))
        },
    },
    Foreign {
        name: "an AVIF picture",
        remedy: CONVERT,
        is_picture: true,
        extensions: &["avif", "avifs"],
        is_content: |head| matches!(brand(head), Some(b"avif" | b"avis")),
    },
    Foreign {
        name: "a JPEG XL picture",
        remedy: CONVERT,
        is_picture: true,
        extensions: &["jxl"],
        is_content: |head| head.starts_with(&[0xFF, 0x0A]) || head.starts_with(b"\0\0\0\x0CJXL "),
    },
    Foreign {
        name: "a JPEG 2000 picture",
        remedy: CONVERT,
        is_picture: true,
        extensions: &["jp2", "j2k", "jpf", "jpx"],
        is_content: |head| head.starts_with(b"\0\0\0\x0CjP  ") || head.starts_with(&[0xFF, 0x4F, 0xFF, 0x51]),
    },
    Foreign {
        name: "a camera's raw file",
        remedy: "develop it in the camera's own or another raw program and export it as JPEG, PNG or TIFF",
        is_picture: true,
        extensions: &[
            "dng", "cr2", "cr3", "crw", "nef", "nrw", "arw", "sr2", "srf", "orf", "rw2", "raf", "pef", "srw", "x3f",
            "3fr", "iiq", "rwl",
        ],
        is_content: is_raw,
    },
    Foreign {
        name: "a Photoshop file",
        remedy: "export it as PNG, with its layers flattened",
        is_picture: true,
        extensions: &["psd", "psb"],
        is_content: |head| head.starts_with(b"8BPS"),
    },
    Foreign {
        name: "a GIMP file",
        remedy: "export it as PNG",
        is_picture: true,
        extensions: &["xcf"],
        is_content: |head| head.starts_with(b"gimp xcf"),
    },
    Foreign {
        name: "an SVG drawing",
        remedy: "export it as PNG, at least as large as the training size",
        is_picture: false,
        extensions: &["svg", "svgz"],
        is_content: |head| head.windows(4).any(|tag| tag == b"<svg"),
    },
    Foreign {
        name: "a PDF or PostScript document",
        remedy: "export its pictures as PNG or JPEG",
        is_picture: false,
        extensions: &["pdf", "ai", "eps", "ps"],
        is_content: |head| head.starts_with(b"%PDF") || head.starts_with(b"%!PS"),
    },
    Foreign {
        name: "a video",
        remedy: "save the pictures you want of it as PNG or JPEG",
        is_picture: false,
        extensions: &["mp4", "mov", "m4v", "mkv", "webm", "avi"],
        is_content: |head| brand(head).is_some(),
    },
];

/// The format that the beginning of a file's content shows.
pub fn by_content(head: &[u8]) -> Option<&'static Foreign> {
    FORMATS.iter().find(|format| (format.is_content)(head))
}

/// The format that a file's extension names.
pub fn by_extension(path: &Path) -> Option<&'static Foreign> {
    FORMATS.iter().find(|format| has_extension(path, format.extensions))
}

/// The major brand of an ISO base media file (ISO/IEC 14496-12): HEIC, AVIF, CR3 and videos are such.
fn brand(head: &[u8]) -> Option<&[u8; 4]> {
    head.get(8..)?.first_chunk().filter(|_| &head[4..8] == b"ftyp")
}

fn is_raw(head: &[u8]) -> bool {
    let canon = head.starts_with(b"II*\0") && head.get(8..10) == Some(b"CR");
    let others: [&[u8]; 5] = [b"FUJIFILMCCD-RAW", b"IIRO", b"IIRS", b"IIU\0", b"FOVb"];
    canon || brand(head) == Some(b"crx ") || others.iter().any(|magic| head.starts_with(magic))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn content_and_extension_name_the_same_format() {
        let files: [(&str, &[u8]); 12] = [
            ("a.HEIC", b"\0\0\0\x18ftypheic\0\0\0\0"),
            ("a.avif", b"\0\0\0\x18ftypavif\0\0\0\0"),
            ("a.jxl", b"\xFF\x0A\0"),
            ("a.jp2", b"\0\0\0\x0CjP  \r\n"),
            ("a.cr2", b"II*\0\x10\0\0\0CR\x02\0"),
            ("a.CR3", b"\0\0\0\x18ftypcrx \0\0\0\x01"),
            ("a.raf", b"FUJIFILMCCD-RAW 0201"),
            ("a.psd", b"8BPS\0\x01"),
            ("a.xcf", b"gimp xcf v011"),
            ("a.svg", b"<?xml version=\"1.0\"?>\n<svg xmlns="),
            ("a.pdf", b"%PDF-1.7"),
            ("a.mov", b"\0\0\0\x14ftypqt  \0\0\0\0"),
        ];
        for (name, content) in files {
            let by_name = by_extension(Path::new(name)).map(|format| format.name);
            assert!(by_name.is_some(), "{name}");
            assert_eq!(by_content(content).map(|format| format.name), by_name, "{name}");
        }
        assert!(by_content(b"II*\0\x08\0\0\0\x0C\0").is_none(), "a plain TIFF");
        assert!(by_extension(Path::new("a.png")).is_none());
    }
}
