//! A map from encoded keys to cells with a cheap hash.
//!
//! The keys are names from the proxy's own configuration and their number is bounded, so a hash that resists
//! chosen keys buys nothing here; the standard one costs 15 kB of module and more time for each request.
use std::collections::HashMap;
use std::hash::{BuildHasherDefault, Hasher};

/// From an encoded key to the position of its cell.
pub(super) type FastMap = HashMap<Box<[u8]>, usize, BuildHasherDefault<FxHasher>>;

/// The multiply-rotate hash of Firefox and rustc ("Fx"), eight bytes at a time.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct FxHasher(u64);

/// Multiplier of rustc's `FxHasher` for 64 bits: 2^64 divided by pi.
const SEED: u64 = 0x517c_c1b7_2722_0a95;

impl FxHasher {
    fn add(&mut self, word: u64) {
        self.0 = (self.0.rotate_left(5) ^ word).wrapping_mul(SEED);
    }
}

impl Hasher for FxHasher {
    fn write(&mut self, bytes: &[u8]) {
        let mut words = bytes.chunks_exact(8);
        for word in &mut words {
            self.add(word.try_into().map_or(0, u64::from_le_bytes));
        }
        for byte in words.remainder() {
            self.add(u64::from(*byte));
        }
    }

    fn write_usize(&mut self, value: usize) {
        self.add(value as u64);
    }

    fn finish(&self) -> u64 {
        // The map takes its tag from the top bits and its slot from the low ones; the multiplication leaves the
        // low bits poor, so both halves are mixed.
        self.0 ^ (self.0 >> 32)
    }
}
