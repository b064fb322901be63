//! BERT's uncased word-piece tokenizer (`bert-base-uncased`): the words that BLIP reads and writes.
//!
//! A text is cleaned of control characters, lower-cased and stripped of accents, split at white space, punctuation
//! and Chinese characters, and every word is cut into the longest pieces of the vocabulary from the left; pieces
//! that continue a word begin with `##`. The vocabulary is a file with one token a line, the line number from 0 on
//! being the id. Google's own lies inside the binary.

use std::fs;
use std::io::Read;
use std::path::Path;

use anyhow::{Context, Result, anyhow, bail, ensure};
use tokenizers::decoders::wordpiece::WordPiece as Decoder;
use tokenizers::models::bpe::Vocab;
use tokenizers::models::wordpiece::WordPiece;
use tokenizers::normalizers::BertNormalizer;
use tokenizers::pre_tokenizers::bert::BertPreTokenizer;
use tokenizers::{AddedToken, Tokenizer};

static VOCABULARY_GZ: &[u8] = include_bytes!("../../assets/bert_vocab.txt.gz");

const UNKNOWN: &str = "[UNK]";
const CONTINUES: &str = "##";
/// Marks that every BERT vocabulary has.
const MARKS: [&str; 4] = [UNKNOWN, "[CLS]", "[SEP]", "[PAD]"];
/// The mark that only training needs: a vocabulary may come without it.
const MASK: &str = "[MASK]";

/// The spaces that transformers takes out of decoded text, in its order (`clean_up_tokenization`).
const CLEANED: [(&str, &str); 10] = [
    (" .", "."),
    (" ?", "?"),
    (" !", "!"),
    (" ,", ","),
    (" ' ", "'"),
    (" n't", "n't"),
    (" 'm", "'m"),
    (" 's", "'s"),
    (" 've", "'ve"),
    (" 're", "'re"),
];

/// A BERT tokenizer. Building it takes some tens of milliseconds: keep one.
pub struct WordPieceTokenizer {
    tokenizer: Tokenizer,
}

impl WordPieceTokenizer {
    /// Builds the tokenizer of `bert-base-uncased` from the vocabulary inside the binary.
    pub fn embedded() -> Result<Self> {
        let mut text = String::new();
        flate2::read::GzDecoder::new(VOCABULARY_GZ).read_to_string(&mut text).context("unpacking BERT's vocabulary")?;
        Self::new(&text).context("BERT's vocabulary inside the binary")
    }

    /// Builds the tokenizer from a model folder's `vocab.txt`. Fails, naming the file, if it cannot be read, has an
    /// empty or a repeated line, or lacks `[UNK]`, `[CLS]`, `[SEP]` or `[PAD]`.
    pub fn open(vocab_txt: &Path) -> Result<Self> {
        let name = || format!("cannot use the vocabulary {}", vocab_txt.display());
        let text = fs::read_to_string(vocab_txt).with_context(name)?;
        Self::new(&text).with_context(name)
    }

    fn new(text: &str) -> Result<Self> {
        let vocabulary = vocabulary(text)?;
        let marks = MARKS.into_iter().chain(vocabulary.contains_key(MASK).then_some(MASK));
        let marks: Vec<_> = marks.map(|mark| AddedToken::from(mark, true)).collect();
        let model = WordPiece::builder()
            .vocab(vocabulary)
            .unk_token(UNKNOWN.into())
            .continuing_subword_prefix(CONTINUES.into())
            .build()
            .map_err(|error| anyhow!("{error}"))?;
        let mut tokenizer = Tokenizer::new(model);
        tokenizer
            .with_normalizer(Some(BertNormalizer::default()))
            .map_err(|error| anyhow!("BERT's normalizer: {error}"))?;
        tokenizer.with_pre_tokenizer(Some(BertPreTokenizer));
        tokenizer.with_decoder(Some(Decoder::new(CONTINUES.into(), false)));
        tokenizer.add_special_tokens(marks).map_err(|error| anyhow!("BERT's marks: {error}"))?;
        Ok(Self { tokenizer })
    }

    /// The token ids of `text` alone: no `[CLS]` in front, no `[SEP]` behind, no truncation.
    pub fn tokens(&self, text: &str) -> Result<Vec<u32>> {
        let encoding =
            self.tokenizer.encode_fast(text, false).map_err(|error| anyhow!("cannot tokenize '{text}': {error}"))?;
        Ok(encoding.get_ids().to_vec())
    }

    /// The text of `ids`, as transformers' `BertTokenizer.decode(ids, skip_special_tokens=True,
    /// clean_up_tokenization_spaces=True)` gives it: marks are dropped, pieces joined, and spaces around apostrophes
    /// and before punctuation taken out. Ids from [`size`](Self::size) on are marks as well: BLIP's `[DEC]` and
    /// `[ENC]` stand behind the vocabulary.
    pub fn decode(&self, ids: &[u32]) -> String {
        let text = self.tokenizer.decode(ids, true).expect("joining word pieces has no way to fail");
        CLEANED.iter().fold(text, |text, (found, put)| text.replace(found, put))
    }

    /// Tokens of the vocabulary.
    pub fn size(&self) -> usize {
        self.tokenizer.get_vocab_size(true)
    }

    /// The id of a token of the vocabulary, such as `[SEP]` or `##s`.
    pub fn id(&self, token: &str) -> Option<u32> {
        self.tokenizer.token_to_id(token)
    }
}

/// Reads a vocabulary, one token a line, and checks it for what BERT needs.
fn vocabulary(text: &str) -> Result<Vocab> {
    let mut vocabulary = Vocab::new();
    for (token, id) in text.lines().zip(0..) {
        ensure!(!token.is_empty(), "line {} is empty, where every line must hold a token", id + 1);
        if let Some(first) = vocabulary.insert(token.to_owned(), id) {
            bail!("line {} repeats '{token}' of line {}", id + 1, first + 1);
        }
    }
    let missing: Vec<_> = MARKS.into_iter().filter(|&mark| !vocabulary.contains_key(mark)).collect();
    ensure!(
        missing.is_empty(),
        "it has no line {}: this is no vocab.txt of a BERT tokenizer, which has one token a line",
        missing.join(", ")
    );
    Ok(vocabulary)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(serde::Deserialize)]
    struct Recorded {
        encoded: Vec<Encoded>,
        decoded: Vec<Decoded>,
    }

    #[derive(serde::Deserialize)]
    struct Encoded {
        text: String,
        ids: Vec<u32>,
        decoded: String,
    }

    #[derive(serde::Deserialize)]
    struct Decoded {
        ids: Vec<u32>,
        text: String,
    }

    fn recorded() -> Recorded {
        serde_json::from_str(include_str!("fixtures/bert_ids.json")).unwrap()
    }

    fn open(content: &str) -> Result<WordPieceTokenizer> {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("vocab.txt");
        fs::write(&path, content).unwrap();
        WordPieceTokenizer::open(&path)
    }

    fn message(content: &str) -> String {
        format!("{:#}", open(content).err().expect("no vocabulary"))
    }

    #[test]
    fn ids_and_texts_equal_those_of_transformers() {
        let tokenizer = WordPieceTokenizer::embedded().unwrap();
        let cases = recorded().encoded;
        assert!(cases.len() >= 60);
        for case in cases {
            assert_eq!(tokenizer.tokens(&case.text).unwrap(), case.ids, "ids of {:?}", case.text);
            assert_eq!(tokenizer.decode(&case.ids), case.decoded, "decoded ids of {:?}", case.text);
        }
    }

    #[test]
    fn any_ids_are_decoded_as_transformers_decodes_them() {
        let tokenizer = WordPieceTokenizer::embedded().unwrap();
        let cases = recorded().decoded;
        assert!(cases.len() >= 60);
        for case in cases {
            assert_eq!(tokenizer.decode(&case.ids), case.text, "text of {:?}", case.ids);
        }
    }

    #[test]
    fn embedded_vocabulary_is_that_of_bert_base_uncased() {
        let tokenizer = WordPieceTokenizer::embedded().unwrap();
        assert_eq!(tokenizer.size(), 30522);
        let known = [("[PAD]", 0), ("[UNK]", 100), ("[CLS]", 101), ("[SEP]", 102), ("[MASK]", 103), ("the", 1996)];
        for (token, id) in known {
            assert_eq!(tokenizer.id(token), Some(id), "{token}");
        }
        assert_eq!(tokenizer.id("[DEC]"), None);
    }

    #[test]
    fn a_folders_own_vocabulary_is_used() {
        let tokenizer = open("[PAD]\r\n[UNK]\r\n[CLS]\r\n[SEP]\r\nsilk\r\n##s\r\n").unwrap();
        assert_eq!(tokenizer.size(), 6);
        assert_eq!(tokenizer.tokens("Silks and [SEP]").unwrap(), [4, 5, 1, 3]);
        assert_eq!(tokenizer.decode(&[6, 2, 4, 5, 3, 7]), "silks");
    }

    #[test]
    fn unusable_vocabularies_are_refused_by_name() {
        let lacking = message("[PAD]\n[CLS]\nsilk\n");
        assert!(lacking.contains("vocab.txt") && lacking.contains("no line [UNK], [SEP]:"), "{lacking}");
        let repeated = message("[PAD]\nsilk\n[UNK]\nsilk\n");
        assert!(repeated.contains("vocab.txt") && repeated.contains("line 4 repeats 'silk' of line 2"), "{repeated}");
        assert!(message("[PAD]\n\nsilk\n").contains("line 2 is empty"));
        assert!(message("").contains("[UNK], [CLS], [SEP], [PAD]"));
        let absent = WordPieceTokenizer::open(Path::new("nowhere/vocab.txt")).err().expect("no file");
        assert!(format!("{absent:#}").contains("vocab.txt"));
    }
}
