//! What was observed, in memory: one history for each service, node and workload, kept up to date from the store.
//!
//! A step is shown when it ended at least [`ObservedSettings::settle_ms`] ago, because the summaries of its last
//! seconds arrive after its end; a step that is half there would look like a drop of traffic. What arrives later than
//! that still changes the step at the next refresh (the tails of the steps after it stay as they were read: one late
//! summary in a window of an hour does not move them).
use crate::store::{Changes, GaugeSubject, SeriesStore, ServiceQuery, StoreError};
use foremesh_core::{
    history::{NodeHistory, ServiceHistory, WorkloadHistory},
    ids::{NodeId, ServiceId, WorkloadId},
    time::{Step, Timestamp},
};
use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

mod gauges;
mod window;

use window::Window;

/// Base steps that are read at once during a backfill, which bounds its memory.
const BACKFILL_STEPS: i64 = 60;

/// How much is kept, and when a step counts as whole.
#[derive(Clone, Copy, Debug)]
pub struct ObservedSettings {
    /// Length of the histories, in milliseconds.
    pub keep_ms: i64,
    /// How long after its end a step is shown, in milliseconds: the push interval of the filters and some margin.
    pub settle_ms: i64,
    /// Steps over which histograms are merged before a tail is read.
    pub tail_steps: usize,
}

impl Default for ObservedSettings {
    /// 48 hours, as long as the base steps are kept; 5 s, for filters that push every 2 s; an hour of one-minute steps.
    fn default() -> Self {
        Self { keep_ms: 48 * 3_600_000, settle_ms: 5_000, tail_steps: 60 }
    }
}

/// Histories that the loop refreshes and the API reads.
pub type SharedObserved = Arc<tokio::sync::RwLock<Observed>>;

/// Histories of everything that the store knows, at base steps.
#[derive(Debug)]
pub struct Observed {
    store: Arc<dyn SeriesStore>,
    settings: ObservedSettings,
    step: Step,
    services: BTreeMap<ServiceId, ServiceHistory>,
    nodes: BTreeMap<NodeId, NodeHistory>,
    workloads: BTreeMap<WorkloadId, WorkloadHistory>,
    /// End of the newest step that is shown.
    end: Timestamp,
    /// Whether some change may have been missed.
    stale: bool,
}

impl Observed {
    /// Histories of what the store holds at `now`.
    ///
    /// # Errors
    /// When the store cannot be read.
    pub async fn backfill(
        store: Arc<dyn SeriesStore>,
        settings: ObservedSettings,
        now: Timestamp,
    ) -> Result<Self, StoreError> {
        let step = store.levels().base().step;
        let mut observed = Self {
            store,
            settings,
            step,
            services: BTreeMap::new(),
            nodes: BTreeMap::new(),
            workloads: BTreeMap::new(),
            end: Timestamp::default(),
            stale: true,
        };
        observed.refresh(now).await?;
        Ok(observed)
    }

    /// Histories of services that were never stored, for tests of who reads them.
    #[cfg(test)]
    pub(crate) fn of_services(store: Arc<dyn SeriesStore>, histories: Vec<ServiceHistory>) -> Self {
        Self {
            step: store.levels().base().step,
            store,
            settings: ObservedSettings::default(),
            end: histories
                .iter()
                .map(|one| one.start.plus_ms(one.step.times(one.steps.len())))
                .max()
                .unwrap_or_default(),
            services: histories.into_iter().map(|history| (history.service.clone(), history)).collect(),
            nodes: BTreeMap::new(),
            workloads: BTreeMap::new(),
            stale: false,
        }
    }

    /// Takes in what changed in the store, and shows every step that has settled at `now`.
    ///
    /// # Errors
    /// When the store cannot be flushed or read; the histories are then as old as they were, and the next call reads
    /// everything again.
    pub async fn refresh(&mut self, now: Timestamp) -> Result<(), StoreError> {
        self.store.flush(now).await?;
        let changes = self.store.changes().await?;
        // Until all was read, the next call must read everything.
        let everything = std::mem::replace(&mut self.stale, true) || changes.everything;
        let window = Window::ending(self.step, now.plus_ms(-self.settings.settle_ms), self.settings.keep_ms);
        let mut shown_to = self.end.max(window.start);
        if everything {
            self.services.clear();
            self.nodes.clear();
            self.workloads.clear();
            shown_to = window.start;
        }
        // Steps that are new here are read whole, whenever they were written; older ones when they changed.
        let older =
            |starts: &mut dyn Iterator<Item = Timestamp>| window.runs(starts.filter(|at| *at < shown_to));
        for (from, to) in older(&mut changes.steps.keys().copied()) {
            self.read_services(window, from, to, Some(changed_services(&changes, from, to))).await?;
        }
        for (from, to) in older(&mut changes.gauge_steps.iter().copied()) {
            self.read_gauges(window, from, to).await?;
        }
        self.read_all(window, shown_to).await?;
        self.slide(window);
        self.end = window.end;
        self.stale = false;
        Ok(())
    }

    async fn read_all(&mut self, window: Window, mut from: Timestamp) -> Result<(), StoreError> {
        while from < window.end {
            let to = from.plus_ms(self.step.ms().saturating_mul(BACKFILL_STEPS)).min(window.end);
            self.read_services(window, from, to, None).await?;
            self.read_gauges(window, from, to).await?;
            from = to;
        }
        Ok(())
    }

    async fn read_services(
        &mut self,
        window: Window,
        from: Timestamp,
        to: Timestamp,
        services: Option<BTreeSet<ServiceId>>,
    ) -> Result<(), StoreError> {
        let tail_steps = self.settings.tail_steps;
        let query = ServiceQuery { services, tail_steps, ..ServiceQuery::new(0, from, to) };
        for row in self.store.service_range(query).await? {
            let step = self.step;
            let history = self.services.entry(row.service).or_insert_with_key(|service| ServiceHistory {
                service: service.clone(),
                start: row.start,
                step,
                steps: Vec::new(),
            });
            window.set(&mut history.start, &mut history.steps, row.start, Some(row.step), None);
        }
        Ok(())
    }

    async fn read_gauges(
        &mut self,
        window: Window,
        from: Timestamp,
        to: Timestamp,
    ) -> Result<(), StoreError> {
        let rows = self.store.gauge_range(0, from, to, None, None).await?;
        for (subject, changed) in gauges::preferred(rows) {
            let histories = match subject {
                GaugeSubject::Node(node) => {
                    let new = |node: &NodeId| NodeHistory { node: node.clone(), gauges: BTreeMap::new() };
                    &mut self.nodes.entry(node).or_insert_with_key(new).gauges
                }
                GaugeSubject::Workload(workload) => {
                    let new = |workload: &WorkloadId| WorkloadHistory {
                        workload: workload.clone(),
                        gauges: BTreeMap::new(),
                    };
                    &mut self.workloads.entry(workload).or_insert_with_key(new).gauges
                }
            };
            gauges::merge(histories, window, self.step, changed);
        }
        Ok(())
    }

    /// Makes every history end where the window ends, and forgets what is before it.
    fn slide(&mut self, window: Window) {
        self.services.retain(|_, history| {
            window.slide(&mut history.start, &mut history.steps, None);
            history.steps.iter().any(Option::is_some)
        });
        self.nodes.retain(|_, history| gauges::slide(&mut history.gauges, window));
        self.workloads.retain(|_, history| gauges::slide(&mut history.gauges, window));
    }

    /// End of the newest step that is shown.
    pub fn end(&self) -> Timestamp {
        self.end
    }

    /// Histories of all services.
    pub fn services(&self) -> impl Iterator<Item = &ServiceHistory> {
        self.services.values()
    }

    /// Steps over which histograms are merged before a tail is read.
    pub fn tail_steps(&self) -> usize {
        self.settings.tail_steps
    }

    /// History of one service, if it was called within the time that is kept.
    pub fn service(&self, service: &ServiceId) -> Option<&ServiceHistory> {
        self.services.get(service)
    }

    /// Histories of all nodes that something was measured of.
    pub fn nodes(&self) -> impl Iterator<Item = &NodeHistory> {
        self.nodes.values()
    }

    /// History of one node, if something was measured of it within the time that is kept.
    pub fn node(&self, node: &NodeId) -> Option<&NodeHistory> {
        self.nodes.get(node)
    }

    /// Histories of all workloads that something was measured of.
    pub fn workloads(&self) -> impl Iterator<Item = &WorkloadHistory> {
        self.workloads.values()
    }

    /// History of one workload, if something was measured of it within the time that is kept.
    pub fn workload(&self, workload: &WorkloadId) -> Option<&WorkloadHistory> {
        self.workloads.get(workload)
    }

    /// Services and nodes that have a history, as names.
    pub fn known(&self) -> (BTreeSet<ServiceId>, BTreeSet<NodeId>) {
        (self.services.keys().cloned().collect(), self.nodes.keys().cloned().collect())
    }
}

fn changed_services(changes: &Changes, from: Timestamp, to: Timestamp) -> BTreeSet<ServiceId> {
    changes.steps.range(from..to).flat_map(|(_, services)| services).cloned().collect()
}

#[cfg(test)]
mod tests;
