//! Things that begin, last and end: ramps, events, neighbours, faults.

use crate::duration::Minutes;
use crate::random::Key;

/// A trapezoid in time, perhaps repeated.
#[derive(Clone, Copy, Debug)]
pub(super) struct Pulse {
    /// Minute of the world at which it begins.
    pub(super) from: i64,
    pub(super) every: Option<i64>,
    pub(super) over: i64,
    pub(super) hold: i64,
    pub(super) fall: i64,
}

impl Pulse {
    /// A pulse that begins `at` after the measurement begins, moved a little by chance.
    pub(super) fn new(
        at: Minutes,
        measured_from: i64,
        every: Option<Minutes>,
        [over, hold, fall]: [Minutes; 3],
        key: Key,
    ) -> Self {
        let shift = key.between(-SHIFT, SHIFT).round() as i64;
        let from = measured_from + at.0 + shift;
        Self { from, every: every.map(|every| every.0), over: over.0, hold: hold.0, fall: fall.0 }
    }

    /// From 0, not there, to 1, at the top.
    pub(super) fn level(&self, minute: i64) -> f64 {
        let mut since = minute - self.from;
        if since < 0 {
            return 0.0;
        }
        if let Some(every) = self.every {
            since %= every;
        }
        if since < self.over {
            return (since + 1) as f64 / (self.over + 1) as f64;
        }
        let down = since - self.over - self.hold;
        if down < 0 {
            return 1.0;
        }
        if down < self.fall { 1.0 - (down + 1) as f64 / (self.fall + 1) as f64 } else { 0.0 }
    }

    /// Minutes from begin to end.
    pub(super) fn lasts(&self) -> i64 {
        self.over + self.hold + self.fall
    }

    /// Begins up to `end`.
    pub(super) fn begins(&self, end: i64) -> Vec<i64> {
        match self.every {
            None => vec![self.from],
            Some(every) => (self.from..end).step_by(every.max(1) as usize).collect(),
        }
    }
}

/// A begin moves by up to so many minutes with the seed.
const SHIFT: f64 = 10.0;

/// Amplitudes vary by up to a fifth with the seed.
pub(super) fn amplitude(key: Key) -> f64 {
    key.between(0.8, 1.2)
}

#[cfg(test)]
mod tests {
    use super::Pulse;

    #[test]
    fn a_pulse_rises_holds_falls_and_repeats() {
        let pulse = Pulse { from: 10, every: Some(100), over: 3, hold: 2, fall: 1 };
        for (minute, level) in
            [(9, 0.0), (10, 0.25), (12, 0.75), (13, 1.0), (14, 1.0), (15, 0.5), (16, 0.0), (113, 1.0)]
        {
            assert!((pulse.level(minute) - level).abs() < 1e-9, "minute {minute}: {}", pulse.level(minute));
        }
    }
}
