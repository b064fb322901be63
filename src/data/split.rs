//! Which pictures are kept apart to measure what the training has not seen.

use anyhow::{Result, ensure};

use super::names::natural_order;

/// Fewer pictures than this are all trained on.
const SMALLEST_SPLIT_SET: usize = 40;
const LARGEST_DEFAULT_VALIDATION: usize = 8;
const PROBES: usize = 8;

/// Indices into the training set, each part in ascending order.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Split {
    pub train: Vec<usize>,
    /// Never trained on. Empty in small sets.
    pub validation: Vec<usize>,
    /// At most 8 pictures, spread evenly over the training part, on which a loss can be followed where there is no
    /// validation part.
    pub probes: Vec<usize>,
}

impl Split {
    /// Splits pictures by name. Without `share`, sets of 40 and more keep one in ten apart, at most 8; with it,
    /// that share (0 to below 1), at least one picture unless it is 0. The choice hangs on `seed` and the names
    /// alone, so a picture more or less hardly changes it.
    pub fn choose(names: &[String], share: Option<f32>, seed: u64) -> Result<Self> {
        let count = validation_count(names.len(), share)?;
        let mut order: Vec<usize> = (0..names.len()).collect();
        order.sort_by(|&left, &right| {
            let rank = |index: usize| draw(&names[index], seed);
            rank(left).cmp(&rank(right)).then_with(|| natural_order(&names[left], &names[right]))
        });
        let (validation, train) = order.split_at(count);
        let (mut validation, mut train) = (validation.to_vec(), train.to_vec());
        validation.sort_unstable();
        train.sort_unstable();
        let probes = spread(train.len()).map(|position| train[position]).collect();
        Ok(Self { train, validation, probes })
    }
}

fn validation_count(pictures: usize, share: Option<f32>) -> Result<usize> {
    let Some(share) = share else {
        let wanted = if pictures < SMALLEST_SPLIT_SET { 0 } else { pictures / 10 };
        return Ok(wanted.min(LARGEST_DEFAULT_VALIDATION));
    };
    ensure!((0.0..1.0).contains(&share), "validation_split is {share}: it is a share, from 0 to below 1");
    if share == 0.0 {
        return Ok(0);
    }
    let count = ((pictures as f32 * share).round() as usize).max(1);
    ensure!(count < pictures, "validation_split {share} leaves none of the {pictures} pictures to train on");
    Ok(count)
}

/// A number that looks drawn at random for each seed and name, and is always the same.
fn draw(name: &str, seed: u64) -> [u8; 32] {
    blake3::Hasher::new().update(&seed.to_le_bytes()).update(name.as_bytes()).finalize().into()
}

/// Up to [`PROBES`] positions, spread evenly over `count`.
fn spread(count: usize) -> impl Iterator<Item = usize> {
    let probes = count.min(PROBES);
    (0..probes).map(move |probe| probe * count / probes)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(count: usize) -> Vec<String> {
        (0..count).map(|n| format!("img{n}.png")).collect()
    }

    fn validation(count: usize, share: Option<f32>, seed: u64) -> Vec<usize> {
        Split::choose(&names(count), share, seed).unwrap().validation
    }

    #[test]
    fn default_is_off_below_forty_then_one_in_ten_up_to_eight() {
        let counts = [0, 1, 39, 40, 79, 80, 1000].map(|count| validation(count, None, 42).len());
        assert_eq!(counts, [0, 0, 0, 4, 7, 8, 8]);
    }

    #[test]
    fn parts_are_disjoint_complete_and_seeded() {
        let split = Split::choose(&names(60), Some(0.25), 1).unwrap();
        assert_eq!(split.validation.len(), 15);
        let mut all = [split.train.clone(), split.validation.clone()].concat();
        all.sort_unstable();
        assert_eq!(all, (0..60).collect::<Vec<_>>());
        assert!(split.validation.is_sorted() && split.train.is_sorted());
        assert_eq!(validation(60, Some(0.25), 1), split.validation);
        assert_ne!(validation(60, Some(0.25), 2), split.validation);
    }

    #[test]
    fn one_more_picture_displaces_at_most_one() {
        let before = validation(79, Some(0.1), 42);
        let after = validation(80, Some(0.1), 42);
        assert_eq!((before.len(), after.len()), (8, 8));
        assert!(before.iter().filter(|index| after.contains(index)).count() >= 7);
    }

    #[test]
    fn shares_that_leave_nothing_are_refused() {
        assert!(Split::choose(&names(10), Some(1.0), 0).is_err());
        assert!(Split::choose(&names(10), Some(-0.1), 0).is_err());
        assert!(Split::choose(&names(1), Some(0.5), 0).unwrap_err().to_string().contains("leaves none"));
        assert_eq!(validation(50, Some(0.0), 0).len(), 0);
    }

    #[test]
    fn probes_are_spread_over_the_training_part() {
        assert_eq!(Split::choose(&names(3), None, 0).unwrap().probes, [0, 1, 2]);
        assert_eq!(Split::choose(&names(16), None, 0).unwrap().probes, [0, 2, 4, 6, 8, 10, 12, 14]);
        let split = Split::choose(&names(100), None, 0).unwrap();
        assert_eq!(split.probes.len(), 8);
        assert!(split.probes.iter().all(|probe| split.train.contains(probe)));
    }
}
