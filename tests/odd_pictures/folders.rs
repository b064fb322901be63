//! Folders: what lies beside the pictures, and pictures that are not where they seem to be.

use super::{
    Outcome::{self, Read, Refused},
    folder_with, holds, understand,
};

/// Files without content that count, and what must happen: `Read` has the pictures. Every `.txt` and `.caption` holds a word.
type Case = (&'static [&'static str], Outcome);

const LEFT_OUT: &str = "files of formats that are not read, left out";

const CASES: [Case; 18] = [
    (&["A.JPG", "A.TXT", "b.Png", "b.txt"], Read(&["A.JPG", "b.Png"], &[])),
    (
        &["._a.jpg", ".DS_Store", "a.jpg", "a.txt", "Thumbs.db", "desktop.ini", "__MACOSX/._a.jpg"],
        Read(&["a.jpg"], &[]),
    ),
    (&["._a.jpg", "Thumbs.db", "__MACOSX/a.jpg"], Refused(&["there are no pictures", "it is empty"])),
    (&["苏绣 牡丹.jpg", "苏绣 牡丹.txt"], Read(&["苏绣 牡丹.jpg"], &[])),
    (&["Muse\u{301}e.jpg", "Mus\u{E9}e.txt"], Read(&["Muse\u{301}e.jpg"], &[])),
    (
        &["a.jpg", "a.txt", "inner/b.jpg", "inner/b.txt"],
        Read(&["a.jpg"], &["inner folders that were not read (1): inner"]),
    ),
    (&["inner/b.jpg", "inner/b.txt"], Refused(&["no pictures", "only inner", "give the inner folder itself"])),
    (&["3_绣/a.jpg", "3_绣/a.txt"], Read(&["3_绣/a.jpg"], &[])),
    (&["a.HEIC", "a.jpg", "a.txt"], Read(&["a.jpg"], &[LEFT_OUT])),
    (&["a.cr2", "a.jpg", "a.txt"], Read(&["a.jpg"], &[LEFT_OUT])),
    (&["logo.svg", "licence.pdf", "a.jpg", "a.txt"], Read(&["a.jpg"], &["left out (2): licence.pdf, logo.svg"])),
    (&["a.heic", "a.txt", "b.jpg", "b.txt"], Refused(&["an HEIC picture: a.heic. Export it as JPEG", "take them out"])),
    (&["a.avif", "b.jpg"], Refused(&["an AVIF picture: a.avif. Convert it to PNG or JPEG"])),
    (&["a.jxl", "b.jpg"], Refused(&["a JPEG XL picture: a.jxl. Convert it"])),
    (&["a.NEF", "b.dng", "c.jpg"], Refused(&["a camera's raw file: a.NEF, b.dng. Develop it"])),
    (&["a.psd", "b.jpg"], Refused(&["a Photoshop file: a.psd. Export it as PNG"])),
    (&["plan.pdf"], Refused(&["no pictures", "only plan.pdf"])),
    (&["a.jpg", "a.txt", "a.mp4"], Read(&["a.jpg"], &[LEFT_OUT])),
];

#[track_caller]
fn check((files, outcome): &Case) {
    let files: Vec<(&str, &[u8])> = files.iter().map(|name| (*name, &b"silk"[..])).collect();
    let folder = folder_with(&files);
    let what = format!("{:?}", files.iter().map(|(name, _)| name).collect::<Vec<_>>());
    outcome.judge(&what, understand(folder.path(), None), |captions, expected| {
        let found: Vec<&str> = captions.iter().map(|(name, _)| name.as_str()).collect();
        assert_eq!(found, expected);
    });
}

#[test]
fn what_lies_beside_pictures() {
    CASES.iter().for_each(check);
}

#[cfg(unix)]
#[test]
fn links_count_as_what_they_lead_to() {
    use std::os::unix::fs::symlink;

    let store = folder_with(&[("x.jpg", b""), ("x.txt", b"silk")]);
    let folder = folder_with(&[]);
    for name in ["x.jpg", "x.txt"] {
        symlink(store.path().join(name), folder.path().join(name)).expect("a link");
    }
    let whole = folder.path().join("whole");
    symlink(store.path(), &whole).expect("a link");
    let expected = [("x.jpg".to_owned(), "silk".to_owned())];
    assert_eq!(understand(folder.path(), None).expect("linked files").captions, expected);
    assert_eq!(understand(&whole, None).expect("a linked folder").captions, expected);

    symlink("gone.jpg", folder.path().join("broken.jpg")).expect("a link");
    let error = understand(folder.path(), None).map(|_| ()).expect_err("a link to nothing");
    holds("a broken link", &error, &["broken.jpg is a link to gone.jpg, which is not there"]);
}
