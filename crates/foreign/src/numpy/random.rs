//! numpy's legacy random numbers, so that the authors' random subsets and samples come out.

/// Words of the generator's state.
const WORDS: usize = 624;
/// Distance of the word that the recurrence mixes in.
const SHIFT: usize = 397;

/// `numpy.random.RandomState(seed)`: the Mersenne Twister MT19937 (Matsumoto & Nishimura 1998) and the draws that
/// numpy makes with it, as far as the method needs them.
#[derive(Clone, Debug)]
pub struct RandomState {
    words: [u32; WORDS],
    next: usize,
}

impl RandomState {
    /// The state that numpy starts from for an integer seed (`init_genrand` of the reference code).
    #[must_use]
    pub fn new(seed: u32) -> Self {
        let mut words = [seed; WORDS];
        for place in 1..WORDS {
            let before = words[place - 1];
            words[place] = (before ^ (before >> 30)).wrapping_mul(1_812_433_253).wrapping_add(place as u32);
        }
        Self { words, next: WORDS }
    }

    /// `permutation(count)`: the numbers below `count`, shuffled from the back (Fisher-Yates).
    #[must_use]
    pub fn permutation(&mut self, count: u32) -> Vec<u32> {
        let mut numbers: Vec<u32> = (0..count).collect();
        for last in (1..count).rev() {
            numbers.swap(last as usize, self.at_most(last) as usize);
        }
        numbers
    }

    /// `choice(count, size, replace=False)`: the first `size` of a permutation, all of it if there are fewer.
    #[must_use]
    pub fn choice(&mut self, count: u32, size: usize) -> Vec<u32> {
        let mut numbers = self.permutation(count);
        numbers.truncate(size);
        numbers
    }

    /// A uniform number in 0..=`limit`: draws are cut to as many bits as `limit` has until one fits
    /// (`random_interval`). How many draws that takes is part of the stream.
    fn at_most(&mut self, limit: u32) -> u32 {
        let mask = u32::MAX.checked_shr(limit.leading_zeros()).unwrap_or(0);
        loop {
            let value = self.next_word() & mask;
            if value <= limit {
                return value;
            }
        }
    }

    /// The next 32 bits.
    fn next_word(&mut self) -> u32 {
        if self.next == WORDS {
            self.twist();
        }
        let mut word = self.words[self.next];
        self.next += 1;
        word ^= word >> 11;
        word ^= (word << 7) & 0x9d2c_5680;
        word ^= (word << 15) & 0xefc6_0000;
        word ^ (word >> 18)
    }

    /// Makes the next 624 words.
    fn twist(&mut self) {
        for place in 0..WORDS {
            let mixed = (self.words[place] & 0x8000_0000) | (self.words[(place + 1) % WORDS] & 0x7fff_ffff);
            let odd = if mixed & 1 == 1 { 0x9908_b0df } else { 0 };
            self.words[place] = self.words[(place + SHIFT) % WORDS] ^ (mixed >> 1) ^ odd;
        }
        self.next = 0;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Of the generator's published test: with seed 5489 the 10000th word is 4123659995 (C++ standard,
    /// [rand.predef], `mt19937`).
    #[test]
    fn the_ten_thousandth_word_is_that_of_the_standard() {
        let mut state = RandomState::new(5489);
        let word = (0..10_000).map(|_| state.next_word()).last();
        assert_eq!(word, Some(4_123_659_995));
    }

    /// `s = numpy.random.RandomState(1234); s.permutation(1024)[:52]`, twice; then seed 5678.
    #[test]
    fn permutations_are_those_of_numpy() {
        let mut train = RandomState::new(1234);
        let first = train.permutation(1024);
        assert_eq!(first[..10], [836, 523, 89, 915, 270, 347, 122, 801, 666, 99]);
        assert_eq!(first[..52].iter().sum::<u32>(), 25_111);
        assert_eq!(train.permutation(1024)[..5], [172, 516, 142, 695, 497]);

        let test = RandomState::new(5678).permutation(1024);
        assert_eq!(test[..10], [110, 483, 996, 520, 956, 389, 684, 925, 379, 838]);
        assert_eq!(test[..52].iter().sum::<u32>(), 28_823);
    }

    /// `numpy.random.RandomState(1234).choice(950000, 2000, replace=False)[:5]`.
    #[test]
    fn choice_is_that_of_numpy() {
        let chosen = RandomState::new(1234).choice(950_000, 2000);
        assert_eq!(chosen.len(), 2000);
        assert_eq!(chosen[..5], [193_689, 589_480, 533_033, 930_783, 844_178]);
    }

    #[test]
    fn permutations_of_nothing_and_of_one_draw_nothing() {
        let mut state = RandomState::new(7);
        assert!(state.permutation(0).is_empty());
        assert_eq!(state.permutation(1), [0]);
        assert_eq!(state.next_word(), RandomState::new(7).next_word());
    }
}
