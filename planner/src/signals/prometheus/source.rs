//! Reads a server again and again: first the past, then what is new.
use super::{
    answer::Answer,
    backfill::{Piece, past, pieces},
    client::PrometheusClient,
    error::PrometheusError,
    mapping::Mapping,
    queries::{self, About, Query},
};
use crate::{
    signals::{settings::PrometheusSettings, status::Statuses},
    store::{Gauge, GaugeMarks, GaugeSource, GaugeSubject, SeriesStore, StoreError},
};
use foremesh_core::{
    ids::NodeId,
    time::{Step, Timestamp},
};
use std::{
    collections::{BTreeMap, BTreeSet, VecDeque},
    sync::Arc,
};

/// Most readings that go into the store at once: its writer serves the proxies too.
const GAUGES_AT_ONCE: usize = 5000;

/// Why a read ended early.
#[derive(Debug, thiserror::Error)]
pub(in crate::signals) enum ReadError {
    #[error(transparent)]
    Prometheus(Box<PrometheusError>),
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl From<PrometheusError> for ReadError {
    fn from(error: PrometheusError) -> Self {
        Self::Prometheus(Box::new(error))
    }
}

/// One question, and what is still to be asked of it.
#[derive(Debug)]
struct Asked {
    query: Query,
    pending: VecDeque<Piece>,
    /// End of what was asked or is pending; `None` before the first read.
    to: Option<Timestamp>,
}

/// A server and what was read of it.
#[derive(Debug)]
pub(in crate::signals) struct PrometheusSource {
    name: String,
    client: PrometheusClient,
    mapping: Mapping,
    asked: Vec<Asked>,
    backfill_ms: i64,
    lag_ms: i64,
    window: Step,
    marks: Option<GaugeMarks>,
    store: Arc<dyn SeriesStore>,
    statuses: Statuses,
}

impl PrometheusSource {
    pub(in crate::signals) fn new(
        name: String,
        settings: &PrometheusSettings,
        client: PrometheusClient,
        addresses: &BTreeMap<String, NodeId>,
        store: Arc<dyn SeriesStore>,
        statuses: Statuses,
    ) -> Self {
        let mapping = Mapping::new(settings, addresses);
        let queries = queries::all(&mapping, &settings.queries);
        let asked = queries.into_iter().map(|query| Asked { query, pending: VecDeque::new(), to: None });
        Self {
            name,
            client,
            asked: asked.collect(),
            mapping,
            backfill_ms: settings.backfill.ms(),
            lag_ms: settings.lag.ms(),
            window: Step::from_ms(settings.rate_window.ms()).unwrap_or(Step::MINUTE),
            marks: None,
            store,
            statuses,
        }
    }

    /// Reads all that is new at `now`, and what an earlier read left over.
    ///
    /// A question that fails keeps its place and is asked again; the others are still asked, unless the server does not
    /// answer at all. The first failure is the one that is told.
    pub(in crate::signals) async fn read(&mut self, now: Timestamp) -> Result<Vec<String>, ReadError> {
        let mut marks = match self.marks.take() {
            Some(marks) => marks,
            None => self.store.gauge_marks(GaugeSource::Prometheus).await?,
        };
        let result = self.read_all(now.plus_ms(-self.lag_ms), &mut marks).await;
        self.marks = Some(marks);
        result
    }

    async fn read_all(&mut self, to: Timestamp, marks: &mut GaugeMarks) -> Result<Vec<String>, ReadError> {
        let levels = *self.store.levels();
        let base = levels.base().step;
        let mut warnings = BTreeSet::new();
        let mut first_error = None;
        for place in 0..self.asked.len() {
            let Some(asked) = self.asked.get_mut(place) else { break };
            let new = match asked.to {
                Some(from) => pieces(from, to, base),
                None => past(&levels, self.backfill_ms, to),
            };
            asked.to = Some(new.back().map_or(asked.to.unwrap_or(base.floor(to)), |piece| piece.last));
            asked.pending.extend(new);
            while let Some(piece) = self.asked.get(place).and_then(|asked| asked.pending.front().copied()) {
                match self.read_piece(place, piece, marks).await {
                    Ok(new) => warnings.extend(new),
                    Err(error @ ReadError::Store(_)) => return Err(error),
                    Err(error) => {
                        let silent = matches!(&error, ReadError::Prometheus(cause)
                            if matches!(**cause, PrometheusError::Unreachable { .. } | PrometheusError::Untrusted { .. }));
                        first_error.get_or_insert(error);
                        if silent {
                            return first_error.map_or(Ok(Vec::new()), Err);
                        }
                        break;
                    }
                }
                if let Some(asked) = self.asked.get_mut(place) {
                    asked.pending.pop_front();
                }
            }
        }
        first_error.map_or_else(|| Ok(warnings.into_iter().collect()), Err)
    }

    async fn read_piece(
        &self,
        place: usize,
        piece: Piece,
        marks: &mut GaugeMarks,
    ) -> Result<Vec<String>, ReadError> {
        let Some(Asked { query, .. }) = self.asked.get(place) else { return Ok(Vec::new()) };
        let window = if self.window.ms() > piece.step.ms() { self.window } else { piece.step };
        let answer = self.client.range(&query.text(window), piece.first, piece.last, piece.step).await?;
        let newest = answer.newest();
        let warnings = answer.warnings.clone();
        let (gauges, left_out) = self.gauges(query, answer, piece.step, marks);
        let taken = gauges.len();
        for some in gauges.chunks(GAUGES_AT_ONCE) {
            self.store.append_gauges(some.to_vec()).await?;
            for gauge in some {
                let mark = marks.entry((gauge.subject.clone(), gauge.metric)).or_insert(gauge.at);
                *mark = gauge.at.max(*mark);
            }
        }
        self.statuses.took(&self.name, taken, left_out, newest);
        Ok(warnings)
    }

    /// Readings that are newer than what is stored, in the order of time, and the number of series that name nothing.
    fn gauges(&self, query: &Query, answer: Answer, step: Step, marks: &GaugeMarks) -> (Vec<Gauge>, usize) {
        let mut sums: BTreeMap<(Timestamp, GaugeSubject), f64> = BTreeMap::new();
        let mut left_out = 0;
        for series in answer.series {
            let subject = match query.about {
                About::Nodes => self.mapping.node(&series.labels),
                About::Workloads => self.mapping.workload(&series.labels),
            };
            let Some(subject) = subject else {
                left_out += 1;
                continue;
            };
            for (at, value) in series.samples.into_iter().filter(|(_, value)| value.is_finite()) {
                *sums.entry((at, subject.clone())).or_default() += value;
            }
        }
        let gauges = sums.into_iter().map(|((at, subject), value)| Gauge {
            subject,
            metric: query.metric,
            source: GaugeSource::Prometheus,
            // The value tells of the step before the point.
            at: at.plus_ms(-(step.ms() - step.ms() / 2)),
            value,
        });
        let new = gauges.filter(|gauge| {
            marks.get(&(gauge.subject.clone(), gauge.metric)).is_none_or(|mark| gauge.at > *mark)
        });
        (new.collect(), left_out)
    }
}
