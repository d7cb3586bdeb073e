//! Reads a folder of measured series: `index.csv`, which describes them, and the compressed files with their values.
mod csv;
#[cfg(test)]
mod tests;

use csv::{Columns, Table};
use foremesh_core::time::{Step, Timestamp};
use std::{
    collections::{BTreeMap, BTreeSet},
    io,
    path::{Path, PathBuf},
};

/// Longest series that is accepted, in steps. Ten years of minutes; more is a mistake in a date.
const MOST_STEPS: i64 = 5_300_000;

/// Names in a message, at most.
const SHOWN: usize = 20;

/// One series with what `index.csv` says about it.
#[derive(Clone, Debug)]
pub struct MeasuredSeries {
    /// Its name.
    pub id: String,
    /// What was measured, such as `latency`.
    pub kind: String,
    /// Unit of the values.
    pub unit: String,
    /// Where it comes from, such as `nab`.
    pub family: String,
    /// Start of the first step.
    pub start: Timestamp,
    /// Length of a step.
    pub step: Step,
    /// One value for each step, `NaN` for a step without a row.
    pub values: Vec<f64>,
}

/// Which series to read; an empty list means all.
#[derive(Clone, Debug, Default)]
pub struct Selection {
    /// Kinds.
    pub kinds: Vec<String>,
    /// Families.
    pub families: Vec<String>,
    /// Names of series.
    pub series: Vec<String>,
}

/// Why a folder of series cannot be read.
#[derive(Debug, thiserror::Error)]
pub enum ReadError {
    /// A file cannot be opened or read.
    #[error("cannot read {}; check the path and that it is a .csv or .csv.gz file", file.display())]
    Io {
        /// The file.
        file: PathBuf,
        /// What the system said.
        #[source]
        source: io::Error,
    },
    /// A file lacks a column.
    #[error("{} has no column `{column}`; its first line must name the columns", file.display())]
    NoColumn {
        /// The file.
        file: PathBuf,
        /// The column.
        column: &'static str,
    },
    /// A cell holds something else than it must.
    #[error("{}, line {line}: {column} is `{value}`, but must be {must}", file.display())]
    Cell {
        /// The file.
        file: PathBuf,
        /// Its line, counted from 1.
        line: usize,
        /// The column.
        column: &'static str,
        /// What stands there.
        value: String,
        /// What must stand there.
        must: &'static str,
    },
    /// A line has too few cells.
    #[error("{}, line {line}: {cells} cells, but the columns need at least {need}; complete the line", file.display())]
    ShortLine {
        /// The file.
        file: PathBuf,
        /// Its line.
        line: usize,
        /// Cells of the line.
        cells: usize,
        /// Cells needed.
        need: usize,
    },
    /// A time is not on the grid of its series, or not after the one before.
    #[error("{}, line {line}: the time {value} of series {series} {problem}", file.display())]
    Time {
        /// The file.
        file: PathBuf,
        /// Its line.
        line: usize,
        /// The series.
        series: String,
        /// The time.
        value: String,
        /// What is wrong, and what to do.
        problem: &'static str,
    },
    /// The index names the same series twice.
    #[error("{}, line {line}: series {series} was named before; give each series a name of its own", file.display())]
    Twice {
        /// The index.
        file: PathBuf,
        /// Its line.
        line: usize,
        /// The series.
        series: String,
    },
    /// A series of the index has no value.
    #[error("series {series} has no row in {}; correct the column `file` of index.csv, or remove its line", file.display())]
    NoRows {
        /// The series.
        series: String,
        /// The file in which it should be.
        file: PathBuf,
    },
    /// A filter names something that the index does not have.
    #[error("there is no {what} `{given}`; there are: {known}")]
    Unknown {
        /// Kind, family or series.
        what: &'static str,
        /// What was asked for.
        given: String,
        /// What there is.
        known: String,
    },
}

impl ReadError {
    /// A series is asked for that was not read.
    pub fn unknown_series(given: &str, read: &[MeasuredSeries]) -> Self {
        let known = read.iter().take(SHOWN).map(|series| series.id.as_str()).collect::<Vec<_>>().join(", ");
        Self::Unknown { what: "series", given: given.to_owned(), known }
    }
}

/// Reads the selected series of a folder, in the order of its index.
///
/// # Errors
/// [`ReadError`], with file and line, at the first thing that is not as it must be.
pub fn read(folder: &Path, selection: &Selection) -> Result<Vec<MeasuredSeries>, ReadError> {
    let (mut series, files) = read_index(&folder.join("index.csv"), selection)?;
    let mut at: BTreeMap<PathBuf, BTreeMap<String, usize>> = BTreeMap::new();
    for (index, file) in files.iter().enumerate() {
        at.entry(folder.join(file)).or_default().insert(series[index].id.clone(), index);
    }
    for (file, wanted) in at {
        read_values(&file, &wanted, &mut series)?;
    }
    Ok(series)
}

/// The selected series, still without values, and the file of each.
fn read_index(file: &Path, selection: &Selection) -> Result<(Vec<MeasuredSeries>, Vec<String>), ReadError> {
    let mut table = Table::open(file)?;
    let names = ["series_id", "kind", "unit", "family", "step_seconds", "start", "end", "file"];
    let columns = table.columns(names)?;
    let (mut series, mut files, mut seen) = (Vec::new(), Vec::new(), BTreeSet::new());
    let (mut kinds, mut families) = (BTreeSet::new(), BTreeSet::new());
    while table.next(&columns)? {
        let [id, kind, unit, family, _, _, _, data] = table.cells(&columns);
        if !seen.insert(id.to_owned()) {
            return Err(ReadError::Twice { file: file.into(), line: table.line(), series: id.into() });
        }
        kinds.insert(kind.to_owned());
        families.insert(family.to_owned());
        if !selection.takes(id, kind, family) {
            continue;
        }
        let found = MeasuredSeries {
            id: id.to_owned(),
            kind: kind.to_owned(),
            unit: unit.to_owned(),
            family: family.to_owned(),
            start: Timestamp::default(),
            step: Step::MINUTE,
            values: Vec::new(),
        };
        let data = data.to_owned();
        let (start, step, steps) = grid(&table, &columns)?;
        series.push(MeasuredSeries { start, step, values: vec![f64::NAN; steps], ..found });
        files.push(data);
    }
    for (what, given, known) in [
        ("kind", &selection.kinds, &kinds),
        ("family", &selection.families, &families),
        ("series", &selection.series, &seen),
    ] {
        if let Some(unknown) = given.iter().find(|name| !known.contains(*name)) {
            let known = known.iter().take(SHOWN).map(String::as_str).collect::<Vec<_>>().join(", ");
            return Err(ReadError::Unknown { what, given: unknown.clone(), known });
        }
    }
    Ok((series, files))
}

/// Start, step and number of steps of the series on the current line of the index.
fn grid(table: &Table, columns: &Columns<8>) -> Result<(Timestamp, Step, usize), ReadError> {
    let [.., step_seconds, start, end, _] = table.cells(columns);
    let step = step_seconds
        .parse::<f64>()
        .ok()
        .and_then(|seconds| Step::from_ms((seconds * 1e3).round() as i64).ok())
        .ok_or_else(|| table.cell("step_seconds", step_seconds, "a positive number of seconds"))?;
    let (from, to) = (
        timestamp(start).ok_or_else(|| table.cell("start", start, "a time such as 2026-01-01T00:00:00Z"))?,
        timestamp(end).ok_or_else(|| table.cell("end", end, "a time such as 2026-01-01T00:00:00Z"))?,
    );
    let steps = step.count(from, to) + 1;
    if !(1..=MOST_STEPS).contains(&steps) {
        return Err(table.cell(
            "end",
            end,
            "the start of the last step: not before `start`, nor centuries after it",
        ));
    }
    Ok((from, step, steps as usize))
}

fn read_values(
    file: &Path,
    wanted: &BTreeMap<String, usize>,
    series: &mut [MeasuredSeries],
) -> Result<(), ReadError> {
    let mut table = Table::open(file)?;
    let columns = table.columns(["series_id", "timestamp", "value"])?;
    let mut newest: BTreeMap<usize, usize> = BTreeMap::new();
    while table.next(&columns)? {
        let [id, time, value] = table.cells(&columns);
        let Some(index) = wanted.get(id).copied() else { continue };
        let series = &mut series[index];
        let at = timestamp(time)
            .ok_or_else(|| table.cell("timestamp", time, "a time such as 2026-01-01T00:00:00Z"))?;
        let finite = value.parse::<f64>().ok().filter(|value| value.is_finite()).ok_or_else(|| {
            table.cell("value", value, "a finite number; leave the row out where nothing was measured")
        })?;
        let wrong = |problem| ReadError::Time {
            file: file.into(),
            line: table.line(),
            series: id.to_owned(),
            value: time.to_owned(),
            problem,
        };
        if at.ms_since(series.start) % series.step.ms() != 0 {
            return Err(wrong("is not on its grid; times must be `start` and whole steps after it"));
        }
        let place = usize::try_from(series.step.count(series.start, at)).ok();
        let place = place
            .filter(|place| *place < series.values.len())
            .ok_or_else(|| wrong("is not between its start and end; correct them in index.csv"))?;
        if newest.insert(index, place).is_some_and(|before| before >= place) {
            return Err(wrong("is not after the one before; sort the rows and keep one for each time"));
        }
        series.values[place] = finite;
    }
    match wanted.iter().find(|(_, index)| !newest.contains_key(index)) {
        Some((id, _)) => Err(ReadError::NoRows { series: id.clone(), file: file.into() }),
        None => Ok(()),
    }
}

fn timestamp(text: &str) -> Option<Timestamp> {
    let parsed: jiff::Timestamp = text.parse().ok()?;
    Some(Timestamp::from_unix_ms(parsed.as_millisecond()))
}

impl Selection {
    fn takes(&self, id: &str, kind: &str, family: &str) -> bool {
        let among = |list: &[String], name: &str| list.is_empty() || list.iter().any(|given| given == name);
        among(&self.kinds, kind) && among(&self.families, family) && among(&self.series, id)
    }
}
