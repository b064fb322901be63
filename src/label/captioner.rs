//! BLIP on the device: a picture is looked at once, then a caption grows token by token.

use anyhow::{Result, ensure};

use crate::{
    gpu::{Buffer, BufferSlice, Gpu},
    models::{BlipText, BlipTextConfig, KeysValues, VisionConfig, VisionTransformer},
    nn::Builder,
    tape::{DType, Input, Plan, Program, Tape},
    weights::{ModelFolder, PartTensors},
};

/// Marks of the published models, for a `config.json` that does not state its own.
const BEGIN: u32 = 30_522;
const END: u32 = 102;

/// The weights of a BLIP captioner, image encoder and text decoder.
pub struct BlipParts {
    vision: PartTensors,
    text: PartTensors,
    /// The token that every caption begins with.
    pub begin: u32,
    /// The token that ends one: BERT's separator.
    pub end: u32,
}

impl BlipParts {
    /// # Errors
    /// A weight in a storage type that cannot be computed with.
    pub fn open(folder: &ModelFolder) -> Result<Self> {
        Ok(Self {
            vision: folder.part("vision_config")?,
            text: folder.part("text_config")?,
            begin: folder.token("bos_token_id").unwrap_or(BEGIN),
            end: folder.token("sep_token_id").unwrap_or(END),
        })
    }
}

/// BLIP, compiled for a number of captions of one picture that grow side by side.
pub struct Captioner<'a> {
    text: BlipText<'a>,
    vision: VisionConfig,
    look: Program,
    patches: Input,
    /// They take turns with two caches: what one writes, the next one reads.
    steps: [(Program, StepInputs); 2],
    rows: usize,
    /// Tokens that every caption has so far.
    position: usize,
    max_length: usize,
}

/// The buffers through which the programs hand on what they computed.
struct Buffers {
    picture: Vec<KeysValues<BufferSlice>>,
    caches: [Vec<KeysValues<BufferSlice>>; 2],
}

impl<'a> Captioner<'a> {
    /// Builds, uploads and compiles BLIP for `rows` captions at once of at most `max_length` tokens.
    ///
    /// # Errors
    /// Missing or misshapen tensors; captions longer than the model writes; a failure of the device.
    pub fn new(gpu: &Gpu, parts: &'a BlipParts, rows: usize, max_length: usize) -> Result<Self> {
        let vision_builder = Builder::new(&parts.vision);
        let vision = VisionTransformer::blip(&vision_builder, VisionConfig::blip(&parts.vision)?);
        let text_builder = Builder::new(&parts.text);
        let text = BlipText::new(&text_builder, BlipTextConfig::of(&parts.text)?);
        let longest = text.config.positions;
        ensure!(max_length <= longest, "--max-length {max_length}: this model writes at most {longest} tokens");
        vision_builder.finish("BLIP", "image encoder")?.upload(gpu, |_| {})?;
        text_builder.finish("BLIP", "text decoder")?.upload(gpu, |_| {})?;
        let shape = [rows, max_length, text.config.width];
        let buffers = Buffers::declare(&text.config, vision.config.tokens(), &shape);
        let (look_tape, looked_at) = record_look(&vision, &text, &buffers);
        let [(even, even_inputs), (odd, odd_inputs)] = [0, 1].map(|turn| record_step(&text, &buffers, turn, &shape));
        let plans = vec![
            Plan::new("look at the picture", look_tape, gpu.caps())?,
            Plan::new("even token", even, gpu.caps())?,
            Plan::new("odd token", odd, gpu.caps())?,
        ];
        let mut programs = Program::build(gpu, plans)?.into_iter();
        let mut next = || programs.next().expect("as many programs as plans");
        let (look, steps) = (next(), [(next(), even_inputs), (next(), odd_inputs)]);
        look.write(gpu, looked_at.positions, vision.table());
        let patches = looked_at.patches;
        Ok(Self { text, vision: vision.config, look, patches, steps, rows, position: 0, max_length })
    }

    /// Side and patch size of the pictures that it looks at, in pixels.
    pub fn image(&self) -> &VisionConfig {
        &self.vision
    }

    /// How many tokens there are.
    pub fn vocabulary(&self) -> usize {
        self.text.config.vocabulary
    }

    /// Looks at a picture, given as [`VisionConfig::tokens`] patches, and begins captions of it.
    pub fn look(&mut self, gpu: &Gpu, patches: &[f32]) {
        self.look.write(gpu, self.patches, patches);
        self.look.replay(gpu);
        self.position = 0;
    }

    /// What the image encoder made of the picture, (N, width).
    ///
    /// # Errors
    /// A failure of the device.
    pub fn image_embeds(&self, gpu: &Gpu) -> Result<Vec<f32>> {
        Ok(self.look.read(gpu, "image_embeds")?)
    }

    /// Appends a token to what each row's parent held, and gives the logits of what follows, (rows, vocabulary).
    ///
    /// # Errors
    /// A token that the vocabulary lacks; a failure of the device.
    pub fn next(&mut self, gpu: &Gpu, tokens: &[u32], parents: &[usize]) -> Result<Vec<f32>> {
        assert!(tokens.len() == self.rows && parents.len() == self.rows, "a token and a parent for each row");
        assert!(self.position < self.max_length, "a caption grows past its {} tokens", self.max_length);
        let (program, inputs) = &self.steps[self.position % 2];
        let step: Vec<u32> = [self.position].iter().chain(parents).map(|&number| number as u32).collect();
        program.write(gpu, inputs.step, &step);
        program.write(gpu, inputs.embedded, &self.text.embed(tokens, self.position)?);
        program.replay(gpu);
        self.position += 1;
        let logits = program.read(gpu, "logits")?;
        let padded = logits.len() / self.rows;
        let rows = logits.chunks_exact(padded).flat_map(|row| &row[..self.text.config.vocabulary]);
        Ok(rows.copied().collect())
    }
}

/// Inputs of looking at a picture.
struct LookInputs {
    patches: Input,
    positions: Input,
}

/// Inputs of a token further.
struct StepInputs {
    /// Position, then each row's parent.
    step: Input,
    embedded: Input,
}

impl Buffers {
    fn declare(config: &BlipTextConfig, image_tokens: usize, shape: &[usize; 3]) -> Self {
        let layers = |what: &str, elements: usize| {
            let buffer = |name: String| Buffer::declare(name, 4 * elements as u64).whole();
            let layer = |layer| KeysValues {
                keys: buffer(format!("{what} keys {layer}")),
                values: buffer(format!("{what} values {layer}")),
            };
            (0..config.layers).map(layer).collect::<Vec<_>>()
        };
        let cached = shape.iter().product();
        Self {
            picture: layers("picture", image_tokens * config.width),
            caches: ["even", "odd"].map(|turn| layers(turn, cached)),
        }
    }
}

fn record_look(vision: &VisionTransformer, text: &BlipText<'_>, buffers: &Buffers) -> (Tape, LookInputs) {
    let mut tape = Tape::new();
    let config = &vision.config;
    let patches = tape.input("patches", &[1, config.tokens(), config.patch_values()]);
    let positions = tape.input("positions", &[1, config.tokens(), config.width]);
    let image = vision.forward(&mut tape, patches.value, positions.value);
    tape.keep("image_embeds", image);
    for (value, buffer) in text.picture(&mut tape, image).iter().zip(&buffers.picture) {
        tape.place(value.keys, &buffer.keys);
        tape.place(value.values, &buffer.values);
    }
    (tape, LookInputs { patches, positions })
}

/// The step that reads cache `turn` and writes the other one. `shape`: (rows, max_length, width).
fn record_step(text: &BlipText<'_>, buffers: &Buffers, turn: usize, shape: &[usize; 3]) -> (Tape, StepInputs) {
    let mut tape = Tape::new();
    let [rows, _, width] = *shape;
    let step = tape.input_of("step", &[1 + rows], DType::U32);
    let embedded = tape.input("embedded", &[rows, width]);
    let mut read = |slices: &[KeysValues<BufferSlice>], shape: &[usize]| -> Vec<KeysValues> {
        let mut value = |slice: &BufferSlice| tape.external("keys or values", shape, DType::F32, slice);
        slices.iter().map(|layer| KeysValues { keys: value(&layer.keys), values: value(&layer.values) }).collect()
    };
    let caches = read(&buffers.caches[turn], shape);
    let tokens = buffers.picture.first().map_or(0, |layer| layer.keys.bytes as usize / 4 / width);
    let picture = read(&buffers.picture, &[1, tokens, width]);
    let outputs = text.forward(&mut tape, embedded.value, step.value, &caches, &picture);
    for (value, buffer) in outputs.caches.iter().zip(&buffers.caches[1 - turn]) {
        tape.place(value.keys, &buffer.keys);
        tape.place(value.values, &buffer.values);
    }
    tape.keep("logits", outputs.logits);
    (tape, StepInputs { step, embedded })
}
