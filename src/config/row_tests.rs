//! What holds for every row of the table, whatever is added to it.

use super::{
    key::Draft,
    keys::{self, GROUPS},
    kind::Kind,
    *,
};
use serde_yaml::Value;
use std::{collections::HashSet, path::Path};
use unicode_width::UnicodeWidthStr;

const REQUIRED: &str = "base_model: model.safetensors\ntrain_data_dir: ./data/flowers\n";

/// Checks that a configuration with this line, its first, is refused with key, line and what is taken.
#[track_caller]
fn assert_refused(key: &Key, value: &str, wanted: &[String]) {
    let line = format!("{}: {value}", key.name);
    let others = REQUIRED.lines().filter(|other| !other.starts_with(key.name)).collect::<Vec<_>>().join("\n");
    let result = TrainConfig::from_yaml(&format!("{line}\n{others}\n"), Path::new(""));
    let error = format!("{:#}", result.err().unwrap_or_else(|| panic!("accepted: {line}")));
    assert!(error.starts_with(&format!("configuration:1: `{}`: ", key.name)), "{line}: {error}");
    assert!(error.ends_with(&format!("\n  1 | {line}")), "{line}: {error}");
    for wanted in wanted {
        assert!(error.contains(wanted), "{line}: {error} lacks {wanted}");
    }
}

#[test]
fn no_name_stands_twice() {
    let mut seen = HashSet::new();
    for name in key_names() {
        assert!(seen.insert(name), "{name}");
    }
}

#[test]
fn every_row_explains_itself_in_both_languages() {
    for key in all_keys() {
        assert!(!key.help.en.is_empty() && !key.help.zh.is_empty(), "{} has no help", key.name);
        if key.is_built() {
            assert!(key.help.en.ends_with('.') && key.help.zh.ends_with('。'), "{}: whole sentences", key.name);
        }
        for language in [Language::English, Language::Chinese] {
            let first = key.help.first_sentence(language);
            assert!(first.width() <= 76, "{}: the first sentence fills more than a line: {first}", key.name);
        }
    }
}

#[test]
fn every_default_reads_back_as_itself() {
    let defaults = TrainConfig::from_yaml(REQUIRED, Path::new("")).unwrap();
    for key in GROUPS.iter().flat_map(|group| group.keys) {
        let shown = key.show(&defaults);
        let value: Value = serde_yaml::from_str(&shown).unwrap();
        if value.is_null() {
            continue;
        }
        let mut draft = Draft { config: TrainConfig::unresolved(), notes: Vec::new() };
        key.apply(&mut draft, &value).unwrap_or_else(|error| panic!("{}: {shown}: {error}", key.name));
        assert_eq!(key.show(&draft.config), shown, "{}", key.name);
        assert_eq!(draft.notes, Vec::<String>::new(), "{}", key.name);
    }
}

#[test]
fn a_null_default_is_explained() {
    for key in GROUPS.iter().flat_map(|group| group.keys) {
        let shown = DefaultText::Value("null".into());
        assert_ne!(key.default(Language::English), shown, "{}: say with `otherwise` what happens", key.name);
    }
}

#[test]
fn a_mistyped_name_is_answered_with_the_name() {
    for key in all_keys() {
        let mistyped = format!("{}{}", key.name, &key.name[key.name.len() - 1..]);
        let result = TrainConfig::from_yaml(&format!("{mistyped}: 1\n{REQUIRED}"), Path::new(""));
        let error = format!("{:#}", result.unwrap_err());
        let answer = format!("configuration:1: `{mistyped}`: unknown key; did you mean `{}`?", key.name);
        assert!(error.starts_with(&answer), "{error}");
    }
}

#[test]
fn a_value_of_another_type_is_refused() {
    for key in keys::settings() {
        let value = if key.name.ends_with("_args") { "true" } else { "{a: {}}" };
        let wanted = match key.kind() {
            Some(Kind::Path(_) | Kind::PathOr(..) | Kind::Text(_) | Kind::Note(_) | Kind::List(_)) => "text".to_owned(),
            Some(Kind::Special { .. }) | None => String::new(),
            _ => key.takes(Language::English),
        };
        assert_refused(key, value, &["expected ".to_owned(), wanted]);
    }
}

#[test]
fn a_value_out_of_range_is_refused_with_the_range() {
    for key in keys::settings() {
        let takes = vec![key.takes(Language::English)];
        let Some(kind) = key.kind() else {
            assert_special_refused(key);
            continue;
        };
        match kind {
            Kind::Whole(range, _) => {
                let below = i64::from(*range.start()) - 1;
                assert_refused(key, &below.to_string(), &takes);
                assert_refused(key, &(u64::from(*range.end()) + 1).to_string(), &takes);
            }
            Kind::Seed(_) => assert_refused(key, "-1", &takes),
            Kind::Number(range, _) => {
                let outside = ["-1", "0", "1", "1.001", "1e300", ".inf"];
                for value in outside.into_iter().filter(|value| !range.holds(value.parse().unwrap_or(f64::INFINITY))) {
                    assert_refused(key, value, &takes);
                }
            }
            Kind::Choice(words, _) => {
                let words = words().into_iter().map(|word| word.shown);
                assert_refused(key, "none_of_these", &words.map(|word| format!("`{word}`")).collect::<Vec<_>>());
            }
            Kind::Path(_) | Kind::PathOr(..) | Kind::Text(_) => {
                assert_refused(key, "\" \"", &["must not be empty".to_owned()]);
            }
            Kind::Memory(_) => assert_refused(key, "0GB", &takes),
            Kind::Flag(_) => assert_refused(key, "2", &takes),
            Kind::Note(_) | Kind::List(_) => {}
            Kind::Special { .. } => assert_special_refused(key),
        }
    }
}

/// A value out of range of each key with a reader of its own, and what is said to it.
#[track_caller]
fn assert_special_refused(key: &Key) {
    let (value, wanted) = match key.name {
        "resolution" => ("[0, 512]", "a whole number of pixels"),
        "optimizer_args" => ("{eps: 0}", "`eps`: expected a number above 0"),
        "lr_warmup_steps" | "lr_decay_steps" => ("-1", "a share of them below 1"),
        "min_snr_gamma" => ("-1", "a number from 0"),
        "output_name" => ("a/b", "a file name cannot"),
        "sample_prompts" => ("[\"\"]", "must not be empty"),
        "lokr_factor" => ("0", "-1 or a whole number from 1"),
        "block_dims" | "conv_block_dims" => ("[1, 2]", "25 whole numbers from 0 to 1024"),
        "block_alphas" | "conv_block_alphas" => ("\"1,2\"", "25 numbers from 0"),
        "down_lr_weight" | "up_lr_weight" => ("[-1]", "a number from 0 to 1000"),
        "mid_lr_weight" => ("[1, 1]", "a number from 0 to 1000"),
        "loraplus_lr_ratio" => ("0", "a number above 0 and at most 1000"),
        "network_args" => ("[\"wavelet=1\"]", "unknown argument `wavelet`"),
        "text_encoder_lr" => ("1.5", "a number from 0 to 1"),
        "max_token_length" => ("100", "75, 150 or 225"),
        other => panic!("{other} needs a line here: a value out of its range"),
    };
    assert_refused(key, value, &[wanted.to_owned()]);
}
