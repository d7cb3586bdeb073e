//! The part `calendars` of the settings.
use super::files::CalendarError;
use crate::{
    regressors::{NAME_LIMIT, is_name},
    settings::Span,
};
use foremesh_calendar::{CalendarDocument, CalendarSpec, EventSpec, IcalSpec, KIND, Metadata, WhenSpec};
use foremesh_core::{calendar::Scope, document::API_VERSION};
use serde::Deserialize;
use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
};

/// Most often that a source is read.
const MIN_REFRESH_MS: i64 = 1000;

/// Where calendars come from; exactly one of `file` and `ical` is set.
#[derive(Clone, Debug, Deserialize, PartialEq)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub struct CalendarSettings {
    /// A file of `EventCalendar` documents, or a directory of `*.yaml` files; relative to the settings file.
    #[serde(default)]
    pub file: Option<PathBuf>,
    /// How often the files are read again.
    #[serde(default = "default_file_refresh")]
    pub refresh: Span,
    /// An iCal feed.
    #[serde(default)]
    pub ical: Option<IcalSettings>,
}

/// An iCal feed and what its events mean here; exactly one of `file` and `url` is set.
#[derive(Clone, Debug, Deserialize, PartialEq)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub struct IcalSettings {
    /// Name of the calendar, unique among all.
    pub name: String,
    /// The file; relative to the settings file.
    #[serde(default)]
    pub file: Option<PathBuf>,
    /// The address, `http` or `https`.
    #[serde(default)]
    pub url: Option<String>,
    /// How often it is read again.
    #[serde(default = "default_ical_refresh")]
    pub refresh: Span,
    /// IANA time zone of times that name none.
    #[serde(default)]
    pub zone: Option<String>,
    /// Length of events that state none.
    #[serde(default)]
    pub duration: Option<Span>,
    /// What its events have an effect on; everything when left out.
    #[serde(default)]
    pub scope: Scope,
    /// Tags of its events; effects are learned by the first one.
    #[serde(default)]
    pub tags: Vec<String>,
    /// Effect of its events as far as people know it, such as `x1.8` or `+200 rps`.
    #[serde(default)]
    pub expected_effect: Option<String>,
}

const fn default_file_refresh() -> Span {
    Span::from_secs(60)
}

const fn default_ical_refresh() -> Span {
    Span::from_secs(15 * 60)
}

impl CalendarSettings {
    /// Paths in it start at this directory from now on.
    pub(crate) fn start_at(&mut self, base: &Path) {
        let ical = self.ical.as_mut().and_then(|ical| ical.file.as_mut());
        for relative in self.file.iter_mut().chain(ical) {
            *relative = base.join(&*relative);
        }
    }

    /// How it is shown: the path, or the name of the feed.
    pub(super) fn title(&self) -> String {
        match (&self.file, &self.ical) {
            (Some(path), _) => path.display().to_string(),
            (None, Some(ical)) => ical.name.clone(),
            (None, None) => "calendar".to_owned(),
        }
    }

    /// Checks what no parser does.
    pub(super) fn check(&self) -> Result<(), CalendarError> {
        let refuse = |problem: String| Err(CalendarError::Settings { calendar: self.title(), problem });
        let each = "but it must be 1s or more";
        match (&self.file, &self.ical) {
            (Some(_), None) if self.refresh.ms() < MIN_REFRESH_MS => {
                refuse(format!("`refresh` is {}, {each}", self.refresh))
            }
            (None, Some(ical)) if !is_name(&ical.name) => {
                refuse(format!("`ical.name` is `{}`, but it must be {NAME_LIMIT}", ical.name))
            }
            (None, Some(ical)) if ical.file.is_some() == ical.url.is_some() => {
                refuse("`ical` must have either `file` or `url`".to_owned())
            }
            (None, Some(ical)) if ical.refresh.ms() < MIN_REFRESH_MS => {
                refuse(format!("`ical.refresh` is {}, {each}", ical.refresh))
            }
            (Some(_), None) | (None, Some(_)) => Ok(()),
            _ => refuse("it must have either `file` or `ical`".to_owned()),
        }
    }
}

impl IcalSettings {
    /// The same as a calendar document with this one feed.
    pub(super) fn document(&self) -> CalendarDocument {
        let ical = IcalSpec {
            file: self.file.as_ref().map(|path| path.display().to_string()),
            url: self.url.clone(),
            text: None,
            refresh: Some(self.refresh.to_string()),
        };
        let event = EventSpec {
            name: self.name.clone(),
            when: WhenSpec { ical: Some(ical), ..WhenSpec::default() },
            zone: self.zone.clone(),
            duration: self.duration.map(|duration| duration.to_string()),
            scope: self.scope.clone(),
            tags: self.tags.clone(),
            expected_effect: self.expected_effect.clone(),
            cancelled: Vec::new(),
        };
        document(&self.name, event)
    }
}

/// A document of one event.
pub(super) fn document(name: &str, event: EventSpec) -> CalendarDocument {
    CalendarDocument {
        api_version: API_VERSION.to_owned(),
        kind: KIND.to_owned(),
        metadata: Metadata { name: name.to_owned(), labels: BTreeMap::new(), annotations: BTreeMap::new() },
        spec: CalendarSpec { zone: "UTC".to_owned(), events: vec![event] },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_bad_source_gets_one_clear_error() {
        for (name, text, want) in [
            ("nothing", "{refresh: 1m}", "it must have either `file` or `ical`"),
            (
                "both",
                "{file: a.yaml, ical: {name: a, url: 'http://a'}}",
                "it must have either `file` or `ical`",
            ),
            ("no address", "{ical: {name: a}}", "calendar `a`: `ical` must have either `file` or `url`"),
            (
                "too often",
                "{file: a.yaml, refresh: 10ms}",
                "calendar `a.yaml`: `refresh` is 10ms, but it must be 1s",
            ),
            (
                "bad name",
                "{ical: {name: a b, url: 'http://a'}}",
                "`ical.name` is `a b`, but it must be 1 to 100",
            ),
        ] {
            let settings: CalendarSettings = yaml_serde::from_str(text).unwrap();
            let problem = settings.check().unwrap_err().to_string();
            assert!(problem.contains(want), "case {name}: {problem}");
        }
    }
}
