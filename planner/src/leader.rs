//! Which of several planners may act.
use std::fmt::Debug;

/// Tells whether this planner may change the world now. One that may not still takes summaries, forecasts, decides and
/// answers.
pub trait Leader: Send + Sync + Debug {
    /// Why it may not act now; none when it may.
    fn refusal(&self) -> Option<String>;
}
