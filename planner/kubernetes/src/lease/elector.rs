//! Reads and writes the lease, again and again.
use super::{
    LeaseSettings, Monotonic,
    decide::{Next, Seen, held_until, next},
    leadership::{Leadership, NotLeader},
    stored::{Entry, record, unheld, written},
};
use crate::{
    Clock, ClusterError,
    error::{request_failed, said},
};
use k8s_openapi::api::coordination::v1::Lease;
use kube::{Api, Client, api::PostParams};
use std::{fmt, time::Duration};
use tokio::time::timeout;

/// Who writes, for `managedFields`.
const FIELD_MANAGER: &str = "foremesh";
/// Another one wrote in between as often as that: it is left to the next turn.
const ATTEMPTS: u32 = 3;

/// Takes part in the election, as one candidate.
///
/// Its account must be able to get, create and update leases (`coordination.k8s.io`) in the planner's namespace.
pub struct Elector {
    leases: Api<Lease>,
    settings: LeaseSettings,
    /// What no other process has that may run at the same time.
    me: String,
    monotonic: Monotonic,
    clock: Clock,
    seen: Option<Seen>,
    /// The lease as this candidate has stored it last. A renewal names its version, so it need not be read first.
    stored: Option<Lease>,
    leadership: Leadership,
    /// Whether the last turn failed, so that a long failure is logged once.
    failing: bool,
}

impl fmt::Debug for Elector {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Elector")
            .field("me", &self.me)
            .field("settings", &self.settings)
            .finish_non_exhaustive()
    }
}

impl Elector {
    /// A candidate that has not begun. No other process that may run at the same time has this name; one that comes after this
    /// one may, and then it goes on where this one was.
    pub fn new(
        client: Client,
        settings: LeaseSettings,
        me: String,
        monotonic: Monotonic,
        clock: Clock,
    ) -> Self {
        Self {
            leases: Api::namespaced(client, &settings.namespace),
            settings,
            me,
            leadership: Leadership::new(monotonic.clone()),
            monotonic,
            clock,
            seen: None,
            stored: None,
            failing: false,
        }
    }

    /// Tells whether this candidate leads.
    pub fn leadership(&self) -> Leadership {
        self.leadership.clone()
    }

    /// Takes part until `stop` is ready, and then gives the lease back, so that another one need not wait.
    pub async fn run(mut self, stop: impl Future<Output = ()>) {
        let turns = async {
            loop {
                let pause = self.turn().await;
                tokio::time::sleep(pause).await;
            }
        };
        tokio::select! {
            () = stop => {}
            () = turns => {}
        }
        self.release().await;
    }

    /// One look and what follows from it; returns the time until the next one.
    pub(super) async fn turn(&mut self) -> Duration {
        match self.look().await {
            Ok(until) => {
                self.failing = false;
                let now = (self.monotonic)();
                // A lease that ends sooner than the next look is looked at when it ends.
                until.map_or(self.settings.renew_every, |until| {
                    until.saturating_sub(now).clamp(Duration::from_millis(10), self.settings.renew_every)
                })
            }
            Err(error) => {
                if !self.failing {
                    tracing::warn!(%error, "the lease of the leader is neither read nor renewed");
                    self.failing = true;
                }
                self.leadership.failed(error.to_string());
                self.settings.renew_every / 2
            }
        }
    }

    /// Returns when the lease of another one may end, if there is one.
    async fn look(&mut self) -> Result<Option<Duration>, ClusterError> {
        for _ in 0..ATTEMPTS {
            // It is forgotten until the next answer: when a write fails, nobody knows what is stored.
            let found = match self.stored.take() {
                Some(stored) => Some(stored),
                None => self.asked(self.leases.get_opt(&self.settings.name)).await?,
            };
            let now = (self.monotonic)();
            let seen = Seen::again(self.seen.take(), found.as_ref().map(record), now);
            let decided = next(&self.me, &seen, &self.settings, now);
            let before = seen.record.as_ref().map_or(0, |record| record.transitions);
            self.seen = Some(seen);
            let (entry, transitions) = match decided {
                Next::Follow { holder, until } => {
                    self.leadership.drop_it(NotLeader::Other(holder));
                    return Ok(Some(until));
                }
                Next::Wait { until } => {
                    let waits = "there is no lease, and it is waited for anybody who still holds one";
                    self.leadership.drop_it(NotLeader::Unheld(waits.to_owned()));
                    return Ok(Some(until));
                }
                Next::Take { transitions } => {
                    // Nothing is held of a lease that somebody took away or emptied.
                    let nobody = "nobody holds the lease, and it is being taken".to_owned();
                    self.leadership.drop_it(NotLeader::Unheld(nobody));
                    (Entry::Taken { by: &self.me, transitions }, transitions)
                }
                Next::Renew => (Entry::Renewed, before),
            };
            let asked = (self.monotonic)();
            if let Some(stored) = self.write(found, &entry).await? {
                let lease = stored.metadata.uid.as_deref().unwrap_or_default();
                self.leadership.hold(held_until(asked, &self.settings), lease, transitions);
                self.stored = Some(stored);
                if matches!(entry, Entry::Taken { .. }) {
                    tracing::info!(me = %self.me, transitions, "this planner leads");
                }
                return Ok(None);
            }
        }
        Err(ClusterError::new(
            self.object(),
            format!("another one wrote it before each of {ATTEMPTS} attempts"),
            "find out who else writes it in its managedFields; only planners should",
        ))
    }

    /// Stores it, unless another one was faster.
    async fn write(&self, found: Option<Lease>, entry: &Entry<'_>) -> Result<Option<Lease>, ClusterError> {
        let params = PostParams { field_manager: Some(FIELD_MANAGER.to_owned()), ..PostParams::default() };
        let is_new = found.is_none();
        let lease = found.unwrap_or_else(|| unheld(&self.settings));
        // It names the version that it was read with, so it is refused when that is not the newest one.
        let lease = written(lease, entry, &self.settings, (self.clock)());
        let write = async {
            let stored = if is_new {
                self.leases.create(&params, &lease).await
            } else {
                self.leases.replace(&self.settings.name, &params, &lease).await
            };
            match stored {
                Ok(stored) => Ok(Some(stored)),
                // Another one was faster; 404 when it took it away, or when there is no such namespace.
                Err(kube::Error::Api(status)) if status.code == 409 || status.code == 404 && !is_new => {
                    Ok(None)
                }
                Err(error) => Err(error),
            }
        };
        self.asked(write).await
    }

    /// Stops to lead, and says so.
    async fn release(&mut self) {
        self.leadership.drop_it(NotLeader::Unheld("it is being stopped".to_owned()));
        if let Err(error) = self.give_back().await {
            tracing::warn!(%error, "the lease was not given back; others wait until it ends");
        }
    }

    async fn give_back(&self) -> Result<(), ClusterError> {
        let found = self.asked(self.leases.get_opt(&self.settings.name)).await?;
        if let Some(lease) = found.filter(|lease| record(lease).holder.as_ref() == Some(&self.me)) {
            // When another one was faster it is not ours any more.
            self.write(Some(lease), &Entry::Released).await?;
        }
        Ok(())
    }

    async fn asked<T>(
        &self,
        request: impl Future<Output = Result<T, kube::Error>>,
    ) -> Result<T, ClusterError> {
        let within = self.settings.request_within;
        match timeout(within, request).await {
            Ok(Ok(answer)) => Ok(answer),
            Ok(Err(error)) => Err(self.failed(&error)),
            Err(_) => Err(ClusterError::new(
                self.object(),
                format!("the API server did not answer within {within:?}"),
                "check that it answers and is not overloaded",
            )),
        }
    }

    fn failed(&self, error: &kube::Error) -> ClusterError {
        let namespace = &self.settings.namespace;
        if matches!(error, kube::Error::Api(status) if status.code == 404) {
            let remedy = format!("create namespace {namespace}");
            return ClusterError::new(self.object(), said(error), remedy);
        }
        let rights = format!("get, create and update leases in namespace {namespace}");
        request_failed(self.object(), error, &rights)
    }

    fn object(&self) -> String {
        format!("Lease {}/{}", self.settings.namespace, self.settings.name)
    }
}
