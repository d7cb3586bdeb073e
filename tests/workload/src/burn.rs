//! Real CPU time, as exactly as the clock of a thread tells.

use std::hint::black_box;
use std::time::Duration;

use rustix::time::{ClockId, clock_gettime};

/// Rounds between two looks at the clock: some microseconds, so that looking costs little and overshoots little.
const ROUNDS: u64 = 2_000;

/// Uses this much CPU time of the calling thread; how long that takes depends on who else wants the CPU.
pub(crate) fn burn(demand: Duration) {
    let end = used() + demand;
    let mut state = 1_u64;
    while used() < end {
        for round in 0..ROUNDS {
            state = black_box(state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(round));
        }
    }
}

/// CPU time that this thread has used.
fn used() -> Duration {
    let now = clock_gettime(ClockId::ThreadCPUTime);
    Duration::new(now.tv_sec.cast_unsigned(), u32::try_from(now.tv_nsec).unwrap_or(0))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn burns_what_it_is_told() {
        for ms in [1, 20] {
            let before = used();
            burn(Duration::from_millis(ms));
            let burnt = used().saturating_sub(before).as_secs_f64() * 1e3;
            let least = ms as f64;
            assert!(burnt >= least && burnt < least + 5.0, "{burnt} ms instead of {ms}");
        }
    }

    #[test]
    fn nothing_costs_nothing() {
        let before = used();
        burn(Duration::ZERO);
        assert!(used().saturating_sub(before) < Duration::from_millis(1));
    }
}
