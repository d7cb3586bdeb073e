//! Leader election: of several planners exactly one may act, the one that holds a `coordination.k8s.io/v1` Lease.
//!
//! What to write follows in [`decide`] from what was read and when; [`Elector`] reads and writes, and [`Leadership`] tells,
//! by the clock and not by what was last heard, whether this planner leads now. Wall clocks of different machines are never
//! compared: whoever waits measures on its own clock how long the stored lease has not changed, and the holder stops
//! [`LeaseSettings::give_up_before`] earlier than that, counted from before it sent its last renewal. So a holder that is cut
//! off stops before another one begins, as long as their clocks run at rates that differ by less than that.
//!
//! [`Leadership::guard`] looks at the clock before each step of a piece of work, and drops it when the lease is not held any
//! more. A single request that was sent until then has [`LeaseSettings::give_up_before`] to arrive.
mod decide;
mod elector;
mod leadership;
mod stored;
#[cfg(test)]
mod tests;

pub use elector::Elector;
pub use leadership::{Leadership, NotLeader, Term};

use std::{sync::Arc, time::Duration};

/// Name of the Lease, when nothing else is said.
pub const LEASE_NAME: &str = "foremesh-planner";

/// Tells a time that only grows, also while the machine sleeps if that can be had. Its zero is arbitrary.
pub type Monotonic = Arc<dyn Fn() -> Duration + Send + Sync>;

/// Which lease, and how long it lasts.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LeaseSettings {
    /// The planner's own namespace.
    pub namespace: String,
    /// Name of the Lease. Planners that must not act at the same time have the same.
    pub name: String,
    /// How long it lasts after a renewal: whole seconds, and what a planner waits for before it takes the place of one that
    /// was killed.
    pub duration: Duration,
    /// Time between two renewals, and between two looks at the lease of another one.
    pub renew_every: Duration,
    /// How much earlier than that the holder stops.
    pub give_up_before: Duration,
    /// How long one request may take. Two of them must fit between a renewal and giving up.
    pub request_within: Duration,
}

impl LeaseSettings {
    /// With the usual name, and times that belong together: renewed seven times within the time that it lasts, given up when
    /// a third of that is left.
    pub fn new(namespace: &str, duration: Duration) -> Self {
        Self {
            namespace: namespace.to_owned(),
            name: LEASE_NAME.to_owned(),
            duration,
            renew_every: duration * 2 / 15,
            give_up_before: duration / 3,
            request_within: duration / 5,
        }
    }
}
