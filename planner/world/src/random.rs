//! Random numbers by key: each draw is a function of what it is for, never of what was drawn before it.
//!
//! Two runs that differ in one move so have the same noise everywhere else, and a difference between
//! them is an effect of the move.

use std::f64::consts::TAU;

/// What a family of draws is for; part of the key, so that families are independent of each other.
#[derive(Clone, Copy, Debug)]
#[repr(u64)]
pub(crate) enum Draw {
    Demand = 1,
    Wait,
    Memory,
    Placement,
    Series,
    Amplitude,
    Shift,
    Network,
    LoadNoise,
    Count,
    Visit,
    Background,
    Telemetry,
    Loss,
    Gap,
    Pull,
    Failure,
    Table,
}

/// A position in the tree of keys.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Key(u64);

const GOLDEN: u64 = 0x9e37_79b9_7f4a_7c15;

/// The finaliser of the `SplitMix64` generator.
#[inline]
const fn mix(mut z: u64) -> u64 {
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

impl Key {
    pub(crate) const fn new(seed: u64, draw: Draw) -> Self {
        Self(mix(seed.wrapping_add(GOLDEN)) ^ mix((draw as u64).wrapping_mul(GOLDEN)))
    }

    /// The key below this one for `part`: a minute, a service, the number of a sample.
    #[inline]
    pub(crate) const fn with(self, part: u64) -> Self {
        Self(mix(self.0.wrapping_add(part.wrapping_add(1).wrapping_mul(GOLDEN))))
    }

    /// The bits of draw `part` at this key: those of the key below, at half the work.
    #[inline]
    pub(crate) const fn draw(self, part: u64) -> u64 {
        mix(self.0.wrapping_add(part.wrapping_add(1).wrapping_mul(GOLDEN)))
    }

    #[inline]
    pub(crate) const fn bits(self) -> u64 {
        mix(self.0)
    }

    /// Uniform in [0, 1).
    #[inline]
    pub(crate) fn unit(self) -> f64 {
        (self.bits() >> 11) as f64 * (1.0 / (1_u64 << 53) as f64)
    }

    pub(crate) fn between(self, low: f64, high: f64) -> f64 {
        low + (high - low) * self.unit()
    }

    /// Uniform in 0..n; 0 when `n` is 0.
    pub(crate) fn below(self, n: usize) -> usize {
        ((self.unit() * n as f64) as usize).min(n.saturating_sub(1))
    }

    /// Standard normal.
    pub(crate) fn normal(self) -> f64 {
        let radius = (-2.0 * (1.0 - self.with(0).unit()).ln()).sqrt();
        radius * (TAU * self.with(1).unit()).cos()
    }

    /// Lognormal with mean 1.
    pub(crate) fn lognormal(self, sigma: f64) -> f64 {
        (sigma * self.normal() - sigma * sigma / 2.0).exp()
    }

    /// Poisson, by its normal approximation above 30.
    pub(crate) fn poisson(self, mean: f64) -> f64 {
        if mean > 30.0 {
            return (mean + mean.sqrt() * self.normal()).round().max(0.0);
        }
        let (limit, mut product, mut count) = ((-mean).exp(), self.with(0).unit(), 0);
        while product > limit && count < 1000 {
            count += 1;
            product *= self.with(count).unit();
        }
        count as f64
    }

    pub(crate) fn shuffle<T>(self, items: &mut [T]) {
        for i in (1..items.len()).rev() {
            items.swap(i, self.with(i as u64).below(i + 1));
        }
    }
}
