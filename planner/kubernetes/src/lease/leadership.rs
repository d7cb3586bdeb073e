//! Whether this planner leads now, told by the clock.
use super::Monotonic;
use std::{
    fmt,
    pin::pin,
    sync::{Arc, PoisonError, RwLock},
    task::Poll,
    time::Duration,
};
use tokio::time::{MissedTickBehavior, interval};

/// Work that waits is looked at that often.
const LOOKED_EVERY: Duration = Duration::from_millis(100);

/// One time of leading without a gap.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Term {
    /// Counts the terms of this process, from 1.
    pub number: u64,
    /// Identifies the Lease object.
    pub lease: String,
    /// How often that lease has changed its holder. Who goes on after a restart has the same number, or one more when it has
    /// given the lease back in between.
    pub transitions: u32,
}

/// Why this planner may not act.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NotLeader {
    /// Another one leads.
    #[error("this planner is not the leader, `{0}` is")]
    Other(String),
    /// It did lead, or tried to, and does not know of another one.
    #[error("this planner is not the leader: {0}")]
    Unheld(String),
}

/// Whether this planner leads; clones tell the same.
#[derive(Clone)]
pub struct Leadership {
    state: Arc<RwLock<State>>,
    monotonic: Monotonic,
}

struct State {
    held: Option<Held>,
    terms: u64,
    /// Why not, when nothing is held.
    otherwise: NotLeader,
}

struct Held {
    until: Duration,
    term: Term,
}

impl fmt::Debug for Leadership {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Leadership").field("now", &self.term()).finish_non_exhaustive()
    }
}

impl Leadership {
    pub(super) fn new(monotonic: Monotonic) -> Self {
        let otherwise = NotLeader::Unheld("the lease was not read yet".to_owned());
        Self { state: Arc::new(RwLock::new(State { held: None, terms: 0, otherwise })), monotonic }
    }

    /// One that is held until then without an election, as where nobody else can act.
    pub fn held(monotonic: Monotonic, until: Duration) -> Self {
        let leadership = Self::new(monotonic);
        leadership.hold(until, "", 0);
        leadership
    }

    /// The term that goes on now.
    ///
    /// # Errors
    /// Why this planner does not lead.
    pub fn term(&self) -> Result<Term, NotLeader> {
        let state = self.state.read().unwrap_or_else(PoisonError::into_inner);
        match &state.held {
            Some(held) if (self.monotonic)() < held.until => Ok(held.term.clone()),
            _ => Err(state.otherwise.clone()),
        }
    }

    /// Does a piece of work as long as this planner leads, in one term. What was begun of it when it does not lead any more
    /// is dropped where it stands.
    ///
    /// # Errors
    /// When it does not lead, or not any more.
    pub async fn guard<T>(&self, work: impl Future<Output = T>) -> Result<T, NotLeader> {
        let term = self.term()?;
        let mut ticks = interval(LOOKED_EVERY);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut work = pin!(work);
        std::future::poll_fn(|context| {
            // Before each step, because this may be the first look after a long sleep.
            match self.term() {
                Ok(now) if now == term => {}
                Ok(_) => {
                    let lapsed = "it has led again only since this was begun".to_owned();
                    return Poll::Ready(Err(NotLeader::Unheld(lapsed)));
                }
                Err(why) => return Poll::Ready(Err(why)),
            }
            while ticks.poll_tick(context).is_ready() {}
            work.as_mut().poll(context).map(Ok)
        })
        .await
    }

    /// The lease is held until then.
    pub(super) fn hold(&self, until: Duration, lease: &str, transitions: u32) {
        let mut state = self.state.write().unwrap_or_else(PoisonError::into_inner);
        let now = (self.monotonic)();
        let goes_on = state.held.as_ref().filter(|held| {
            now < held.until && held.term.lease == lease && held.term.transitions == transitions
        });
        let term = if let Some(held) = goes_on {
            held.term.clone()
        } else {
            state.terms += 1;
            Term { number: state.terms, lease: lease.to_owned(), transitions }
        };
        state.held = Some(Held { until, term });
        state.otherwise = NotLeader::Unheld("its lease was not renewed in time".to_owned());
    }

    /// The lease is not held, because of this.
    pub(super) fn drop_it(&self, otherwise: NotLeader) {
        let mut state = self.state.write().unwrap_or_else(PoisonError::into_inner);
        state.held = None;
        state.otherwise = otherwise;
    }

    /// It could not be renewed or read now; what is held ends when it ends.
    pub(super) fn failed(&self, why: String) {
        self.state.write().unwrap_or_else(PoisonError::into_inner).otherwise = NotLeader::Unheld(why);
    }
}
