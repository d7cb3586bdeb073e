//! Looks for silent proxies now and then, and records when one falls silent and when it reports again.
use super::Parts;
use crate::{
    audit::{AuditError, Kind},
    causes::chain,
    silence::{Evidence, SilentProxy, silent_proxies},
    store::StoreError,
};
use foremesh_core::{time::Timestamp, topology::Snapshot};
use serde_json::json;
use std::collections::BTreeSet;

/// Why a look told nothing. What was known before is still shown, and the next pass looks again.
#[derive(Debug, thiserror::Error)]
enum WatchError {
    /// The store did not answer.
    #[error("series and proxies could not be read")]
    Store(#[from] StoreError),
    /// What was found could not be recorded.
    #[error("what was found could not be recorded")]
    Audit(#[from] AuditError),
}

/// The watch and what it found last.
#[derive(Debug)]
pub(super) struct SilenceWatch {
    limit_ms: i64,
    looked_at: Option<Timestamp>,
    silent: Vec<SilentProxy>,
}

impl SilenceWatch {
    /// A watch for proxies that are silent for longer than this many milliseconds.
    pub(super) fn new(limit_ms: i64) -> Self {
        Self { limit_ms, looked_at: None, silent: Vec::new() }
    }

    /// What the last look found.
    pub(super) fn silent(&self) -> &[SilentProxy] {
        &self.silent
    }

    /// Looks if the last look was as long ago as the silence that counts: nothing can have become silent sooner but
    /// what was nearly so. A look that fails is logged and made again with the next call.
    pub(super) async fn look(&mut self, parts: &Parts, snapshot: &Snapshot, now: Timestamp) {
        if self.looked_at.is_some_and(|at| (0..self.limit_ms).contains(&now.ms_since(at))) {
            return;
        }
        match self.compare(parts, snapshot, now).await {
            Ok(()) => self.looked_at = Some(now),
            Err(error) => tracing::warn!(error = %chain(&error), "cannot tell which proxies are silent"),
        }
    }

    async fn compare(
        &mut self,
        parts: &Parts,
        snapshot: &Snapshot,
        now: Timestamp,
    ) -> Result<(), WatchError> {
        let recent = parts.store.active_since(now.plus_ms(-self.limit_ms)).await?;
        let found = silent_proxies(&Evidence {
            streams: &parts.store.streams().await?,
            known: &parts.store.series().await?,
            recent: &recent.into_iter().collect::<BTreeSet<_>>(),
            snapshot,
            now,
            limit_ms: self.limit_ms,
        });
        parts.metrics.silent_proxies(found.len());
        let same = |a: &SilentProxy, b: &SilentProxy| {
            (&a.workload, &a.pod, a.worker) == (&b.workload, &b.pod, b.worker)
        };
        for silent in &found {
            if !self.silent.iter().any(|before| same(before, silent)) {
                let (workload, pod, detail) = (&silent.workload, &silent.pod, &silent.detail);
                tracing::warn!(workload, pod, detail, "proxy is silent");
                let record = json!({"event": "proxy_silent", "proxy": silent});
                parts.audit.append(now, Kind::Event, None, &record)?;
            }
        }
        for before in &self.silent {
            if !found.iter().any(|silent| same(before, silent)) {
                let (workload, pod) = (&before.workload, &before.pod);
                tracing::info!(workload, pod, "proxy reports again");
                let record = json!({"event": "proxy_reports_again", "workload": workload, "pod": pod});
                parts.audit.append(now, Kind::Event, None, &record)?;
            }
        }
        self.silent = found;
        Ok(())
    }
}
