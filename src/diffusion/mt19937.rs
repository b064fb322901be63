//! MT19937, the Mersenne Twister, whose words PyTorch's CPU generator deals out.
//!
//! Matsumoto, Nishimura: "Mersenne Twister: A 623-dimensionally equidistributed uniform pseudorandom number generator",
//! ACM TOMACS 8, 1998; seeded as in their `init_genrand` of 2002.

const WORDS: usize = 624;
const SHIFT: usize = 397;
const UPPER_BIT: u32 = 0x8000_0000;
const TWIST: u32 = 0x9908_B0DF;

/// The generator's state: 624 words, and how many of them were dealt.
#[derive(Clone, Debug)]
pub struct Mt19937 {
    words: Box<[u32; WORDS]>,
    dealt: usize,
}

impl Mt19937 {
    pub fn new(seed: u32) -> Self {
        let mut words = Box::new([seed; WORDS]);
        for index in 1..WORDS {
            let last = words[index - 1];
            words[index] = (last ^ last >> 30).wrapping_mul(1_812_433_253).wrapping_add(index as u32);
        }
        Self { words, dealt: WORDS }
    }

    /// The next 32 random bits.
    pub fn next_u32(&mut self) -> u32 {
        if self.dealt == WORDS {
            self.renew();
        }
        let word = self.words[self.dealt];
        self.dealt += 1;
        temper(word)
    }

    fn renew(&mut self) {
        for index in 0..WORDS {
            let next = self.words[(index + 1) % WORDS];
            let joined = self.words[index] & UPPER_BIT | next & !UPPER_BIT;
            let twisted = joined >> 1 ^ if joined & 1 == 1 { TWIST } else { 0 };
            self.words[index] = self.words[(index + SHIFT) % WORDS] ^ twisted;
        }
        self.dealt = 0;
    }
}

fn temper(mut word: u32) -> u32 {
    word ^= word >> 11;
    word ^= word << 7 & 0x9D2C_5680;
    word ^= word << 15 & 0xEFC6_0000;
    word ^ word >> 18
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The C++ standard demands this 10000th number of `std::mt19937` under its default seed.
    #[test]
    fn the_standard_s_ten_thousandth_number() {
        let mut generator = Mt19937::new(5489);
        let last = (0..10_000).map(|_| generator.next_u32()).last();
        assert_eq!(last, Some(4_123_659_995));
    }
}
