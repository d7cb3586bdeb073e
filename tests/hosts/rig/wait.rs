//! Waits with deadlines.
use std::time::Duration;
use tokio::time::{Instant, sleep};

/// Time between two looks: short against the least time in each state of a rollout.
const POLL: Duration = Duration::from_millis(40);

/// Looks until `look` gives a value; its error says what is there instead. Panics at the deadline with both.
pub(crate) async fn until<T>(
    what: &str,
    deadline: Duration,
    mut look: impl AsyncFnMut() -> Result<T, String>,
) -> T {
    let began = Instant::now();
    loop {
        match look().await {
            Ok(value) => return value,
            Err(seen) => assert!(began.elapsed() < deadline, "waited {deadline:?} for {what}, but {seen}"),
        }
        sleep(POLL).await;
    }
}
