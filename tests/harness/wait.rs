//! Waits with deadlines.
use std::time::Duration;
use tokio::time::{Instant, sleep};

/// Time between two looks.
const POLL: Duration = Duration::from_millis(50);

/// Looks until `look` gives a value; its error says what is there instead.
///
/// # Panics
/// When `deadline` has passed, with what was waited for and what the last look saw.
pub async fn until<T>(what: &str, deadline: Duration, mut look: impl AsyncFnMut() -> Result<T, String>) -> T {
    let began = Instant::now();
    loop {
        match look().await {
            Ok(value) => return value,
            Err(seen) => assert!(began.elapsed() < deadline, "waited {deadline:?} for {what}, but {seen}"),
        }
        sleep(POLL).await;
    }
}
