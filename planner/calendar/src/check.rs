//! The check of each field of a calendar: what was given, what is allowed, what to do.
use crate::{
    cron::Pattern,
    document::{AtSpec, CalendarDocument, EventSpec, IcalSpec, KIND, WhenSpec},
    event_calendar::{Event, FeedSource, When, problem_of, read_feed_text},
    ical::{self, Defaults, quoted},
    recurrence::{Length, Recurrence},
    written::Written,
    zone::Zone,
};
use foremesh_core::{
    calendar::{ExpectedEffect, Scope},
    document::{Kind, Problems, SpecProblem},
    duration::{format_ms, parse_ms},
    policy::ServiceGlob,
    time::Timestamp,
};
use std::collections::BTreeSet;

/// Most events of one calendar.
pub const MOST_EVENTS: usize = 1_000;
/// Longest event in milliseconds. What lasts longer is the new normal, and a level is learnt from it by itself.
pub const LONGEST_MS: i64 = 31 * 86_400_000;
/// Most occurrences of an event in [`LOOKED_AT_MS`]: more than about one an hour is a season, and no event.
const MOST_IN_A_MONTH: usize = 1_000;
const LOOKED_AT_MS: i64 = 31 * 86_400_000;
/// A moment to begin with where a rule has no start of its own; any year has the same density.
const SOME_MONTH: Timestamp = Timestamp::from_unix_ms(1_767_225_600_000);
const REFRESH_MS: i64 = 3_600_000;

/// The check of one calendar. Values that had a problem are left out of what the methods return.
#[derive(Default)]
pub(crate) struct Check {
    pub(crate) problems: Problems,
}

impl Check {
    pub(crate) fn head(&mut self, document: &CalendarDocument) {
        let wanted = Kind {
            name: KIND,
            other: "a calendar has another kind",
            unnamed: "a calendar needs a name",
            naming: "name it after whose events it holds",
            quoted,
        };
        self.problems.head(&document.api_version, &document.kind, &document.metadata, &wanted);
    }

    pub(crate) fn events(&mut self, document: &CalendarDocument) -> Vec<Event> {
        let specs = &document.spec.events;
        if specs.len() > MOST_EVENTS {
            let limit = format!("a calendar has at most {MOST_EVENTS}");
            self.problems.add(
                "spec.events",
                format!("{} events", specs.len()),
                &limit,
                "split it, or use rules",
            );
            return Vec::new();
        }
        let zone = self.zone("spec.zone", &document.spec.zone);
        let mut names = BTreeSet::new();
        let mut events = Vec::new();
        for (index, spec) in specs.iter().enumerate() {
            let path = format!("spec.events[{index}]");
            if spec.name.trim().is_empty() || !names.insert(spec.name.as_str()) {
                let limit = "each event has a name of its own, which forecasts are explained by";
                self.problems.add(&format!("{path}.name"), quoted(&spec.name), limit, "give it another name");
            }
            let zone = match &spec.zone {
                Some(name) => self.zone(&format!("{path}.zone"), name),
                None => zone,
            };
            events.extend(self.event(&path, spec, zone.unwrap_or(Zone::UTC)));
        }
        events
    }

    fn event(&mut self, path: &str, spec: &EventSpec, zone: Zone) -> Option<Event> {
        let length = spec.duration.as_deref();
        let length =
            length.and_then(|text| self.duration(&format!("{path}.duration"), text, 1_000, LONGEST_MS));
        let when = self.when(&format!("{path}.when"), spec, zone, length);
        self.scope(&format!("{path}.scope"), &spec.scope);
        for (index, tag) in spec.tags.iter().enumerate() {
            if tag.trim().is_empty() {
                let limit = "a tag is a word that effects are learned by";
                self.problems.add(
                    &format!("{path}.tags[{index}]"),
                    "empty",
                    limit,
                    "write one, or leave it out",
                );
            }
        }
        let expected = spec.expected_effect.as_deref().and_then(|text| {
            let effect = text.parse::<ExpectedEffect>().ok();
            if effect.is_none() {
                let limit = "an effect is a factor from x0.001 to x1000 or a difference";
                let remedy = "write for example x1.8, +200 or \"+200 ms\"";
                self.problems.add(&format!("{path}.expectedEffect"), quoted(text), limit, remedy);
            }
            effect
        });
        let mut cancelled = Vec::new();
        for (index, text) in spec.cancelled.iter().enumerate() {
            cancelled.extend(self.time(&format!("{path}.cancelled[{index}]"), text));
        }
        // A feed's events have tags of their own, and names to fall back on.
        let is_feed = matches!(when, Some(When::Feed { .. }));
        let tags = if spec.tags.is_empty() && !is_feed { vec![spec.name.clone()] } else { spec.tags.clone() };
        let event = Event {
            name: spec.name.clone(),
            tags,
            scope: spec.scope.clone(),
            expected,
            zone,
            cancelled,
            when: when?,
        };
        self.density(path, &event);
        Some(event)
    }

    fn when(&mut self, path: &str, spec: &EventSpec, zone: Zone, length_ms: Option<i64>) -> Option<When> {
        let WhenSpec { at, cron, rrule, ical } = &spec.when;
        let given = [at.is_some(), cron.is_some(), rrule.is_some(), ical.is_some()];
        let given = given.iter().filter(|given| **given).count();
        if given != 1 {
            let limit = "an event has exactly one of at, cron, rrule, ical";
            self.problems.add(
                path,
                format!("{given} of them"),
                limit,
                "keep one, and make other events of the rest",
            );
            return None;
        }
        let needed = at.as_ref().is_some_and(|at| matches!(at, AtSpec::Start(_))) || cron.is_some();
        if needed && spec.duration.is_none() {
            let path = path.replace(".when", ".duration");
            self.problems.add(
                &path,
                "missing",
                "an event that states no end needs a length",
                "add for example `duration: 1h`",
            );
        }
        if let Some(at) = at {
            return self.at(&format!("{path}.at"), at, zone, length_ms).map(When::Recurrence);
        }
        if let Some(text) = cron {
            match Pattern::parse(text) {
                Ok(pattern) => return Some(When::Cron(Box::new(pattern), length_ms?)),
                Err(error) => {
                    let limit =
                        format!("a pattern has the five fields minute, hour, day, month, weekday: {error}");
                    self.problems.add(
                        &format!("{path}.cron"),
                        quoted(text),
                        &limit,
                        "write for example \"30 2 * * *\"",
                    );
                }
            }
            return None;
        }
        let defaults = Defaults { zone, length_ms };
        if let Some(text) = rrule {
            return match ical::read_lines(text, defaults) {
                Ok(recurrence) => Some(When::Recurrence(recurrence)),
                Err(problem) => {
                    let problem = problem_of("", ical::Unreadable { event: String::new(), ..problem });
                    self.problems.extend([SpecProblem { path: format!("{path}.rrule"), ..problem }]);
                    None
                }
            };
        }
        self.ical(&format!("{path}.ical"), ical.as_ref()?, defaults)
    }

    fn at(&mut self, path: &str, spec: &AtSpec, zone: Zone, length_ms: Option<i64>) -> Option<Recurrence> {
        match spec {
            AtSpec::Start(text) => {
                let start = self.time(path, text)?;
                Some(Recurrence {
                    zone,
                    start,
                    length: Length::Ms(length_ms?),
                    rules: Vec::new(),
                    added: Vec::new(),
                    removed: Vec::new(),
                })
            }
            AtSpec::Window(window) => {
                let start = self.time(&format!("{path}.start"), &window.start);
                let end = self.time(&format!("{path}.end"), &window.end);
                let (start, end) = (start?.moment_in(zone), end?.moment_in(zone));
                let ms = end.ms_since(start);
                if !(1..=LONGEST_MS).contains(&ms) {
                    let limit =
                        format!("it must be after the start, and at most {} after it", format_ms(LONGEST_MS));
                    let remedy = "correct one of them; a change that lasts longer needs no event";
                    self.problems.add(&format!("{path}.end"), quoted(&window.end), &limit, remedy);
                    return None;
                }
                Some(ical::once(start, ms))
            }
        }
    }

    fn ical(&mut self, path: &str, spec: &IcalSpec, defaults: Defaults) -> Option<When> {
        let IcalSpec { file, url, text, refresh } = spec;
        let refresh_ms = match refresh {
            Some(text) => self.duration(&format!("{path}.refresh"), text, 60_000, 7 * 86_400_000),
            None => Some(REFRESH_MS),
        };
        let (source, text) = match (file, url, text) {
            (Some(file), None, None) => (Some(FeedSource::File(file.clone())), None),
            (None, Some(url), None) => {
                if !(url.starts_with("https://") || url.starts_with("http://")) {
                    let limit = "an address begins with https:// or http://";
                    let remedy = "write `https://` for `webcal://`, or use `file`";
                    self.problems.add(&format!("{path}.url"), quoted(url), limit, remedy);
                    return None;
                }
                (Some(FeedSource::Url(url.clone())), None)
            }
            (None, None, Some(text)) => (None, Some(text)),
            _ => {
                let limit = "it has exactly one of file, url, text";
                self.problems.add(path, "not one of them", limit, "say where the calendar is");
                return None;
            }
        };
        let mut events = Vec::new();
        if let Some(text) = text {
            match read_feed_text(&format!("{path}.text"), text, defaults) {
                Ok((found, report)) => {
                    events = found;
                    self.problems.extend(report.problems);
                }
                Err(problems) => self.problems.extend(problems),
            }
        }
        Some(When::Feed { source, refresh_ms: refresh_ms?, defaults, events })
    }

    /// Refuses what takes place all the time.
    fn density(&mut self, path: &str, event: &Event) {
        let from = match &event.when {
            When::Recurrence(recurrence) => recurrence.start.moment_in(recurrence.zone),
            When::Cron(..) => SOME_MONTH,
            // Whoever writes a feed does not read this answer; each query is limited instead.
            When::Feed { .. } => return,
        };
        let count = event.between(from, from.plus_ms(LOOKED_AT_MS)).len();
        if count > MOST_IN_A_MONTH {
            let limit = format!("an event takes place at most {MOST_IN_A_MONTH} times in 31 days");
            let remedy = "what goes on all the time is learnt as the season; name only what stands out";
            self.problems.add(&format!("{path}.when"), format!("{count} times or more"), &limit, remedy);
        }
    }

    fn scope(&mut self, path: &str, scope: &Scope) {
        let Scope { services, nodes, workloads, metrics } = scope;
        let lists =
            [("services", services), ("nodes", nodes), ("workloads", workloads), ("metrics", metrics)];
        for (list, patterns) in lists {
            for (index, pattern) in patterns.iter().enumerate() {
                // Only the empty pattern matches the empty name without matching others too.
                if pattern.matches("") && *pattern == ServiceGlob::new("") {
                    let path = format!("{path}.{list}[{index}]");
                    self.problems.add(
                        &path,
                        "empty",
                        "a pattern names something",
                        "write a name, with `*` for any part of it",
                    );
                }
            }
        }
    }

    fn zone(&mut self, path: &str, name: &str) -> Option<Zone> {
        let zone = Zone::named(name);
        if zone.is_none() {
            let limit = "no such time zone is known";
            self.problems.add(
                path,
                quoted(name),
                limit,
                "name it as IANA does, such as Europe/Berlin or UTC",
            );
        }
        zone
    }

    fn time(&mut self, path: &str, text: &str) -> Option<Written> {
        let time = Written::from_document(text);
        if time.is_none() {
            let remedy = "write 2026-11-27, 2026-11-27T08:00 or 2026-11-27T08:00:00Z";
            self.problems.add(path, quoted(text), "it must be a time from 1970 to 2200", remedy);
        }
        time
    }

    fn duration(&mut self, path: &str, text: &str, least_ms: i64, most_ms: i64) -> Option<i64> {
        let ms = parse_ms(text).ok().filter(|ms| (least_ms..=most_ms).contains(ms));
        if ms.is_none() {
            let limit =
                format!("it must be a duration from {} to {}", format_ms(least_ms), format_ms(most_ms));
            self.problems.add(
                path,
                quoted(text),
                &limit,
                "write a whole number and a unit, such as 30s, 15m, 2h or 1d",
            );
        }
        ms
    }
}
