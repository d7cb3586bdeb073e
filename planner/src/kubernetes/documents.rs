//! Policies and calendars of a cluster: taken in, and answered in their status.
use super::acceptance::{Acceptance, status};
use crate::{
    api::rfc3339,
    calendar::{CalendarJudging, Calendars, JudgedCalendar},
    clock::Clock,
    due::refresh_until,
    policies::{
        Policies,
        judge::{Judged, Judging},
    },
    settings::{KubernetesSettings, Span},
};
use foremesh_core::{policy::RelocationPolicy, time::Timestamp};
use foremesh_kubernetes::{
    ClusterError, ClusterSettings,
    resources::{Resources, Stored, Written},
};
use serde_json::{Map, Value, json};
use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

/// Longest wait for the first list of policies when the planner starts. After that it starts without: policies of the cluster
/// come into force as soon as they are known.
const LISTED_WITHIN: Duration = Duration::from_secs(5);
const ASKED_EVERY: Duration = Duration::from_millis(100);
/// After a status could not be written, none is written for so long.
const WRITTEN_AGAIN_MS: i64 = 30_000;

/// Policies and calendars of a cluster.
#[derive(Debug)]
pub struct Documents {
    resources: Arc<Resources>,
    namespace: Option<String>,
    domain: String,
    horizon: Span,
    clock: Clock,
    writes: Mutex<Writes>,
}

/// What is known of writes.
#[derive(Debug, Default)]
struct Writes {
    /// No status is written before this.
    not_before: Option<Timestamp>,
    /// Why one could not be written, as it was said last.
    said: Option<String>,
    /// The generation of each object that was told last in the log.
    told: BTreeMap<String, i64>,
}

impl Documents {
    /// Starts to watch a cluster, and waits a little for its policies; none where the settings do not want it.
    ///
    /// # Errors
    /// When it is not known how to reach the cluster.
    pub async fn connect(
        settings: &KubernetesSettings,
        horizon: Span,
        clock: Clock,
    ) -> Result<Option<Self>, ClusterError> {
        if !settings.resources.enabled {
            return Ok(None);
        }
        let telling = clock.clone();
        let ClusterSettings { conventions, .. } = settings.cluster();
        let resources = Resources::connect(&settings.cluster(), Arc::new(move || telling.now())).await?;
        let listed = async {
            while resources.stored(Written::Policy).is_err() {
                tokio::time::sleep(ASKED_EVERY).await;
            }
        };
        // Which of the reasons it is does not matter here: it is said when they are first asked for.
        let _ = tokio::time::timeout(LISTED_WITHIN, listed).await;
        Ok(Some(Self {
            resources: Arc::new(resources),
            namespace: settings.own_namespace().map(str::to_owned),
            domain: conventions.cluster_domain,
            horizon,
            clock,
            writes: Mutex::default(),
        }))
    }

    /// Policies of files, and those of the cluster beside them.
    pub fn policies(&self, of_files: Policies) -> Policies {
        let judging = Judging {
            horizon: self.horizon,
            namespace: self.namespace.clone(),
            domain: self.domain.clone(),
            taken: BTreeSet::new(),
        };
        of_files.with_cluster(Arc::clone(&self.resources), judging)
    }

    /// Takes in calendars, and writes what becomes of each document, again and again until `stop` says so.
    pub async fn follow(
        self,
        policies: Arc<Policies>,
        calendars: Arc<Calendars>,
        stop: tokio::sync::watch::Receiver<bool>,
    ) {
        refresh_until(stop, || self.look(&policies, &calendars)).await;
    }

    async fn look(&self, policies: &Arc<Policies>, calendars: &Arc<Calendars>) {
        let now = self.clock.now();
        for (Judged { stored, policy }, services) in policies.judged() {
            let acceptance = match &policy {
                Ok(policy) => accepted(policy, services),
                Err(refused) => refused.clone(),
            };
            let own = Map::from_iter([("services".to_owned(), json!(services))]);
            self.write(Written::Policy, &stored, own, &acceptance, now).await;
        }
        // Calendars that are not known stay as they are.
        let Ok(stored) = self.resources.stored(Written::Calendar) else { return };
        let judging = CalendarJudging { namespace: self.namespace.clone(), domain: self.domain.clone() };
        let taking = Arc::clone(calendars);
        // A rule may have thousands of occurrences to look at.
        let judged = tokio::task::spawn_blocking(move || taking.take_resources(&stored, &judging)).await;
        for judged in judged.unwrap_or_default() {
            let own = fields(&judged);
            self.write(Written::Calendar, &judged.stored, own, &judged.acceptance, now).await;
        }
    }

    async fn write(
        &self,
        kind: Written,
        stored: &Stored,
        own: Map<String, Value>,
        acceptance: &Acceptance,
        now: Timestamp,
    ) {
        let Some(status) = status(&stored.status, stored.generation, own, acceptance, now) else { return };
        self.tell(kind, stored, acceptance);
        if self.writes().not_before.is_some_and(|at| now < at) {
            return;
        }
        let written = self.resources.write_status(kind, stored, &status).await;
        let mut writes = self.writes();
        match written {
            Ok(()) => (writes.not_before, writes.said) = (None, None),
            Err(error) => {
                if writes.said.as_ref() != Some(&error.problem) {
                    tracing::warn!(%error, "what becomes of policies and calendars cannot be said in their status");
                }
                writes.not_before = Some(now.plus_ms(WRITTEN_AGAIN_MS));
                writes.said = Some(error.problem);
            }
        }
    }

    /// Says in the log, once for each generation, what is not accepted.
    fn tell(&self, kind: Written, stored: &Stored, acceptance: &Acceptance) {
        let Stored { namespace, name, generation, .. } = stored;
        let object = format!("{} {namespace}/{name}", kind.name());
        if !acceptance.accepted && self.writes().told.insert(object.clone(), *generation) != Some(*generation)
        {
            tracing::warn!(object, generation, why = acceptance.message, "not accepted, so it moves nothing");
        }
    }

    fn writes(&self) -> std::sync::MutexGuard<'_, Writes> {
        self.writes.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn accepted(policy: &RelocationPolicy, services: usize) -> Acceptance {
    let mode = policy.mode.name();
    Acceptance::yes(match services {
        0 => format!(
            "in force in mode {mode}, but its selector matches no service that is known; `foremesh services` lists them"
        ),
        _ => format!("in force in mode {mode}"),
    })
}

fn fields(calendar: &JudgedCalendar) -> Map<String, Value> {
    let mut own = Map::from_iter([("events".to_owned(), json!(calendar.events))]);
    if let Some((event, start)) = &calendar.next {
        own.insert("next".to_owned(), json!({"event": event, "start": rfc3339(*start)}));
    }
    own
}

#[cfg(test)]
mod tests;
