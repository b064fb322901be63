//! CLIP's byte-pair tokenizer: a caption to the 77 token ids that the text encoder of SD v1.5 reads.
//!
//! The vocabulary follows from the merge list alone (OpenAI's `bpe_simple_vocab_16e6`, MIT): 256 byte letters, the
//! same letters ending a word, one token per merge, then the begin and end marks. It lies inside the binary.

use std::io::Read;

use anyhow::{Context, Result, anyhow};
use tokenizers::models::bpe::{BPE, Merges, Vocab};
use tokenizers::normalizers::replace::{Replace, ReplacePattern};
use tokenizers::normalizers::unicode::NFC;
use tokenizers::normalizers::utils::{Lowercase, Sequence as NormalizerSequence};
use tokenizers::pre_tokenizers::byte_level::ByteLevel;
use tokenizers::pre_tokenizers::sequence::Sequence as PreTokenizerSequence;
use tokenizers::pre_tokenizers::split::{Split, SplitPattern};
use tokenizers::{AddedToken, SplitDelimiterBehavior, Tokenizer};

/// Token positions of the text encoder, begin and end marks included.
pub const CONTEXT_LENGTH: usize = 77;
/// Tokens of a caption that fit between the begin and the end mark.
pub const MAX_CAPTION_TOKENS: usize = CONTEXT_LENGTH - 2;
/// Id of the mark in front of every caption.
pub const BEGIN_TOKEN: u32 = 49406;
/// Id of the mark behind every caption, and of the padding.
pub const END_TOKEN: u32 = 49407;

const BEGIN_TEXT: &str = "<|startoftext|>";
const END_TEXT: &str = "<|endoftext|>";
const END_OF_WORD: &str = "</w>";

static MERGES_GZ: &[u8] = include_bytes!("../../assets/clip_merges.txt.gz");

/// CLIP splits words, single digits and runs of other signs; English clitics are words of their own.
const WORD_PATTERN: &str =
    r"<\|startoftext\|>|<\|endoftext\|>|'s|'t|'re|'ve|'m|'ll|'d|[\p{L}]+|[\p{N}]|[^\s\p{L}\p{N}]+";

/// A caption as the text encoder reads it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Encoded {
    /// Begin mark, caption, end mark, padding with [`END_TOKEN`].
    pub ids: [u32; CONTEXT_LENGTH],
    /// Tokens of the whole caption, without begin and end marks and before truncation.
    pub token_count: usize,
    /// Whether the caption was cut to [`MAX_CAPTION_TOKENS`].
    pub truncated: bool,
}

/// The tokenizer of CLIP ViT-L/14. Building it takes some tens of milliseconds: keep one.
pub struct ClipTokenizer {
    tokenizer: Tokenizer,
}

impl ClipTokenizer {
    /// Builds the tokenizer from the merge list inside the binary.
    pub fn new() -> Result<Self> {
        let merges = read_merges()?;
        let model = BPE::builder()
            .vocab_and_merges(vocabulary(&merges), merges)
            .unk_token(END_TEXT.into())
            .end_of_word_suffix(END_OF_WORD.into())
            .build()
            .map_err(|error| anyhow!("CLIP's merge list: {error}"))?;
        let mut tokenizer = Tokenizer::new(model);
        tokenizer.with_normalizer(Some(normalizer()?)).map_err(|error| anyhow!("CLIP's normalizer: {error}"))?;
        tokenizer.with_pre_tokenizer(Some(pre_tokenizer()?));
        tokenizer
            .add_special_tokens([BEGIN_TEXT, END_TEXT].map(|text| AddedToken::from(text, true)))
            .map_err(|error| anyhow!("CLIP's begin and end marks: {error}"))?;
        Ok(Self { tokenizer })
    }

    /// The token ids of `text` alone, of any number: no marks, no padding, no truncation.
    pub fn tokens(&self, text: &str) -> Result<Vec<u32>> {
        let encoding =
            self.tokenizer.encode_fast(text, false).map_err(|error| anyhow!("cannot tokenize '{text}': {error}"))?;
        Ok(encoding.get_ids().to_vec())
    }

    /// The 77 ids of a caption, cut after [`MAX_CAPTION_TOKENS`] tokens.
    pub fn encode(&self, caption: &str) -> Result<Encoded> {
        let tokens = self.tokens(caption)?;
        let kept = &tokens[..tokens.len().min(MAX_CAPTION_TOKENS)];
        let truncated = kept.len() < tokens.len();
        Ok(Encoded { ids: marked(kept), token_count: tokens.len(), truncated })
    }

    /// The ids of a caption in `chunks` passes of 77, each of at most [`MAX_CAPTION_TOKENS`] tokens between a begin and an
    /// end mark, as sd-scripts cuts them (`strategy_sd.py`); what is longer is cut off.
    pub fn encode_chunks(&self, caption: &str, chunks: usize) -> Result<Vec<u32>> {
        let tokens = self.tokens(caption)?;
        let chunk = |index: usize| {
            let rest = &tokens[tokens.len().min(index * MAX_CAPTION_TOKENS)..];
            marked(&rest[..rest.len().min(MAX_CAPTION_TOKENS)])
        };
        Ok((0..chunks).flat_map(chunk).collect())
    }
}

/// Begin mark, tokens, end marks to the end.
fn marked(tokens: &[u32]) -> [u32; CONTEXT_LENGTH] {
    let mut ids = [END_TOKEN; CONTEXT_LENGTH];
    ids[0] = BEGIN_TOKEN;
    ids[1..=tokens.len()].copy_from_slice(tokens);
    ids
}

fn read_merges() -> Result<Merges> {
    let mut text = String::new();
    flate2::read::GzDecoder::new(MERGES_GZ).read_to_string(&mut text).context("unpacking CLIP's merge list")?;
    text.lines()
        .map(|line| line.split_once(' ').with_context(|| format!("CLIP's merge list: '{line}' is no pair")))
        .map(|pair| pair.map(|(left, right)| (left.to_owned(), right.to_owned())))
        .collect()
}

fn vocabulary(merges: &Merges) -> Vocab {
    let letters = byte_letters();
    let word_ends = letters.iter().map(|letter| format!("{letter}{END_OF_WORD}"));
    let merged = merges.iter().map(|(left, right)| format!("{left}{right}"));
    let marks = [BEGIN_TEXT, END_TEXT].map(String::from);
    (letters.iter().map(char::to_string).chain(word_ends).chain(merged).chain(marks)).zip(0..).collect()
}

/// One visible letter per byte, in the order of GPT-2's table: bytes that print stand for themselves and come
/// first, the others take the letters from U+0100 on.
fn byte_letters() -> Vec<char> {
    let printing: Vec<u8> = (b'!'..=b'~').chain(0xA1..=0xAC).chain(0xAE..=0xFF).collect();
    let others = 256 - printing.len() as u32;
    let stand_ins = (256..256 + others).map(|code| char::from_u32(code).expect("U+0100 to U+0143 are letters"));
    printing.iter().map(|&byte| char::from(byte)).chain(stand_ins).collect()
}

fn normalizer() -> Result<NormalizerSequence> {
    let one_space = Replace::new(ReplacePattern::Regex(r"\s+".into()), " ")
        .map_err(|error| anyhow!("CLIP's white-space pattern: {error}"))?;
    Ok(NormalizerSequence::new(vec![NFC.into(), one_space.into(), Lowercase.into()]))
}

fn pre_tokenizer() -> Result<PreTokenizerSequence> {
    let words = Split::new(SplitPattern::Regex(WORD_PATTERN.into()), SplitDelimiterBehavior::Removed, true)
        .map_err(|error| anyhow!("CLIP's word pattern: {error}"))?;
    Ok(PreTokenizerSequence::new(vec![words.into(), ByteLevel::new(false, true, true).into()]))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(serde::Deserialize)]
    struct Recorded {
        text: String,
        token_count: usize,
        ids: Vec<u32>,
    }

    #[test]
    fn ids_equal_those_of_transformers() {
        let cases: Vec<Recorded> = serde_json::from_str(include_str!("fixtures/clip_ids.json")).unwrap();
        let tokenizer = ClipTokenizer::new().unwrap();
        assert!(cases.len() > 30);
        for case in cases {
            let encoded = tokenizer.encode(&case.text).unwrap();
            assert_eq!(encoded.ids.as_slice(), case.ids, "ids of {:?}", case.text);
            assert_eq!(encoded.token_count, case.token_count, "token count of {:?}", case.text);
            assert_eq!(encoded.truncated, case.token_count > 75, "{:?}", case.text);
        }
    }

    #[test]
    fn vocabulary_has_clips_size_and_marks() {
        let vocabulary = vocabulary(&read_merges().unwrap());
        assert_eq!(vocabulary.len(), 49408);
        assert_eq!(vocabulary[BEGIN_TEXT], BEGIN_TOKEN);
        assert_eq!(vocabulary[END_TEXT], END_TOKEN);
    }
}
