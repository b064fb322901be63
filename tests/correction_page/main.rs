//! The page on which captions are corrected, in a real browser. Run by `tools/test_browser.sh`.

mod browser;

use std::{
    fs,
    path::{Path, PathBuf},
};

use browser::Browser;
use fantoccini::key::Key;
use lora_wgpu::{
    data::{
        dataset::{Dataset, DatasetOptions},
        image::decode,
        masks::MaskOptions,
        tokenizer::ClipTokenizer,
    },
    label::{
        page::{self, PageEntry},
        tags::TagList,
    },
};
use serde_json::json;

const CAPTIONS: [&str; 3] = ["a flower on silk", "a blue and white cloth", "a bird, a peony"];

fn demo_pictures() -> Vec<PathBuf> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("assets/demo");
    let entries = fs::read_dir(folder).expect("the demo's folder").map(|entry| entry.expect("a file").path());
    let mut pictures: Vec<PathBuf> = entries.filter(|path| path.extension().is_some_and(|end| end == "png")).collect();
    pictures.sort();
    pictures
}

/// A folder with copies of three pictures, and the page for them.
fn folder_with_page() -> (tempfile::TempDir, PathBuf) {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let mut entries = Vec::new();
    for (picture, caption) in demo_pictures().iter().zip(CAPTIONS) {
        let name = picture.file_name().expect("a name");
        fs::copy(picture, folder.path().join(name)).expect("a copy");
        entries.push(entry(picture, caption));
    }
    entries[1].near = vec![entries[2].file_name.clone()];
    let path = folder.path().join("metadata.html");
    page::write(&path, &mut entries.into_iter().map(Ok), &[]).expect("the page");
    (folder, path)
}

fn entry(picture: &Path, caption: &str) -> PageEntry {
    let list = TagList::built_in();
    let tags = ["embroidery", "satin stitch", "peony", "cloud", "meander", "blue and white", "silk thread"];
    PageEntry {
        file_name: picture.file_name().expect("a name").to_string_lossy().into_owned(),
        caption: caption.into(),
        tags: tags.map(|tag| (tag.to_owned(), list.chinese(tag).to_owned())).to_vec(),
        near: Vec::new(),
        picture: decode(picture).expect("a picture"),
    }
}

/// The captions as a training reads them from the saved table.
fn captions_for_training(folder: &Path, table: &str) -> Vec<String> {
    fs::write(folder.join("metadata.csv"), table).expect("the table in its place");
    let options = DatasetOptions {
        train_data_dir: folder.to_owned(),
        metadata_path: None,
        caption_extension: None,
        allow_missing_captions: false,
        num_repeats: 1,
        max_token_length: 75,
        masks: MaskOptions::default(),
    };
    let dataset = Dataset::open(&options, &ClipTokenizer::new().expect("a tokenizer")).expect("a training set");
    dataset.examples.into_iter().map(|example| example.caption).collect()
}

/// The caption field of picture `number`, from 1.
fn field(number: usize) -> String {
    format!("article:nth-of-type({number}) textarea")
}

fn text_of(browser: &Browser, selector: &str) -> String {
    let text = browser.run(&format!("return document.querySelector({selector:?}).textContent"));
    text.as_str().expect("a text").to_owned()
}

#[test]
#[ignore = "needs Chromium and its driver: run tools/test_browser.sh"]
fn a_corrected_table_comes_back_as_training_reads_it() {
    let (folder, page) = folder_with_page();
    let browser = Browser::start("en-US");
    browser.open(&page);
    browser.type_into(&field(1), &format!("{}, 5\" hoop, \"苏绣\" 牡丹", char::from(Key::End)));
    browser.click("article:nth-of-type(1) .tags button:nth-of-type(2)");
    browser.click("article:nth-of-type(3) .tags button:nth-of-type(3)");
    assert_eq!(text_of(&browser, "#count"), "2 of 3 looked at");
    browser.click("#save");
    let table = browser.downloaded("metadata.csv");
    let first = "01-clouds.png,\"a flower on silk, 5\"\" hoop, \"\"苏绣\"\" 牡丹, satin stitch\"";
    assert!(table.starts_with(&format!("\u{FEFF}filename,prompt\n{first}\n")) && !table.contains('\r'), "{table}");
    assert_eq!(
        captions_for_training(folder.path(), &table),
        ["a flower on silk, 5\" hoop, \"苏绣\" 牡丹, satin stitch", "a blue and white cloth", "a bird"]
    );
}

#[test]
#[ignore = "needs Chromium and its driver: run tools/test_browser.sh"]
fn keys_lead_from_caption_to_caption_and_save() {
    let (_folder, page) = folder_with_page();
    let browser = Browser::start("en-US");
    browser.open(&page);
    let at = || browser.run("return document.activeElement.closest('article')?.querySelector('h2').textContent");
    browser.click(&field(1));
    browser.press(&[Key::Tab.into()]);
    assert_eq!(at(), "02-meander.png");
    browser.press(&['!']);
    browser.press(&[Key::Tab.into()]);
    browser.press(&[Key::Shift.into(), Key::Tab.into()]);
    browser.press(&[Key::Shift.into(), Key::Tab.into()]);
    assert_eq!(at(), "01-clouds.png");
    browser.press(&[Key::Control.into(), 's']);
    let table = browser.downloaded("metadata.csv");
    assert!(table.contains("\n02-meander.png,a blue and white cloth!\n"), "{table}");
}

#[test]
#[ignore = "needs Chromium and its driver: run tools/test_browser.sh"]
fn corrections_outlive_the_page_and_a_tab_with_unsaved_ones_warns() {
    let (_folder, page) = folder_with_page();
    let browser = Browser::start("en-US");
    let warns = "const event = new Event('beforeunload', { cancelable: true }); return !dispatchEvent(event)";
    browser.open(&page);
    assert_eq!(browser.run(warns), false);
    browser.type_into(&field(2), &format!("{}, indigo", char::from(Key::End)));
    assert_eq!(browser.run(warns), true);
    browser.open(&page);
    assert_eq!(
        browser.run(&format!("return document.querySelector({:?}).value", field(2))),
        "a blue and white cloth, indigo"
    );
    assert_eq!(browser.run(warns), true);
    browser.click("#save");
    browser.downloaded("metadata.csv");
    assert_eq!(browser.run(warns), false);
}

#[test]
#[ignore = "needs Chromium and its driver: run tools/test_browser.sh"]
fn captions_are_filtered_replaced_and_counted() {
    let (_folder, page) = folder_with_page();
    let browser = Browser::start("en-US");
    browser.open(&page);
    let shown = || browser.run("return [...document.querySelectorAll('article')].filter(card => !card.hidden).length");
    let captions = || browser.run("return [...document.querySelectorAll('textarea')].map(field => field.value)");
    browser.click("#tools summary");
    browser.type_into("#find", "A ");
    assert_eq!(text_of(&browser, "#replace"), "Replace in 3 captions");
    browser.type_into("#find", "b");
    browser.type_into("#into", "one $& b");
    browser.click("#replace");
    assert_eq!(captions(), json!(["a flower on silk", "one $& blue and white cloth", "one $& bird, a peony"]));
    browser.run("filter = document.getElementById('filter'); filter.value = 'changed'; filter.dispatchEvent(new Event('change'))");
    assert_eq!(shown(), 2);
    browser.click("#toast button");
    assert_eq!(captions(), json!(CAPTIONS));
    browser.run("filter.value = 'near'; filter.dispatchEvent(new Event('change'))");
    assert_eq!(shown(), 1);
    browser.type_into(&field(2), &" silk".repeat(60));
    assert!(text_of(&browser, "article:nth-of-type(2) .words").starts_with("65 words: more than about 75 tokens"));
}

#[test]
#[ignore = "needs Chromium and its driver: run tools/test_browser.sh"]
fn the_page_speaks_the_browsers_language_and_changes_it() {
    let (_folder, page) = folder_with_page();
    let browser = Browser::start("zh-CN");
    browser.open(&page);
    assert_eq!(text_of(&browser, "#count"), "已查看 0 / 3");
    browser.click("#language");
    assert_eq!(text_of(&browser, "#count"), "0 of 3 looked at");
    assert_eq!(browser.run("return document.documentElement.lang"), "en");
}
