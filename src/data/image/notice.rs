//! What is odd about a picture and dealt with: said once for all pictures of a run.

use crate::data::names::counted;

/// Something about a picture that its owner should know.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Notice {
    SixteenBits,
    FloatingPoint,
    /// Its colours were converted; the profile's name where it has one.
    Profile(Option<String>),
    /// Why its profile is not used.
    BrokenProfile(String),
    /// Inks, converted by the picture's profile.
    InksByProfile,
    /// Inks without a usable profile.
    PlainInks,
    Animated,
    SeveralPages,
}

/// A kind of notices: whether it is a warning, its text, and what a notice of the kind adds to the picture's name.
type Kind = (bool, &'static str, fn(&Notice) -> Option<String>);

const KINDS: [Kind; 8] = [
    (false, "pictures with 16 bits per channel, reduced to 8", |notice| plain(notice, &Notice::SixteenBits)),
    (false, "pictures in floating point, cut to 0 to 1 and reduced to 8 bits", |notice| {
        plain(notice, &Notice::FloatingPoint)
    }),
    (false, "pictures with a colour profile other than sRGB, converted to sRGB", |notice| match notice {
        Notice::Profile(name) => Some(name.as_ref().map(|name| format!(" ({name})")).unwrap_or_default()),
        _ => None,
    }),
    (false, "pictures in CMYK, converted by their colour profile", |notice| plain(notice, &Notice::InksByProfile)),
    (false, "pictures that move, of which the first frame alone is used", |notice| plain(notice, &Notice::Animated)),
    (false, "files with several pages, of which the first alone is used", |notice| {
        plain(notice, &Notice::SeveralPages)
    }),
    (true, "pictures whose colour profile cannot be used, taken as sRGB", |notice| match notice {
        Notice::BrokenProfile(reason) => Some(format!(" ({reason})")),
        _ => None,
    }),
    (
        true,
        "pictures in CMYK without a usable colour profile: their colours are a guess, export them as sRGB to be sure",
        |notice| plain(notice, &Notice::PlainInks),
    ),
];

fn plain(notice: &Notice, wanted: &Notice) -> Option<String> {
    (notice == wanted).then(String::new)
}

/// Notes and warnings over all pictures, given by name: a line for each kind that occurs.
pub fn summarize<'a>(notices: impl Iterator<Item = (&'a str, &'a Notice)> + Clone) -> (Vec<String>, Vec<String>) {
    let lines = |wanted: bool| {
        let kinds = KINDS.iter().filter(move |(warns, ..)| *warns == wanted);
        kinds.filter_map(|(_, text, addition)| {
            let names = notices.clone().filter_map(|(name, notice)| Some(format!("{name}{}", addition(notice)?)));
            counted(text, names.collect())
        })
    };
    (lines(false).collect(), lines(true).collect())
}
