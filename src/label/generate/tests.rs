//! The ids of generated sequences, against those that tools/record_case/generate.py recorded from transformers.

use anyhow::{Result, bail};
use serde::Deserialize;

use super::*;

#[derive(Deserialize)]
struct Recorded {
    period: usize,
    end: u32,
    end_bias: f32,
    vocabulary: usize,
    sampling_vocabulary: usize,
    sequences: Vec<SequenceCase>,
    kept: Vec<KeptCase>,
}

#[derive(Deserialize)]
struct SequenceCase {
    seed: u64,
    prompt: Vec<u32>,
    num_beams: usize,
    min_length: usize,
    max_length: usize,
    repetition_penalty: f32,
    ids: Vec<u32>,
}

#[derive(Deserialize)]
struct KeptCase {
    seed: u64,
    coarse: bool,
    top_p: f64,
    kept: Vec<u32>,
}

fn recorded() -> Recorded {
    serde_json::from_str(include_str!("fixtures/generated.json")).unwrap()
}

/// The recording script's language model, and the sequences that its rows hold.
struct TableModel {
    period: usize,
    vocabulary: usize,
    values: Vec<f32>, // (period + 1, vocabulary, vocabulary)
    rows: Vec<Vec<u32>>,
}

impl TableModel {
    fn new(recorded: &Recorded, seed: u64, vocabulary: usize, num_beams: usize) -> Self {
        let values = numbers(seed, (recorded.period + 1) * vocabulary * vocabulary);
        Self { period: recorded.period, vocabulary, values, rows: vec![Vec::new(); num_beams] }
    }

    fn add_end_bias(mut self, recorded: &Recorded) -> Self {
        let biased = self.period * self.vocabulary * self.vocabulary;
        for row in self.values[..biased].chunks_mut(self.vocabulary) {
            row[recorded.end as usize] += recorded.end_bias;
        }
        self
    }

    fn next(&mut self, tokens: &[u32], parents: &[usize]) -> Vec<f32> {
        assert_eq!((tokens.len(), parents.len()), (self.rows.len(), self.rows.len()));
        let extended = tokens.iter().zip(parents).map(|(token, &parent)| [&self.rows[parent][..], &[*token]].concat());
        self.rows = extended.collect();
        self.rows.iter().flat_map(|row| self.logits(row)).collect()
    }

    fn logits(&self, sequence: &[u32]) -> Vec<f32> {
        let position = sequence.len() - 1;
        let entry = |table: usize, token: u32| {
            self.values.chunks(self.vocabulary).nth(table * self.vocabulary + token as usize).unwrap()
        };
        let last = entry(position % self.period, sequence[position]);
        let before = entry(self.period, sequence[position.saturating_sub(1)]);
        last.iter().zip(before).map(|(a, b)| a + b).collect()
    }
}

/// Nearly normal numbers: four 16-bit draws of an LCG, summed and centred; exact in f32.
fn numbers(seed: u64, count: usize) -> Vec<f32> {
    let mut state = seed;
    let mut draw = || {
        state = state.wrapping_mul(6364136223846793005).wrapping_add(1442695040888963407);
        (state >> 48) as f32
    };
    (0..count).map(|_| ((0..4).map(|_| draw()).sum::<f32>() - 131070.0) / 16384.0).collect()
}

fn greedy() -> GenerationOptions {
    GenerationOptions { num_beams: 1, min_length: 0, max_length: 20, repetition_penalty: 1.0, nucleus: None }
}

fn no_numbers() -> f64 {
    panic!("only sampling asks for random numbers")
}

#[test]
fn sequences_equal_transformers() {
    let recorded = recorded();
    for case in &recorded.sequences {
        let &SequenceCase { num_beams, min_length, max_length, repetition_penalty, .. } = case;
        let options = GenerationOptions { num_beams, min_length, max_length, repetition_penalty, nucleus: None };
        let mut model = TableModel::new(&recorded, case.seed, recorded.vocabulary, num_beams).add_end_bias(&recorded);
        let mut next = |tokens: &[u32], parents: &[usize]| Ok(model.next(tokens, parents));
        let marks = Marks { end: recorded.end };
        let ids = generate(&case.prompt, &options, &marks, &mut no_numbers, &mut next).unwrap();
        assert_eq!(ids, case.ids, "seed {} with {options:?}", case.seed);
        assert!(model.rows[0].len() < max_length, "seed {}: the cache holds {} tokens", case.seed, model.rows[0].len());
    }
}

/// Some recorded rows have equal logits at the 50th place.
#[test]
fn sampled_tokens_are_those_transformers_keeps() {
    let recorded = recorded();
    for case in &recorded.kept {
        let mut model = TableModel::new(&recorded, case.seed, recorded.sampling_vocabulary, 1);
        if case.coarse {
            model.values.iter_mut().for_each(|value| *value = value.round_ties_even());
        }
        let nucleus = Nucleus { top_p: case.top_p };
        let kept: Vec<u32> = nucleus.kept(&model.logits(&[1])).into_iter().map(|(token, _)| token).collect();
        assert_eq!(kept, case.kept, "seed {}", case.seed);
    }
}

#[test]
fn sampling_draws_each_kept_token_as_often_as_it_is_likely() {
    let scores: Vec<f32> = [0.1f32, 0.4, 0.05, 0.3, 0.15].iter().map(|probability| probability.ln()).collect();
    let nucleus = Nucleus { top_p: 0.8 }; // drops the third and the first
    let draws = 8500;
    let mut counts = [0; 5];
    for index in 0..draws {
        counts[nucleus.draw(&scores, (f64::from(index) + 0.5) / f64::from(draws)) as usize] += 1;
    }
    // shares 0.4, 0.3 and 0.15 of 0.85; f32 rounding may move a draw across an edge
    for (count, expected) in counts.into_iter().zip([0, 4000, 0, 3000, 1500]) {
        assert!(i32::abs(count - expected) <= 1 && (count == 0) == (expected == 0), "{counts:?}");
    }
}

#[test]
fn sampling_asks_for_one_number_per_token_and_takes_ids_in_order() {
    let recorded = recorded();
    let case = recorded.kept.iter().find(|case| !case.coarse && case.kept.len() > 10).unwrap();
    for (uniform, token) in [(0.0, case.kept.first()), (1.0 - f64::EPSILON / 2.0, case.kept.last())] {
        let mut model = TableModel::new(&recorded, case.seed, recorded.sampling_vocabulary, 1);
        let options = GenerationOptions { max_length: 4, nucleus: Some(Nucleus { top_p: case.top_p }), ..greedy() };
        let mut asked = 0;
        let mut counted = || {
            asked += 1;
            uniform
        };
        let mut next = |tokens: &[u32], parents: &[usize]| Ok(model.next(tokens, parents));
        let ids = generate(&[1], &options, &Marks { end: recorded.end }, &mut counted, &mut next).unwrap();
        assert_eq!(ids.get(1), token);
        assert_eq!(asked, ids.len() - 1);
    }
}

#[test]
fn the_likeliest_token_is_kept_however_small_the_nucleus() {
    let kept = Nucleus { top_p: 1e-9 }.kept(&[0.0, 200.0, 1.0]);
    assert_eq!(kept, [(1, 1.0)]);
}

#[test]
fn a_draw_on_an_edge_takes_the_upper_token_and_an_exact_nucleus_is_enough() {
    let four_equal = [0.0; 4];
    assert_eq!(Nucleus { top_p: 1.0 }.draw(&four_equal, 0.25), 1);
    assert_eq!(Nucleus { top_p: 0.5 }.kept(&four_equal).len(), 2);
}

#[test]
fn of_equal_logits_the_first_token_is_taken() {
    assert_eq!(scores::best(&[-1.0, 2.0, 0.5, 2.0]), 1);
    assert_eq!(scores::best(&[-0.0, 0.0]), 0);
    let beams = GenerationOptions { num_beams: 2, max_length: 4, ..greedy() };
    assert_eq!(generate_from(Ok(vec![0.0; 80]), &[1], &beams).unwrap(), [1, 0, 0, 0]);
}

#[test]
fn a_token_is_penalized_once_towards_less_likely() {
    let mut scores = [4.0, -4.0, 1.0, 0.0];
    let options = GenerationOptions { repetition_penalty: 2.0, min_length: 6, ..greedy() };
    scores::adjust(&mut scores, &[0, 1, 0, 1, 0], &options, 3);
    assert_eq!(scores, [2.0, -8.0, 1.0, f32::NEG_INFINITY]);
}

/// What generation gives for a model that answers every call with `logits`.
fn generate_from(logits: Result<Vec<f32>>, prompt: &[u32], options: &GenerationOptions) -> Result<Vec<u32>> {
    let mut next = |_: &[u32], _: &[usize]| match &logits {
        Ok(logits) => Ok(logits.clone()),
        Err(error) => bail!("{error}"),
    };
    generate(prompt, options, &Marks { end: 2 }, &mut || 0.5, &mut next)
}

#[test]
fn options_that_contradict_name_the_option_to_change() {
    let sampling = |top_p| Some(Nucleus { top_p });
    let cases = [
        (GenerationOptions { num_beams: 0, ..greedy() }, "--num-beams 0"),
        (GenerationOptions { num_beams: 20, ..greedy() }, "--num-beams 20"),
        (GenerationOptions { min_length: 21, ..greedy() }, "--min-length 21"),
        (GenerationOptions { max_length: 3, ..greedy() }, "--max-length 3"),
        (GenerationOptions { repetition_penalty: 0.0, ..greedy() }, "--repetition-penalty 0"),
        (GenerationOptions { repetition_penalty: f32::NAN, ..greedy() }, "--repetition-penalty NaN"),
        (GenerationOptions { repetition_penalty: f32::INFINITY, ..greedy() }, "--repetition-penalty inf"),
        (GenerationOptions { nucleus: sampling(0.0), ..greedy() }, "--top-p 0"),
        (GenerationOptions { nucleus: sampling(1.01), ..greedy() }, "--top-p 1.01"),
        (GenerationOptions { nucleus: sampling(f64::NAN), ..greedy() }, "--top-p NaN"),
        (GenerationOptions { nucleus: sampling(0.9), num_beams: 2, ..greedy() }, "--num-beams is 2"),
    ];
    for (options, named) in cases {
        let error = generate_from(Ok(vec![0.0; 40 * options.num_beams]), &[1, 3, 3], &options).unwrap_err();
        assert!(error.to_string().contains(named), "{error}");
    }
    let bounds = GenerationOptions { min_length: 4, max_length: 4, nucleus: sampling(1.0), ..greedy() };
    assert!(bounds.check(3).is_ok());
}

#[test]
fn a_model_that_answers_wrongly_is_an_error() {
    let beams = GenerationOptions { num_beams: 3, ..greedy() };
    let cases = [
        (Err(anyhow::anyhow!("device lost")), &[1][..], "device lost"),
        (Ok(vec![0.0; 40]), &[1], "40 logits for 3 rows"),
        (Ok(Vec::new()), &[1], "0 logits"),
        (Ok(vec![f32::NAN; 120]), &[1], "no finite number"),
        (Ok(vec![0.0; 120]), &[1, 40], "token 40 is outside"),
        (Ok(vec![0.0; 6]), &[1], "token 2 is outside"),
        (Ok(vec![0.0; 120]), &[], "prompt is empty"),
    ];
    for (logits, prompt, text) in cases {
        let error = generate_from(logits, prompt, &beams).unwrap_err();
        assert!(error.to_string().contains(text), "{error}");
    }
}
