//! External regressors: series that are not ours and explain ours, such as campaign spend or the length of a queue.
//!
//! They are pushed over HTTP, with the future where it is planned, or read by PromQL. A forecast asks
//! [`Regressors::current`], which does no IO.
mod grid;
mod points;
mod promql;
mod set;
mod settings;
mod table;

pub use points::{Push, PushError, from_csv, from_json};
pub use set::{OnGrid, Regressor, RegressorSet, Source};
pub(crate) use settings::{NAME_LIMIT, is_name};
pub use settings::{RegressorSettings, RegressorSettingsError};

use crate::{
    causes::chain, clock::Clock, due::refresh_until, signals::prometheus::PrometheusError,
    state_file::StateFileError,
};
use foremesh_core::{
    calendar::Scope,
    time::{Step, Timestamp},
};
use futures::StreamExt as _;
use promql::{ReadError, Reader};
use std::{
    collections::BTreeMap,
    path::Path,
    sync::{Arc, Mutex, PoisonError, RwLock},
};
use table::Table;

/// Largest body of one push in bytes.
pub const MAX_BODY_BYTES: usize = 4 << 20;
/// Points of one push.
pub const MAX_PUSH_POINTS: usize = 50_000;
/// Points that are kept of one regressor, the newest ones: five weeks of minutes, eleven years of hours.
pub const MAX_POINTS: usize = 100_000;
/// Points of all regressors together; they are kept in memory, about 24 bytes each.
pub const MAX_ALL_POINTS: usize = 2_000_000;
/// Regressors that are read at the same time.
const READS_AT_ONCE: usize = 4;
/// Regressors that are pushed.
pub const MAX_REGRESSORS: usize = 256;

/// What is stored of a regressor that was pushed.
#[derive(Clone, Debug, Default)]
struct Pushed {
    unit: Option<String>,
    hold_ms: Option<i64>,
    scope: Option<Scope>,
    at: Timestamp,
    points: BTreeMap<Timestamp, f64>,
}

/// Why something about regressors was refused.
#[derive(Debug, thiserror::Error)]
pub enum RegressorError {
    /// The name cannot be one.
    #[error("`{0}` cannot be a regressor's name; use {NAME_LIMIT}")]
    Name(String),
    /// There is none of that name.
    #[error("there is no regressor `{0}`; /api/v1/regressors lists them all")]
    Unknown(String),
    /// It is read by PromQL.
    #[error(
        "regressor `{0}` is read by PromQL, as the settings say, and cannot be {1}; change `regressors` there"
    )]
    Read(String, &'static str),
    /// The settings declare what the push wants to set.
    #[error("the settings declare `{field}` of regressor `{name}`; leave it out here, or change it there")]
    Declared {
        /// The regressor.
        name: String,
        /// What is declared.
        field: &'static str,
    },
    /// There are too many.
    #[error("there are {MAX_REGRESSORS} pushed regressors already; DELETE one that is not needed")]
    TooMany,
    /// There are too many points.
    #[error(
        "all regressors together would have more than {MAX_ALL_POINTS} points; DELETE one that is not needed"
    )]
    TooManyPoints,
    /// A value holds for no time.
    #[error("`hold` is {0}, but must be 1ms or more")]
    Hold(crate::settings::Span),
    /// The file refused.
    #[error("the regressors could not be stored")]
    File(#[from] StateFileError),
    /// The settings are wrong.
    #[error(transparent)]
    Settings(#[from] RegressorSettingsError),
    /// The API that one is read from cannot be asked.
    #[error("regressor `{0}` cannot be read")]
    Prometheus(String, #[source] Box<PrometheusError>),
}

/// What a push changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Accepted {
    /// Points of the body.
    pub points: usize,
    /// Of those, points whose time had another value before.
    pub replaced: usize,
}

/// All regressors, and who may change them.
#[derive(Debug)]
pub struct Regressors {
    clock: Clock,
    step: Step,
    declared: Vec<RegressorSettings>,
    table: Table,
    current: RwLock<Arc<RegressorSet>>,
    /// Held over a change, so that the file and the memory agree.
    change: tokio::sync::Mutex<()>,
    /// What is read, with the time that it is due.
    readers: Mutex<Vec<(Timestamp, Arc<Reader>)>>,
}

impl Regressors {
    /// Checks what the settings declare, without touching a file.
    ///
    /// # Errors
    /// At the first regressor that cannot be accepted.
    pub fn check(declared: &[RegressorSettings]) -> Result<(), RegressorSettingsError> {
        settings::check(declared)
    }

    /// Opens what was pushed before, in this file.
    ///
    /// # Errors
    /// When the settings are wrong, or the file cannot be read.
    pub fn open(
        declared: &[RegressorSettings],
        path: &Path,
        step: Step,
        clock: Clock,
    ) -> Result<Self, RegressorError> {
        settings::check(declared)?;
        let table = Table::open(path)?;
        let mut pushed = table.read()?;
        let mut set = BTreeMap::new();
        for declared in declared {
            let before = pushed.remove(&declared.name).unwrap_or_default();
            set.insert(
                declared.name.clone(),
                Arc::new(regressor(&declared.name, Some(declared), before, step)),
            );
        }
        for (name, before) in pushed {
            set.insert(name.clone(), Arc::new(regressor(&name, None, before, step)));
        }
        let mut readers = Vec::new();
        for declared in declared {
            let reader = Reader::new(declared)
                .map_err(|source| RegressorError::Prometheus(declared.name.clone(), Box::new(source)))?;
            readers.extend(reader.map(|reader| (clock.now(), Arc::new(reader))));
        }
        Ok(Self {
            clock,
            step,
            declared: declared.to_vec(),
            table,
            current: RwLock::new(Arc::new(RegressorSet(set))),
            change: tokio::sync::Mutex::default(),
            readers: Mutex::new(readers),
        })
    }

    /// Reads what is due, again and again, until `stop` says so.
    pub async fn run(self: Arc<Self>, stop: tokio::sync::watch::Receiver<bool>) {
        refresh_until(stop, || self.refresh()).await;
    }

    /// Reads every regressor that is due by its expression. One that cannot be read keeps what it has.
    pub async fn refresh(&self) {
        let (now, set) = (self.clock.now(), self.current());
        let mut due = Vec::new();
        for (next_at, reader) in self.readers.lock().unwrap_or_else(PoisonError::into_inner).iter_mut() {
            if *next_at <= now {
                *next_at = now.plus_ms(reader.settings.interval.ms());
                due.push(Arc::clone(reader));
            }
        }
        // One server that is slow must not hold up the others.
        let (known, step) = (&set, self.step);
        let mut reads = futures::stream::iter(due)
            .map(|reader| async move {
                let newest = known.get(&reader.settings.name).and_then(|known| known.newest());
                let read = reader.read(newest, now, step).await;
                (reader, read)
            })
            .buffer_unordered(READS_AT_ONCE);
        while let Some((reader, read)) = reads.next().await {
            if let Some(before) = set.get(&reader.settings.name) {
                self.put(after_read(before, read, now));
            }
        }
    }

    /// All regressors as they are now.
    pub fn current(&self) -> Arc<RegressorSet> {
        Arc::clone(&self.current.read().unwrap_or_else(PoisonError::into_inner))
    }

    fn declared(&self, name: &str) -> Option<&RegressorSettings> {
        self.declared.iter().find(|declared| declared.name == name)
    }

    fn put(&self, changed: Regressor) {
        let mut current = self.current.write().unwrap_or_else(PoisonError::into_inner);
        let mut set = RegressorSet::clone(&current);
        set.0.insert(changed.name.clone(), Arc::new(changed));
        *current = Arc::new(set);
    }

    /// Takes pushed points; they are durable when this returns, and the newest push of a time wins.
    ///
    /// # Errors
    /// When the name, the settings or a limit are against it: nothing of it is stored then.
    pub async fn push(&self, name: &str, push: Push) -> Result<Accepted, RegressorError> {
        let refused = |field| Err(RegressorError::Declared { name: name.to_owned(), field });
        if !is_name(name) {
            return Err(RegressorError::Name(name.to_owned()));
        }
        if let Some(hold) = push.hold.filter(|hold| hold.ms() < 1) {
            return Err(RegressorError::Hold(hold));
        }
        let declared = self.declared(name);
        if let Some(declared) = declared {
            if declared.promql.is_some() {
                return Err(RegressorError::Read(name.to_owned(), "pushed"));
            }
            if push.scope.is_some() && declared.scope.is_some() && push.scope != declared.scope {
                return refused("scope");
            }
            if push.hold.is_some() && declared.hold.is_some() && push.hold != declared.hold {
                return refused("hold");
            }
            if push.unit.is_some() && declared.unit.is_some() && push.unit != declared.unit {
                return refused("unit");
            }
        }
        let _alone = self.change.lock().await;
        let (now, set) = (self.clock.now(), self.current());
        let before = set.get(name);
        let is_new = before.is_none_or(|before| before.received_at.is_none());
        if is_new
            && set.all().filter(|r| r.source == Source::Pushed && r.received_at.is_some()).count()
                >= MAX_REGRESSORS
        {
            return Err(RegressorError::TooMany);
        }
        let mut points = before.map(|before| BTreeMap::clone(&before.points)).unwrap_or_default();
        let others: usize = set.all().filter(|r| r.name != name).map(|r| r.points.len()).sum();
        let accepted = Accepted {
            points: push.points.len(),
            replaced: push
                .points
                .iter()
                .filter(|(at, value)| points.get(at).is_some_and(|old| old.to_bits() != value.to_bits()))
                .count(),
        };
        points.extend(push.points.iter().map(|(at, value)| (*at, *value)));
        while points.len() > MAX_POINTS {
            points.pop_first();
        }
        if others + points.len() > MAX_ALL_POINTS {
            return Err(RegressorError::TooManyPoints);
        }
        let known = Pushed {
            unit: push.unit.clone().or_else(|| before.and_then(|before| before.unit.clone())),
            hold_ms: push.hold.map(crate::settings::Span::ms).or(before.map(|before| before.hold_ms)),
            scope: push.scope.clone().or_else(|| before.map(|before| before.scope.clone())),
            at: now,
            points,
        };
        self.table.write(name, push, now, MAX_POINTS).await?;
        self.put(regressor(name, declared, known, self.step));
        Ok(accepted)
    }

    /// Forgets a regressor with all its points. One that the settings declare stays, without points.
    ///
    /// # Errors
    /// When there is none of that name, or it is read by PromQL.
    pub async fn remove(&self, name: &str) -> Result<(), RegressorError> {
        let _alone = self.change.lock().await;
        let declared = self.declared(name);
        if declared.is_some_and(|declared| declared.promql.is_some()) {
            return Err(RegressorError::Read(name.to_owned(), "deleted"));
        }
        if self.current().get(name).is_none() {
            return Err(RegressorError::Unknown(name.to_owned()));
        }
        self.table.remove(name).await?;
        if let Some(declared) = declared {
            self.put(regressor(name, Some(declared), Pushed::default(), self.step));
            return Ok(());
        }
        let mut current = self.current.write().unwrap_or_else(PoisonError::into_inner);
        let mut set = RegressorSet::clone(&current);
        set.0.remove(name);
        *current = Arc::new(set);
        Ok(())
    }
}

/// What a regressor is after an attempt to read it.
fn after_read(
    before: &Regressor,
    read: Result<BTreeMap<Timestamp, f64>, ReadError>,
    now: Timestamp,
) -> Regressor {
    match read {
        Ok(new) => {
            let mut points = BTreeMap::clone(&before.points);
            points.extend(new);
            while points.len() > MAX_POINTS {
                points.pop_first();
            }
            let points = Arc::new(points);
            Regressor { points, received_at: Some(now), error: None, ..before.clone() }
        }
        Err(error) => {
            let why = chain(&error);
            if before.error.as_deref() != Some(&why) {
                tracing::warn!(regressor = before.name, error = why, "the regressor keeps what it has");
            }
            Regressor { error: Some(why), ..before.clone() }
        }
    }
}

fn regressor(name: &str, declared: Option<&RegressorSettings>, pushed: Pushed, step: Step) -> Regressor {
    let read = declared.and_then(|declared| declared.promql.clone().zip(declared.url.clone()));
    let hold_ms = declared.and_then(|declared| declared.hold).map(crate::settings::Span::ms);
    Regressor {
        name: name.to_owned(),
        unit: declared.and_then(|declared| declared.unit.clone()).or(pushed.unit),
        scope: declared.and_then(|declared| declared.scope.clone()).or(pushed.scope).unwrap_or_default(),
        knows_future: read.is_none() || declared.is_some_and(|declared| declared.known_future.is_some()),
        source: read.map_or(Source::Pushed, |(query, url)| Source::PromQl { query, url }),
        hold_ms: hold_ms.or(pushed.hold_ms).unwrap_or(step.ms()),
        received_at: (!pushed.points.is_empty()).then_some(pushed.at),
        error: None,
        points: Arc::new(pushed.points),
    }
}

#[cfg(test)]
mod tests;
