//! Which tags fit a picture, and which pictures are nearly the same.

use super::TagList;

/// A tag that was chosen for a picture.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Chosen {
    /// Of [`TagList::tags`].
    pub index: usize,
    /// Among the tags of its group, 0 to 1.
    pub probability: f32,
}

/// The tags of a picture: those whose probability, the softmax of `logit_scale · similarity` within their group, is
/// at least `threshold`, at most `most` of a group; group after group, the most probable first. The only tag of a
/// group has nothing to be compared with: its probability is 1.
///
/// `similarities` are the cosines between the picture's embedding and each tag's.
pub fn choose(tags: &TagList, similarities: &[f32], logit_scale: f32, threshold: f32, most: usize) -> Vec<Chosen> {
    assert_eq!(similarities.len(), tags.tags.len(), "one similarity for each tag");
    let of_group = |group| {
        let mut ranked = probabilities(tags, group, similarities, logit_scale);
        ranked.sort_by(|left, right| right.probability.total_cmp(&left.probability));
        ranked.into_iter().filter(|chosen| chosen.probability >= threshold).take(most)
    };
    (0..tags.groups.len()).flat_map(of_group).collect()
}

fn probabilities(tags: &TagList, group: usize, similarities: &[f32], logit_scale: f32) -> Vec<Chosen> {
    let members = tags.tags.iter().zip(similarities).enumerate().filter(|(_, (tag, _))| tag.group == group);
    let logits: Vec<(usize, f32)> = members.map(|(index, (_, similarity))| (index, logit_scale * similarity)).collect();
    let largest = logits.iter().map(|&(_, logit)| logit).fold(f32::NEG_INFINITY, f32::max);
    let sum: f32 = logits.iter().map(|&(_, logit)| (logit - largest).exp()).sum();
    let chosen = |&(index, logit): &(usize, f32)| Chosen { index, probability: (logit - largest).exp() / sum };
    logits.iter().map(chosen).collect()
}

/// Pairs of pictures (first, second, cosine) whose embeddings, vectors of length 1, have at least the cosine
/// `threshold`. Every picture is compared with every other.
pub fn near_duplicates(embeddings: &[Vec<f32>], threshold: f32) -> Vec<(usize, usize, f32)> {
    let mut pairs = Vec::new();
    for (first, left) in embeddings.iter().enumerate() {
        for (second, right) in embeddings.iter().enumerate().skip(first + 1) {
            let cosine: f32 = left.iter().zip(right).map(|(left, right)| left * right).sum();
            if cosine >= threshold {
                pairs.push((first, second, cosine));
            }
        }
    }
    pairs
}

#[cfg(test)]
mod tests {
    use super::super::Tag;
    use super::*;

    fn list(groups: &[usize]) -> TagList {
        let tags = groups.iter().map(|&group| Tag { group, tag: String::new(), chinese: String::new() });
        let names = groups.iter().max().map_or(0, |last| last + 1);
        TagList { groups: vec![String::new(); names], tags: tags.collect(), encoding: None }
    }

    fn indices(chosen: &[Chosen]) -> Vec<usize> {
        chosen.iter().map(|chosen| chosen.index).collect()
    }

    #[test]
    fn probabilities_are_a_softmax_within_the_group() {
        // The logits 0, ln 2, ln 5 give 1/8, 2/8, 5/8, whatever another group has.
        let similarities = [0.0, 2f32.ln() / 100.0, 5f32.ln() / 100.0, 0.9, 0.9];
        let chosen = choose(&list(&[0, 0, 0, 1, 1]), &similarities, 100.0, 0.0, 5);
        assert_eq!(indices(&chosen), [2, 1, 0, 3, 4]);
        for (chosen, expected) in chosen.iter().zip([0.625, 0.25, 0.125, 0.5, 0.5]) {
            assert!((chosen.probability - expected).abs() < 1e-5, "{chosen:?}");
        }
    }

    #[test]
    fn threshold_and_number_limit_each_group() {
        let tags = list(&[0, 0, 0, 1, 1]);
        let similarities = [0.0, 2f32.ln() / 100.0, 5f32.ln() / 100.0, 0.9, 0.9];
        let chosen = |threshold, most| indices(&choose(&tags, &similarities, 100.0, threshold, most));
        assert_eq!(chosen(0.5, 5), [2, 3, 4], "at the threshold counts");
        assert_eq!(chosen(0.0, 1), [2, 3]);
        assert_eq!(chosen(0.9, 5), [0; 0]);
    }

    #[test]
    fn large_logits_do_not_overflow() {
        let chosen = choose(&list(&[0, 0]), &[1.0, -1.0], 1000.0, 0.5, 2);
        assert_eq!(chosen, [Chosen { index: 0, probability: 1.0 }]);
    }

    #[test]
    fn near_pictures_are_paired_once() {
        let embeddings = [vec![1.0, 0.0], vec![0.0, 1.0], vec![0.8, 0.6], vec![1.0, 0.0]];
        let pairs = near_duplicates(&embeddings, 0.8);
        assert_eq!(pairs, [(0, 2, 0.8), (0, 3, 1.0), (2, 3, 0.8)]);
    }
}
