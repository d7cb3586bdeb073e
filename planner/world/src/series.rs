//! Measured series: read from files, and made into curves of one value a minute.
//!
//! The format is CSV, plain or compressed (`.gz`), with a header that has at least `series_id`, `timestamp`
//! (start of the grid cell, ISO 8601 in UTC) and `value`; rows sorted by series, then time; a cell that was
//! not measured has no row.

use std::collections::HashMap;
use std::fs::File;
use std::io::Read;
use std::path::{Path, PathBuf};

use flate2::read::GzDecoder;

/// One measured series.
#[derive(Clone, Debug)]
pub struct Series {
    /// Its id in the file.
    pub id: String,
    /// Minutes since 1970 of each value.
    minutes: Vec<i64>,
    values: Vec<f64>,
}

/// How a series becomes a curve.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Shaping {
    /// Minutes over which values are averaged; 0 or 1 leaves them.
    pub(crate) smooth: i64,
    /// Largest value after scaling to mean 1; the swing around 1 is scaled to it.
    pub(crate) peak: Option<f64>,
    /// Limits after scaling to mean 1.
    pub(crate) clamp: (f64, f64),
}

/// A curve with mean 1, one value a minute, that repeats.
#[derive(Clone, Debug)]
pub(crate) struct Curve {
    /// Minute since 1970 of the first value, when the curve keeps the time of day.
    start: i64,
    values: Vec<f32>,
}

/// Why a series cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum SeriesError {
    /// The file cannot be read.
    #[error("series file {path}: cannot be read; paths are relative to the scenario file")]
    Read {
        /// The file.
        path: PathBuf,
        /// Why.
        #[source]
        source: std::io::Error,
    },
    /// The file is not CSV.
    #[error("series file {path}: is not CSV of the series format")]
    Csv {
        /// The file.
        path: PathBuf,
        /// Why.
        #[source]
        source: csv::Error,
    },
    /// A column is missing.
    #[error(
        "series file {path}: has no column `{column}`; the header must have series_id, timestamp and value"
    )]
    Column {
        /// The file.
        path: PathBuf,
        /// The column.
        column: &'static str,
    },
    /// A cell cannot be understood.
    #[error("series file {path}, line {line}: {column} `{value}` is not {expected}")]
    Cell {
        /// The file.
        path: PathBuf,
        /// The line.
        line: u64,
        /// The column.
        column: &'static str,
        /// What it holds.
        value: String,
        /// What it should hold.
        expected: &'static str,
    },
    /// The file does not have the series.
    #[error("series file {path}: has no series `{id}`; it has {known}")]
    Missing {
        /// The file.
        path: PathBuf,
        /// The id.
        id: String,
        /// A few ids that it has.
        known: String,
    },
    /// The series is too short or has no positive mean.
    #[error("series `{id}` of {path}: {why}; choose another")]
    Unusable {
        /// The file.
        path: PathBuf,
        /// The id.
        id: String,
        /// What is wrong.
        why: &'static str,
    },
}

/// All series of one file.
pub(crate) fn read_all(path: &Path) -> Result<HashMap<String, Series>, SeriesError> {
    let failed = |source| SeriesError::Read { path: path.to_owned(), source };
    let file = File::open(path).map_err(failed)?;
    let mut text = String::new();
    if path.extension().is_some_and(|extension| extension == "gz") {
        GzDecoder::new(file).read_to_string(&mut text).map_err(failed)?;
    } else {
        std::io::BufReader::new(file).read_to_string(&mut text).map_err(failed)?;
    }
    let csv_failed = |source| SeriesError::Csv { path: path.to_owned(), source };
    let mut reader = csv::Reader::from_reader(text.as_bytes());
    let header = reader.headers().map_err(csv_failed)?.clone();
    let column = |column: &'static str| {
        header
            .iter()
            .position(|name| name == column)
            .ok_or_else(|| SeriesError::Column { path: path.to_owned(), column })
    };
    let (id_at, time_at, value_at) = (column("series_id")?, column("timestamp")?, column("value")?);
    let mut all: HashMap<String, Series> = HashMap::new();
    let mut record = csv::StringRecord::new();
    while reader.read_record(&mut record).map_err(csv_failed)? {
        let cell = |column: &'static str, at: usize, expected: &'static str| SeriesError::Cell {
            path: path.to_owned(),
            line: record.position().map_or(0, csv::Position::line),
            column,
            value: record.get(at).unwrap_or("").to_owned(),
            expected,
        };
        let (id, time) = (record.get(id_at).unwrap_or(""), record.get(time_at).unwrap_or(""));
        let time: jiff::Timestamp =
            time.parse().map_err(|_| cell("timestamp", time_at, "a time like 2026-03-02T00:00:00Z"))?;
        let value: f64 = record
            .get(value_at)
            .and_then(|value| value.parse().ok())
            .filter(|value: &f64| value.is_finite())
            .ok_or_else(|| cell("value", value_at, "a finite number"))?;
        if !all.contains_key(id) {
            let series = Series { id: id.to_owned(), minutes: Vec::new(), values: Vec::new() };
            all.insert(id.to_owned(), series);
        }
        if let Some(series) = all.get_mut(id) {
            let minute = time.as_second().div_euclid(60);
            if series.minutes.last().is_some_and(|last| *last > minute) {
                return Err(cell("timestamp", time_at, "after the one before it in its series"));
            }
            series.minutes.push(minute);
            series.values.push(value);
        }
    }
    Ok(all)
}

impl Series {
    /// What keeps this series from driving a world, if anything.
    pub(crate) fn unusable(&self) -> Option<&'static str> {
        let span = self.minutes.last().unwrap_or(&0) - self.minutes.first().unwrap_or(&0);
        if span < 60 {
            return Some("it spans less than an hour");
        }
        if span > 400 * 1440 {
            return Some("it spans more than 400 days");
        }
        if self.values.iter().sum::<f64>() <= 0.0 { Some("its mean is not above 0") } else { None }
    }

    /// One value a minute with mean 1, straight between measurements, cut to whole days when it has any.
    pub(crate) fn curve(&self, shaping: Shaping) -> Curve {
        let start = self.minutes.first().copied().unwrap_or(0);
        let mut values = Vec::new();
        for (pair, ends) in self.minutes.windows(2).zip(self.values.windows(2)) {
            for minute in pair[0]..pair[1] {
                let share = (minute - pair[0]) as f64 / (pair[1] - pair[0]) as f64;
                values.push(ends[0] + (ends[1] - ends[0]) * share);
            }
        }
        if values.len() >= 1440 {
            values.truncate(values.len() / 1440 * 1440);
        }
        if values.is_empty() {
            values.push(1.0);
        }
        smooth(&mut values, shaping.smooth);
        scale_to_mean_one(&mut values);
        if let Some(peak) = shaping.peak {
            let most = values.iter().copied().fold(1.0, f64::max);
            if most > 1.001 {
                let factor = (peak - 1.0) / (most - 1.0);
                for value in &mut values {
                    *value = 1.0 + (*value - 1.0) * factor;
                }
            }
        }
        for value in &mut values {
            *value = value.clamp(shaping.clamp.0, shaping.clamp.1);
        }
        scale_to_mean_one(&mut values);
        Curve { start, values: values.into_iter().map(|value| value as f32).collect() }
    }
}

impl Curve {
    /// A curve that is always 1.
    pub(crate) fn flat() -> Self {
        Self { start: 0, values: vec![1.0] }
    }

    /// Whole days in the curve, at least 1.
    pub(crate) fn days(&self) -> usize {
        (self.values.len() / 1440).max(1)
    }

    /// The value at a minute since 1970; the time of day is the one of the measurement.
    pub(crate) fn at(&self, minute: i64) -> f64 {
        let at = (minute - self.start).rem_euclid(self.values.len() as i64);
        f64::from(self.values[at as usize])
    }
}

fn scale_to_mean_one(values: &mut [f64]) {
    let mean = values.iter().sum::<f64>() / values.len() as f64;
    if mean > 0.0 {
        for value in values {
            *value /= mean;
        }
    }
}

/// Centred moving average over `width` values, as if the values repeated.
fn smooth(values: &mut [f64], width: i64) {
    let width = usize::try_from(width).unwrap_or(0).min(values.len());
    if width < 2 {
        return;
    }
    let (n, before) = (values.len(), width / 2);
    let source = values.to_vec();
    let mut sum: f64 = (0..width).map(|at| source[(at + n - before) % n]).sum();
    for (at, value) in values.iter_mut().enumerate() {
        *value = sum / width as f64;
        sum += source[(at + width + n - before) % n] - source[(at + n - before) % n];
    }
}
