//! Calendar files: reading them, and one clear error for each thing that is wrong.
use super::{settings::CalendarSettings, table::StateFileError};
use foremesh_calendar::{CalendarDocument, EventCalendar, validate};
use foremesh_core::document::SpecProblem;
use std::{
    fmt::Write as _,
    path::{Path, PathBuf},
};

/// Largest calendar file and iCal text in bytes.
pub(super) const MAX_TEXT_BYTES: usize = 4 << 20;

/// Why a calendar was refused.
#[derive(Debug, thiserror::Error)]
pub enum CalendarError {
    /// The settings are wrong.
    #[error("calendar `{calendar}`: {problem}; correct `calendars` in the settings")]
    Settings {
        /// The calendar.
        calendar: String,
        /// What is wrong.
        problem: String,
    },
    /// A file or directory could not be read.
    #[error("calendar file `{path}` cannot be read; correct `calendars` in the settings")]
    Read {
        /// The file or directory.
        path: PathBuf,
        /// The cause.
        #[source]
        source: std::io::Error,
    },
    /// A file is too large.
    #[error("calendar file `{path}` has more than {MAX_TEXT_BYTES} bytes; split it")]
    TooLarge {
        /// The file.
        path: PathBuf,
    },
    /// The file is not YAML, or has an unknown field or a value of the wrong kind.
    #[error("calendar file `{path}`, document {document}: {problem}")]
    Parse {
        /// The file.
        path: PathBuf,
        /// Which of its documents, from 1.
        document: usize,
        /// What the parser said, with line and column.
        problem: String,
    },
    /// Values that cannot be accepted; all of them at once.
    #[error("calendar `{calendar}` in {place}:{problems}")]
    Problems {
        /// The calendar.
        calendar: String,
        /// The file, in quotes, or `the settings`.
        place: String,
        /// One line each.
        problems: String,
    },
    /// Two calendars have one name.
    #[error("calendar `{calendar}` is in {first} and in {second}; give one of them another name")]
    Twice {
        /// The name.
        calendar: String,
        /// One place.
        first: String,
        /// The other.
        second: String,
    },
    /// The text of a feed cannot be understood.
    #[error("feed `{feed}` of calendar `{calendar}` is no calendar that can be read:{problems}")]
    Feed {
        /// The calendar.
        calendar: String,
        /// The feed, by its event.
        feed: String,
        /// One line each.
        problems: String,
    },
    /// The state file refused.
    #[error("the calendars could not be stored")]
    File(#[from] StateFileError),
}

/// One calendar as it stands in a file or in the settings.
#[derive(Clone, Debug)]
pub(super) struct ReadCalendar {
    /// The file in quotes, or what else it is from.
    pub(super) place: String,
    /// Directory that paths in it start at.
    pub(super) base: PathBuf,
    /// The checked calendar, its feeds not yet read.
    pub(super) calendar: EventCalendar,
}

/// The texts of the files of one source, in the order of their names; none for a feed.
///
/// # Errors
/// At the first file that cannot be read.
pub(super) fn texts(source: &CalendarSettings) -> Result<Vec<(PathBuf, String)>, CalendarError> {
    let paths = source.file.iter().map(|path| files(path)).collect::<Result<Vec<_>, _>>()?.concat();
    paths.into_iter().map(|path| text(&path).map(|text| (path, text))).collect()
}

/// All calendars of one source.
///
/// # Errors
/// At the first calendar that cannot be accepted.
pub(super) fn calendars(
    source: &CalendarSettings,
    texts: &[(PathBuf, String)],
) -> Result<Vec<ReadCalendar>, CalendarError> {
    if let Some(ical) = &source.ical {
        let place = "the settings".to_owned();
        let calendar = checked(&ical.document(), &place)?;
        return Ok(vec![ReadCalendar { place, base: PathBuf::new(), calendar }]);
    }
    let each = texts.iter().map(|(path, text)| parse(path, text));
    each.collect::<Result<Vec<_>, _>>().map(|found| found.concat())
}

/// The calendars of one file, which may hold several documents.
///
/// # Errors
/// When a document cannot be parsed or accepted.
pub(super) fn parse(path: &Path, text: &str) -> Result<Vec<ReadCalendar>, CalendarError> {
    let base = path.parent().unwrap_or(Path::new(".")).to_owned();
    let mut found = Vec::new();
    for (at, document) in yaml_serde::Deserializer::from_str(text).enumerate() {
        let document: CalendarDocument =
            serde::Deserialize::deserialize(document).map_err(|error: yaml_serde::Error| {
                CalendarError::Parse { path: path.to_owned(), document: at + 1, problem: error.to_string() }
            })?;
        let place = format!("`{}`", path.display());
        let calendar = checked(&document, &place)?;
        found.push(ReadCalendar { place, base: base.clone(), calendar });
    }
    Ok(found)
}

/// A document as a calendar.
pub(super) fn checked(document: &CalendarDocument, place: &str) -> Result<EventCalendar, CalendarError> {
    validate(document).map_err(|problems| CalendarError::Problems {
        calendar: document.metadata.name.clone(),
        place: place.to_owned(),
        problems: lines(&problems),
    })
}

/// Problems as one line each.
pub(super) fn lines(problems: &[SpecProblem]) -> String {
    problems.iter().fold(String::new(), |mut text, problem| {
        let _ = write!(text, "\n  {problem}");
        text
    })
}

/// The text of a file, unless it is too large.
pub(super) fn text(path: &Path) -> Result<String, CalendarError> {
    use std::io::Read as _;
    let fail = |source| CalendarError::Read { path: path.to_owned(), source };
    let file = std::fs::File::open(path).map_err(fail)?;
    let mut text = String::new();
    file.take(MAX_TEXT_BYTES as u64 + 1).read_to_string(&mut text).map_err(fail)?;
    if text.len() > MAX_TEXT_BYTES {
        return Err(CalendarError::TooLarge { path: path.to_owned() });
    }
    Ok(text)
}

fn files(path: &Path) -> Result<Vec<PathBuf>, CalendarError> {
    if !path.is_dir() {
        return Ok(vec![path.to_owned()]);
    }
    let fail = |source| CalendarError::Read { path: path.to_owned(), source };
    let mut inside = Vec::new();
    for entry in std::fs::read_dir(path).map_err(fail)? {
        let file = entry.map_err(fail)?.path();
        if file.extension().is_some_and(|kind| kind == "yaml" || kind == "yml") {
            inside.push(file);
        }
    }
    inside.sort();
    Ok(inside)
}
