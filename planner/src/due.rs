//! The loop of every part that reads others in intervals of its own.
use std::time::Duration;
use tokio::{sync::watch, time::MissedTickBehavior};

/// Time between two looks at what is due.
const LOOK_EVERY: Duration = Duration::from_secs(1);

/// Calls `refresh`, which reads what is due, again and again until `stop` says so. What is under way then is cut off: it
/// is due again after the next start.
pub(crate) async fn refresh_until<R: Future<Output = ()>>(
    mut stop: watch::Receiver<bool>,
    refresh: impl Fn() -> R,
) {
    let mut looks = tokio::time::interval(LOOK_EVERY);
    looks.set_missed_tick_behavior(MissedTickBehavior::Skip);
    loop {
        tokio::select! {
            _ = looks.tick() => {}
            _ = stop.changed() => return,
        }
        tokio::select! {
            () = refresh() => {}
            _ = stop.changed() => return,
        }
    }
}
