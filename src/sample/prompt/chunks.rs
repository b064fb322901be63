//! A prompt as the text encoder reads it: chunks of 75 tokens, each between its begin and end mark.

use anyhow::Result;

use super::attention::{Piece, parse_attention};
use crate::data::tokenizer::{BEGIN_TOKEN, CONTEXT_LENGTH, ClipTokenizer, END_TOKEN};

/// Tokens of a prompt in one chunk.
const CHUNK_TOKENS: usize = CONTEXT_LENGTH - 2;
/// Where a chunk is full, what follows a comma at most so many tokens back goes into the next (A1111's
/// `comma_padding_backtrack`).
const COMMA_BACKTRACK: usize = 20;
/// A comma that ends a word, as nearly all do.
const COMMA_TOKEN: u32 = 267;

/// What the text encoder reads at once. Marks and padding weigh 1.
#[derive(Debug, Clone, PartialEq)]
pub struct Chunk {
    /// Begin mark, up to 75 tokens, then end marks only.
    pub ids: [u32; CONTEXT_LENGTH],
    /// The weight of each token's state.
    pub weights: [f32; CONTEXT_LENGTH],
}

impl Chunk {
    /// The chunk of an empty prompt.
    pub fn empty() -> Self {
        Self::new(&[])
    }

    /// Frames and pads at most 75 tokens with their weights.
    fn new(tokens: &[(u32, f32)]) -> Self {
        let (mut ids, mut weights) = ([END_TOKEN; CONTEXT_LENGTH], [1.0; CONTEXT_LENGTH]);
        ids[0] = BEGIN_TOKEN;
        for (position, &(id, weight)) in tokens.iter().enumerate() {
            (ids[position + 1], weights[position + 1]) = (id, weight);
        }
        Self { ids, weights }
    }
}

/// The chunks of a prompt without `<lora:…>` tags, at least one, as A1111 makes them: a chunk ends when it is full,
/// at a near comma if there is one, and at `BREAK`.
///
/// Fails where [`parse_attention`] does.
pub fn chunks(prompt: &str, tokenizer: &ClipTokenizer) -> Result<Vec<Chunk>> {
    let mut packer = Packer::default();
    for piece in parse_attention(prompt)? {
        match piece {
            Piece::Break => packer.close(),
            Piece::Text { text, weight } => {
                tokenizer.tokens(&text)?.into_iter().for_each(|id| packer.push(id, weight as f32));
            }
        }
    }
    if !packer.open.is_empty() || packer.done.is_empty() {
        packer.close();
    }
    Ok(packer.done)
}

/// Brings prompt and negative prompt to the same number of chunks by empty ones (A1111's setting "Pad
/// prompt/negative prompt to be same length"). Returns whether one was needed.
pub fn pad_to_same_length(prompt: &mut Vec<Chunk>, negative: &mut Vec<Chunk>) -> bool {
    let padded = prompt.len() != negative.len();
    let longer = prompt.len().max(negative.len());
    prompt.resize_with(longer, Chunk::empty);
    negative.resize_with(longer, Chunk::empty);
    padded
}

#[derive(Default)]
struct Packer {
    /// Tokens and weights of the chunk that is being filled.
    open: Vec<(u32, f32)>,
    /// The position in it of its last comma.
    last_comma: Option<usize>,
    done: Vec<Chunk>,
}

impl Packer {
    fn push(&mut self, id: u32, weight: f32) {
        if self.open.len() == CHUNK_TOKENS {
            let moved = if id == COMMA_TOKEN { Vec::new() } else { self.after_near_comma() };
            self.close();
            self.open = moved;
        }
        if id == COMMA_TOKEN {
            self.last_comma = Some(self.open.len());
        }
        self.open.push((id, weight));
    }

    /// Takes what follows the last comma off a full chunk, unless it is too much to move.
    fn after_near_comma(&mut self) -> Vec<(u32, f32)> {
        match self.last_comma {
            Some(comma) if self.open.len() - comma <= COMMA_BACKTRACK => self.open.split_off(comma + 1),
            _ => Vec::new(),
        }
    }

    fn close(&mut self) {
        self.done.push(Chunk::new(&self.open));
        self.open.clear();
        self.last_comma = None;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(serde::Deserialize)]
    struct Recorded {
        prompt: String,
        /// Text and weight, or no text for a break.
        pieces: Vec<(Option<String>, f64)>,
        /// Ids and weights up to the last that is neither an end mark nor of weight 1.
        chunks: Vec<(Vec<u32>, Vec<f32>)>,
    }

    fn recorded() -> Vec<Recorded> {
        serde_json::from_str::<serde_json::Value>(include_str!("../fixtures/prompts.json"))
            .and_then(|mut file| serde_json::from_value(file["prompts"].take()))
            .unwrap()
    }

    #[test]
    fn pieces_equal_the_recorded_ones() {
        let cases = recorded();
        assert!(cases.len() > 40);
        for case in cases {
            let pieces: Vec<(Option<String>, f64)> =
                parse_attention(&case.prompt).unwrap().into_iter().map(text_and_weight).collect();
            // The JSON reader may miss a weight's last bit.
            let same = pieces.len() == case.pieces.len()
                && pieces.iter().zip(&case.pieces).all(|(a, b)| a.0 == b.0 && (a.1 - b.1).abs() <= 1e-15 * b.1.abs());
            assert!(same, "{:?} gives {pieces:?}", case.prompt);
        }
    }

    fn text_and_weight(piece: Piece) -> (Option<String>, f64) {
        match piece {
            Piece::Text { text, weight } => (Some(text), weight),
            Piece::Break => (None, -1.0),
        }
    }

    #[test]
    fn chunks_equal_the_recorded_ones() {
        let tokenizer = ClipTokenizer::new().unwrap();
        for case in recorded() {
            let chunks = chunks(&case.prompt, &tokenizer).unwrap();
            assert_eq!(chunks.len(), case.chunks.len(), "{:?}", case.prompt);
            for (chunk, (mut ids, mut weights)) in chunks.iter().zip(case.chunks) {
                ids.resize(CONTEXT_LENGTH, END_TOKEN);
                weights.resize(CONTEXT_LENGTH, 1.0);
                assert_eq!((&chunk.ids[..], &chunk.weights[..]), (&ids[..], &weights[..]), "{:?}", case.prompt);
            }
        }
    }

    #[test]
    fn the_comma_is_clips() {
        assert_eq!(ClipTokenizer::new().unwrap().tokens(",").unwrap(), [COMMA_TOKEN]);
    }

    #[test]
    fn the_shorter_prompt_gets_empty_chunks() {
        let (mut prompt, mut negative) = (vec![Chunk::new(&[(5, 1.2)]); 3], vec![Chunk::new(&[(7, 1.0)])]);
        assert!(pad_to_same_length(&mut prompt, &mut negative));
        assert_eq!(negative, [Chunk::new(&[(7, 1.0)]), Chunk::empty(), Chunk::empty()]);
        assert!(!pad_to_same_length(&mut prompt, &mut negative));
    }
}
