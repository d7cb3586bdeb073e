//! Seeded randomness of the benchmark: a stream for each task, so that a seed means the same tasks for ever.
use foremesh_models::SplitMix;

/// The same seed and number give the same stream; neighbouring ones have nothing in common.
pub(super) const fn stream(seed: u64, number: u64) -> SplitMix {
    let first = SplitMix::new(seed).next_u64();
    SplitMix::new(first ^ number.wrapping_mul(0xd134_2543_de82_ef95))
}
