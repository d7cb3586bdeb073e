//! Regressors that are read from a Prometheus-compatible API, again and again.
use super::RegressorSettings;
use crate::signals::prometheus::{ClientSettings, PromSeries, PrometheusClient, PrometheusError};
use foremesh_core::time::{Step, Timestamp};
use std::collections::BTreeMap;

/// How far back a first read goes. Two weeks teach what a regressor does in a week.
const BACKFILL_MS: i64 = 14 * 24 * 3_600_000;
/// A later read goes back so many steps beyond the newest point: samples arrive late.
const OVERLAP_STEPS: usize = 5;

/// One regressor that is read.
#[derive(Debug)]
pub(super) struct Reader {
    pub(super) settings: RegressorSettings,
    query: String,
    client: PrometheusClient,
}

/// Why a read gave nothing.
#[derive(Debug, thiserror::Error)]
pub(super) enum ReadError {
    #[error("the server could not be asked")]
    Prometheus(#[from] PrometheusError),
    #[error("the expression gives {0} series, but must give one; sum over them, or select one by its labels")]
    Several(usize),
    #[error("the expression gives no series; is its name right?")]
    Nothing,
}

impl Reader {
    /// A reader, if the regressor is one that is read. Nothing is asked yet.
    pub(super) fn new(settings: &RegressorSettings) -> Result<Option<Self>, PrometheusError> {
        let (Some(query), Some(url)) = (settings.promql.clone(), settings.url.clone()) else {
            return Ok(None);
        };
        let client = PrometheusClient::new(&url, ClientSettings::default())?;
        Ok(Some(Self { settings: settings.clone(), query, client }))
    }

    /// Reads what is new since `newest`. With a known future the values stand for a later time, as the settings say.
    pub(super) async fn read(
        &self,
        newest: Option<Timestamp>,
        now: Timestamp,
        step: Step,
    ) -> Result<BTreeMap<Timestamp, f64>, ReadError> {
        let ahead_ms = self.settings.known_future.map_or(0, crate::settings::Span::ms);
        // More would not be kept anyway.
        let oldest = now.plus_ms(-BACKFILL_MS.min(step.times(super::MAX_POINTS)));
        let overlap = |at: Timestamp| at.plus_ms(-ahead_ms - step.times(OVERLAP_STEPS));
        // On whole steps, so that two reads give the same times.
        let from = step.floor(newest.map_or(oldest, overlap).max(oldest));
        let series = self.client.query_range(&self.query, from, step.floor(now).max(from), step).await?;
        let mut series = series.into_iter();
        let Some(PromSeries { samples, .. }) = series.next() else {
            // Nothing new is not nothing at all.
            return if newest.is_some() { Ok(BTreeMap::new()) } else { Err(ReadError::Nothing) };
        };
        match series.count() {
            0 => {}
            more => return Err(ReadError::Several(more + 1)),
        }
        let finite = samples.into_iter().filter(|(_, value)| value.is_finite());
        Ok(finite.map(|(at, value)| (at.plus_ms(ahead_ms), value)).collect())
    }
}
