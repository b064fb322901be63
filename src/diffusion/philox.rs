//! Philox 4×32-10, a counter-based generator: the same 128-bit counter and 64-bit key give the same four words on
//! every machine, in any order, without state.
//!
//! Salmon, Moraes, Dror, Shaw: "Parallel random numbers: as easy as 1, 2, 3", SC 2011.

const ROUNDS: u32 = 10;
const MULTIPLIERS: [u32; 2] = [0xD251_1F53, 0xCD9E_8D57];
/// Golden ratio and √3 − 1, as the paper's Weyl sequence of round keys takes them.
const KEY_INCREMENTS: [u32; 2] = [0x9E37_79B9, 0xBB67_AE85];

/// Four random words for one counter under one key.
pub fn philox_4x32_10(counter: [u32; 4], key: [u32; 2]) -> [u32; 4] {
    let mut words = counter;
    let mut round_key = key;
    for _ in 0..ROUNDS {
        words = round(words, round_key);
        round_key[0] = round_key[0].wrapping_add(KEY_INCREMENTS[0]);
        round_key[1] = round_key[1].wrapping_add(KEY_INCREMENTS[1]);
    }
    words
}

fn round(words: [u32; 4], key: [u32; 2]) -> [u32; 4] {
    let (high0, low0) = widening_multiply(MULTIPLIERS[0], words[0]);
    let (high1, low1) = widening_multiply(MULTIPLIERS[1], words[2]);
    [high1 ^ words[1] ^ key[0], low1, high0 ^ words[3] ^ key[1], low0]
}

/// (high, low) word of the 64-bit product.
fn widening_multiply(a: u32, b: u32) -> (u32, u32) {
    let product = u64::from(a) * u64::from(b);
    ((product >> 32) as u32, product as u32)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The known answers that ship with the authors' Random123 library.
    #[test]
    fn known_answers() {
        let pi = [0x243f_6a88, 0x85a3_08d3, 0x1319_8a2e, 0x0370_7344];
        let cases = [
            ([0; 4], [0; 2], [0x6627_e8d5, 0xe169_c58d, 0xbc57_ac4c, 0x9b00_dbd8]),
            ([u32::MAX; 4], [u32::MAX; 2], [0x408f_276d, 0x41c8_3b0e, 0xa20b_c7c6, 0x6d54_51fd]),
            (pi, [0xa409_3822, 0x299f_31d0], [0xd16c_fe09, 0x94fd_cceb, 0x5001_e420, 0x2412_6ea1]),
        ];
        for (counter, key, expected) in cases {
            assert_eq!(philox_4x32_10(counter, key), expected);
        }
    }
}
