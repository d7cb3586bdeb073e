//! Runs one piece of work for each item on several threads; the results come in the order of the items.
use std::{
    panic::{AssertUnwindSafe, catch_unwind, resume_unwind},
    sync::{
        Condvar, Mutex,
        atomic::{AtomicUsize, Ordering},
    },
};

/// Results that may wait for an earlier one, for each thread. It bounds what is kept in memory.
const AHEAD: usize = 16;

/// Calls `work` for each item on `threads` threads and `take` with each result, in the order of the items, whatever the
/// number of threads. A panic of `work` is passed on.
pub fn in_order<T: Sync, R: Send>(
    items: &[T],
    threads: usize,
    work: impl Fn(&T) -> R + Sync,
    mut take: impl FnMut(R),
) {
    let threads = threads.clamp(1, items.len().max(1));
    let next = AtomicUsize::new(0);
    // Finished results by index, and the index of the one that is taken next.
    let finished = Mutex::new((items.iter().map(|_| None).collect::<Vec<_>>(), 0));
    let changed = Condvar::new();
    std::thread::scope(|scope| {
        for _ in 0..threads {
            scope.spawn(|| {
                loop {
                    let index = next.fetch_add(1, Ordering::Relaxed);
                    let Some(item) = items.get(index) else { return };
                    // Caught, or the thread that takes the results would wait for this one for ever.
                    let result = catch_unwind(AssertUnwindSafe(|| work(item)));
                    let Ok(mut state) = finished.lock() else { return };
                    while index > state.1 + AHEAD * threads {
                        match changed.wait(state) {
                            Ok(woken) => state = woken,
                            Err(_) => return,
                        }
                    }
                    state.0[index] = Some(result);
                    changed.notify_all();
                }
            });
        }
        for index in 0..items.len() {
            let Ok(mut state) = finished.lock() else { return };
            let result = loop {
                if let Some(result) = state.0[index].take() {
                    break result;
                }
                match changed.wait(state) {
                    Ok(woken) => state = woken,
                    Err(_) => return,
                }
            };
            state.1 = index + 1;
            changed.notify_all();
            drop(state);
            take(result.unwrap_or_else(|panic| resume_unwind(panic)));
        }
    });
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn results_come_in_order_for_any_number_of_threads() {
        let items: Vec<u64> = (0..200).collect();
        for threads in [1, 2, 7, 1000] {
            let mut got = Vec::new();
            in_order(
                &items,
                threads,
                |item| (0..item % 7 * 1000).sum::<u64>() + item,
                |result| got.push(result),
            );
            let want: Vec<u64> = items.iter().map(|item| (0..item % 7 * 1000).sum::<u64>() + item).collect();
            assert_eq!(got, want, "{threads} threads");
        }
        in_order(&[] as &[u64], 4, |item| *item, |_| unreachable!("there is no item"));
    }
}
