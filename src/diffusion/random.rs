//! Random numbers of a training run, each a function of (seed, purpose, step, sample, element).
//!
//! Nothing is carried from draw to draw: a resumed run needs no generator state, and the numbers do not depend on
//! device, batch size or thread order. Computed in f64 and rounded to f32 once.

use std::ops::Range;

use super::philox::philox_4x32_10;

/// What a stream of numbers is for. Streams of different purposes share no number.
///
/// The discriminants are part of every saved run: never renumber.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u32)]
pub enum Purpose {
    /// ε of a training example.
    Noise = 0,
    /// Timestep of a training example.
    Timestep = 1,
    /// Order of the examples within an epoch.
    EpochOrder = 2,
    /// First values of an adapter module; the step is the tensor's number.
    AdapterInit = 3,
    /// ε of a probe: the same at every measurement.
    ProbeNoise = 4,
    /// Tokens of a caption that is drawn at random; the sample is the picture.
    Caption = 5,
    /// What `noise_offset` adds to a channel of ε.
    NoiseOffset = 6,
    /// Levels of multi-resolution noise, one after the other.
    Multires = 7,
    /// How much smaller each level of multi-resolution noise is; the sample is 0.
    MultiresRatio = 8,
    /// What `ip_noise_gamma` adds to ε for the U-Net's input.
    InputPerturbation = 9,
    /// Strengths that are drawn once for an update; the sample is 0.
    NoiseStrength = 10,
    /// Which ranks of a LoRA are left out for a picture.
    RankDropout = 11,
    /// Which modules of a LoRA are left out in a step.
    ModuleDropout = 12,
}

/// The numbers of one (seed, purpose, step, sample).
///
/// Philox key = seed; counter = (element ÷ numbers per block, sample, step, purpose).
#[derive(Clone, Copy, Debug)]
pub struct Stream {
    key: [u32; 2],
    sample: u32,
    step: u32,
    purpose: Purpose,
}

impl Stream {
    pub fn new(seed: u64, purpose: Purpose, step: u32, sample: u32) -> Self {
        Self { key: [seed as u32, (seed >> 32) as u32], sample, step, purpose }
    }

    fn block(&self, index: u32) -> [u32; 4] {
        philox_4x32_10([index, self.sample, self.step, self.purpose as u32], self.key)
    }

    /// Fills `out` with standard normal numbers (Box–Muller); a longer slice begins with the numbers of a shorter one.
    pub fn fill_normal(&self, out: &mut [f32]) {
        self.fill_by_block(out, |words| {
            let (a, b) = box_muller(words[0], words[1]);
            let (c, d) = box_muller(words[2], words[3]);
            [a, b, c, d]
        });
    }

    /// Fills `out` with numbers uniform in (−bound, bound).
    pub fn fill_uniform(&self, bound: f64, out: &mut [f32]) {
        self.fill_by_block(out, |words| words.map(|word| bound * (2.0 * open_unit(word) - 1.0)));
    }

    /// Fills `out` as `kaiming_uniform` with a = √5 does for `fan_in` inputs: uniform in (−1/√fan_in, 1/√fan_in).
    pub fn fill_kaiming(&self, fan_in: usize, out: &mut [f32]) {
        self.fill_uniform(1.0 / (fan_in as f64).sqrt(), out);
    }

    fn fill_by_block(&self, out: &mut [f32], numbers: impl Fn([u32; 4]) -> [f64; 4]) {
        for (index, chunk) in out.chunks_mut(4).enumerate() {
            let index = u32::try_from(index).expect("a slice of 2^34 numbers does not fit a GPU buffer");
            for (slot, number) in chunk.iter_mut().zip(numbers(self.block(index))) {
                *slot = number as f32;
            }
        }
    }

    /// The `index`-th whole number of the stream, uniform in 0..`count` (bias below `count` / 2^64).
    pub fn below(&self, count: u64, index: u32) -> u64 {
        let words = self.block(index);
        let wide = u64::from(words[0]) << 32 | u64::from(words[1]);
        ((u128::from(wide) * u128::from(count)) >> 64) as u64
    }

    /// The `index`-th number of the stream, uniform in (0, 1).
    pub fn unit(&self, index: u32) -> f64 {
        open_unit(self.block(index)[0])
    }
}

/// A word as a number in the open interval (0, 1).
fn open_unit(word: u32) -> f64 {
    (f64::from(word) + 0.5) / 4_294_967_296.0
}

/// Two independent standard normal numbers: (r cos v, r sin v), r = √(−2 ln u).
fn box_muller(u: u32, v: u32) -> (f64, f64) {
    let radius = (-2.0 * open_unit(u).ln()).sqrt();
    let (sin, cos) = (std::f64::consts::TAU * open_unit(v)).sin_cos();
    (radius * cos, radius * sin)
}

/// ε for one example of one optimizer step, in the order of the latent tensor's elements (H, W, C).
///
/// `sample` counts the examples of the step: micro-batch by micro-batch, row by row.
pub fn training_noise(seed: u64, step: u32, sample: u32, out: &mut [f32]) {
    Stream::new(seed, Purpose::Noise, step, sample).fill_normal(out);
}

/// ε of probe number `sample`, the same throughout a run.
pub fn probe_noise(seed: u64, sample: u32, out: &mut [f32]) {
    Stream::new(seed, Purpose::ProbeNoise, 0, sample).fill_normal(out);
}

/// Timestep for one example of one optimizer step, uniform in `timesteps`, which are not empty.
pub fn training_timestep(seed: u64, step: u32, sample: u32, timesteps: Range<usize>) -> usize {
    let stream = Stream::new(seed, Purpose::Timestep, step, sample);
    timesteps.start + stream.below(timesteps.len() as u64, 0) as usize
}

/// The order in which an epoch visits `count` examples: a permutation of 0..`count` (Fisher–Yates).
pub fn epoch_order(seed: u64, epoch: u32, count: usize) -> Vec<usize> {
    let stream = Stream::new(seed, Purpose::EpochOrder, epoch, 0);
    let mut order: Vec<usize> = (0..count).collect();
    for last in (1..count).rev() {
        order.swap(last, stream.below(last as u64 + 1, last as u32) as usize);
    }
    order
}

/// First values of tensor number `tensor` of adapter module number `module`.
pub fn adapter_init(seed: u64, module: u32, tensor: u32) -> Stream {
    Stream::new(seed, Purpose::AdapterInit, tensor, module)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn moments(values: &[f32]) -> (f64, f64, f64) {
        let n = values.len() as f64;
        let mean = values.iter().map(|&x| f64::from(x)).sum::<f64>() / n;
        let central = |power| values.iter().map(|&x| (f64::from(x) - mean).powi(power)).sum::<f64>() / n;
        (mean, central(2), central(4))
    }

    /// A million draws: the standard errors are 0.001 for the mean, 0.0014 for the variance, 0.01 for the kurtosis.
    #[test]
    fn noise_is_standard_normal() {
        let mut noise = vec![0.0; 1_000_000];
        training_noise(42, 3, 1, &mut noise);
        let (mean, variance, fourth) = moments(&noise);
        assert!(mean.abs() < 0.005, "mean {mean}");
        assert!((variance - 1.0).abs() < 0.007, "variance {variance}");
        assert!((fourth - 3.0).abs() < 0.05, "fourth moment {fourth}");
        let neighbours: f64 = noise.windows(2).map(|w| f64::from(w[0]) * f64::from(w[1])).sum::<f64>() / 1e6;
        assert!(neighbours.abs() < 0.005, "correlation of neighbours {neighbours}");
    }

    /// Saved runs resume with these numbers: a change here breaks resuming, so the first ones are pinned
    /// (computed with a separate Philox in Python).
    #[test]
    fn first_numbers_are_pinned() {
        let mut noise = [0.0; 5];
        training_noise(42, 7, 2, &mut noise);
        assert_eq!(noise, [-0.203_220_65, -0.574_985_7, -1.526_056_4, 1.177_552_7, -0.522_838_83]);
        assert_eq!(training_timestep(42, 7, 2, 0..1000), 450);
        let mut down = [0.0; 2];
        adapter_init(42, 5, 0).fill_kaiming(320, &mut down);
        assert_eq!(down, [-0.017_179_115, 0.042_620_43]);
    }

    #[test]
    fn every_part_of_the_key_matters() {
        let first = |seed, purpose, step, sample| {
            let mut out = [0.0; 8];
            Stream::new(seed, purpose, step, sample).fill_normal(&mut out);
            out
        };
        let reference = first(1, Purpose::Noise, 1, 1);
        assert_ne!(reference, first(2, Purpose::Noise, 1, 1));
        assert_ne!(reference, first(1 | 1 << 32, Purpose::Noise, 1, 1));
        assert_ne!(reference, first(1, Purpose::Timestep, 1, 1));
        assert_ne!(reference, first(1, Purpose::Noise, 2, 1));
        assert_ne!(reference, first(1, Purpose::Noise, 1, 2));
    }

    #[test]
    fn timesteps_are_uniform() {
        let mut tenths = [0u32; 10];
        for step in 0..20_000 {
            tenths[training_timestep(5, step, 0, 0..1000) / 100] += 1;
        }
        // 2000 expected, standard deviation 42
        assert!(tenths.iter().all(|&n| (1800..2200).contains(&n)), "{tenths:?}");
    }

    #[test]
    fn timesteps_stay_in_their_range() {
        let drawn: Vec<usize> = (0..2000).map(|step| training_timestep(5, step, 0, 200..203)).collect();
        for timestep in 200..203 {
            // 667 expected, standard deviation 21
            let count = drawn.iter().filter(|&&drawn| drawn == timestep).count();
            assert!((560..780).contains(&count), "{timestep}: {count}");
        }
        assert_eq!(drawn.iter().filter(|&&timestep| !(200..203).contains(&timestep)).count(), 0);
    }

    #[test]
    fn epoch_order_is_a_permutation_that_changes_with_epoch_and_seed() {
        let order = epoch_order(42, 0, 100);
        let mut sorted = order.clone();
        sorted.sort_unstable();
        assert_eq!(sorted, (0..100).collect::<Vec<_>>());
        assert_ne!(order, sorted);
        assert_ne!(order, epoch_order(42, 1, 100));
        assert_ne!(order, epoch_order(43, 0, 100));
        assert_eq!(order, epoch_order(42, 0, 100));
        assert!(epoch_order(42, 0, 0).is_empty());
    }

    /// Each of the six orders of three examples turns up about equally often.
    #[test]
    fn epoch_order_is_fair() {
        let mut counts = std::collections::HashMap::new();
        for epoch in 0..6000 {
            *counts.entry(epoch_order(9, epoch, 3)).or_insert(0u32) += 1;
        }
        assert_eq!(counts.len(), 6);
        assert!(counts.values().all(|&n| (850..1150).contains(&n)), "{counts:?}");
    }

    #[test]
    fn a_kaiming_fill_fills_the_kaiming_interval() {
        let mut down = vec![0.0; 8 * 320];
        adapter_init(42, 0, 0).fill_kaiming(320, &mut down);
        let bound = 1.0 / 320f32.sqrt();
        let (low, high) = down.iter().fold((0f32, 0f32), |(low, high), &x| (low.min(x), high.max(x)));
        assert!(low >= -bound && low < -0.99 * bound, "{low}");
        assert!(high <= bound && high > 0.99 * bound, "{high}");
        let (mean, variance, _) = moments(&down);
        assert!(mean.abs() < 0.05 * f64::from(bound));
        assert!((variance * 3.0 * 320.0 - 1.0).abs() < 0.1);
    }
}
