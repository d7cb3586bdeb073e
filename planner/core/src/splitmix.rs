//! Seeded randomness: `SplitMix64` of Steele, Lea and Flood, "Fast splittable pseudorandom number generators" (2014).
//!
//! Own code because what a seed gives must stay the same for ever, and that is what crates of random numbers promise
//! least.

/// A stream of random numbers.
#[derive(Clone, Debug)]
pub struct SplitMix(u64);

impl SplitMix {
    /// The same seed gives the same stream.
    pub const fn new(seed: u64) -> Self {
        Self(seed)
    }

    /// The next 64 bits.
    pub const fn next_u64(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// A stream of its own, seeded from this one.
    #[must_use]
    pub const fn split(&mut self) -> Self {
        Self(self.next_u64())
    }

    /// Evenly between 0, inclusive, and 1, exclusive.
    pub fn unit(&mut self) -> f64 {
        (self.next_u64() >> 11) as f64 / (1_u64 << 53) as f64
    }

    /// Evenly among the whole numbers below `end`; 0 when there is none.
    pub fn below(&mut self, end: usize) -> usize {
        ((self.unit() * end as f64) as usize).min(end.saturating_sub(1))
    }

    /// From the standard normal distribution (Box and Muller 1958).
    pub fn normal(&mut self) -> f64 {
        let radius = (-2.0 * (1.0 - self.unit()).ln()).sqrt();
        radius * (std::f64::consts::TAU * self.unit()).cos()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_the_published_generator() {
        // First outputs for seed 1234567 of the authors' C code.
        let mut stream = SplitMix::new(1_234_567);
        let want = [6_457_827_717_110_365_317_u64, 3_203_168_211_198_807_973, 9_817_491_932_198_370_423];
        assert_eq!([stream.next_u64(), stream.next_u64(), stream.next_u64()], want);
    }

    #[test]
    fn draws_stay_in_range() {
        let mut stream = SplitMix::new(7);
        assert!((0..10_000).all(|_| (0.0..1.0).contains(&stream.unit())));
        assert!((0..10_000).all(|_| stream.below(3) < 3));
        assert_eq!(stream.below(0), 0);
    }
}
