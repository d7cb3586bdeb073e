//! Numbers from a seed. The same seed gives the same day on every machine.
use foremesh_core::splitmix::SplitMix;

#[derive(Clone, Debug)]
pub(crate) struct Random(SplitMix);

impl Random {
    pub(crate) const fn new(seed: u64) -> Self {
        Self(SplitMix::new(seed))
    }

    const fn next(&mut self) -> u64 {
        self.0.next_u64()
    }

    /// Another stream, so that drawing more numbers for one thing does not change all others.
    pub(crate) fn fork(&mut self) -> Self {
        Self::new(self.next())
    }

    /// From 0 to 1.
    pub(crate) fn uniform(&mut self) -> f64 {
        self.0.unit()
    }

    pub(crate) fn between(&mut self, least: f64, most: f64) -> f64 {
        least + (most - least) * self.uniform()
    }

    /// One of `least..=most`.
    pub(crate) fn count(&mut self, least: usize, most: usize) -> usize {
        least + (self.next() % (most - least + 1) as u64) as usize
    }

    pub(crate) fn chance(&mut self, probability: f64) -> bool {
        self.uniform() < probability
    }

    /// Standard normal.
    pub(crate) fn normal(&mut self) -> f64 {
        self.0.normal()
    }

    pub(crate) fn one_of<T: Copy>(&mut self, choices: &[T]) -> T {
        choices[self.count(0, choices.len() - 1)]
    }
}
