//! iCal texts (RFC 5545): their `VEVENT`s as recurrences. A library reads the lines; what they mean together is here.
use crate::{
    recurrence::{Length, Recurrence, Rule},
    written::Written,
    zone::Zone,
};
use foremesh_core::time::Timestamp;
use icalendar::parser::{Component, Property, read_calendar, unfold};
use std::collections::BTreeMap;

/// Longest text that is read, in bytes: some ten thousand events.
pub(crate) const LONGEST_TEXT: usize = 4 << 20;
/// Most events of one text.
pub(crate) const MOST_EVENTS: usize = 5_000;
/// Deepest nesting of components; alarms in events in a calendar are 3. The library recurses for each.
const DEEPEST: usize = 8;
const DAY_MS: i64 = 86_400_000;

/// One event of a text.
#[derive(Clone, Debug)]
pub(crate) struct IcalEvent {
    /// Its summary, or its UID when it has none.
    pub(crate) name: String,
    /// Its categories.
    pub(crate) categories: Vec<String>,
    pub(crate) recurrence: Recurrence,
}

/// An event that could not be understood.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Unreadable {
    /// UID or summary.
    pub(crate) event: String,
    pub(crate) value: String,
    pub(crate) limit: String,
    pub(crate) remedy: String,
}

/// What stands in for what an event does not say.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Defaults {
    /// Zone of times that have none.
    pub(crate) zone: Zone,
    /// Length of an event that states none.
    pub(crate) length_ms: Option<i64>,
}

/// Reads a text.
pub(crate) fn read(text: &str, defaults: Defaults) -> Result<(Vec<IcalEvent>, Vec<Unreadable>), String> {
    if text.len() > LONGEST_TEXT {
        return Err(format!("it has {} bytes, but at most {LONGEST_TEXT} are read", text.len()));
    }
    // Texts that end their lines with a single CR exist; the library does not know them.
    let text = unfold(&text.trim_start_matches('\u{feff}').replace("\r\n", "\n").replace('\r', "\n"));
    let mut depth = 0_usize;
    for line in text.lines() {
        let begins = line.get(..6).is_some_and(|start| start.eq_ignore_ascii_case("BEGIN:"));
        let ends = line.get(..4).is_some_and(|start| start.eq_ignore_ascii_case("END:"));
        depth = if begins { depth + 1 } else { depth.saturating_sub(usize::from(ends)) };
        if depth > DEEPEST {
            return Err(format!("its components are nested deeper than {DEEPEST}"));
        }
    }
    let calendar = read_calendar(&text).map_err(|error| first_line(&error))?;
    let events: Vec<&Component<'_>> =
        calendar.components.iter().filter(|component| component.name == "VEVENT").collect();
    if events.is_empty() && !text.contains("VCALENDAR") {
        return Err("it has no VCALENDAR".to_owned());
    }
    if events.len() > MOST_EVENTS {
        return Err(format!("it has {} events, but at most {MOST_EVENTS} are read", events.len()));
    }
    Ok(understood(&events, defaults))
}

/// Reads the lines `DTSTART`, `RRULE`, `EXDATE`, `RDATE`, `DTEND` and `DURATION` that stand alone.
pub(crate) fn read_lines(text: &str, defaults: Defaults) -> Result<Recurrence, Unreadable> {
    let whole =
        format!("BEGIN:VCALENDAR\nBEGIN:VEVENT\nUID:rule\n{}\nEND:VEVENT\nEND:VCALENDAR\n", text.trim());
    let unreadable = |limit: String| Unreadable {
        event: String::new(),
        value: quoted(text),
        limit,
        remedy:
            "write lines such as DTSTART;TZID=Europe/Berlin:20260105T090000 and RRULE:FREQ=WEEKLY;BYDAY=MO"
                .into(),
    };
    let (mut events, mut problems) = read(&whole, defaults).map_err(unreadable)?;
    match (events.pop(), problems.pop()) {
        (Some(event), None) if events.is_empty() => Ok(event.recurrence),
        (_, Some(problem)) => Err(problem),
        _ => Err(unreadable("it must be the lines of one rule".to_owned())),
    }
}

/// Puts events and the changes of single occurrences together.
fn understood(components: &[&Component<'_>], defaults: Defaults) -> (Vec<IcalEvent>, Vec<Unreadable>) {
    let mut events: Vec<(String, IcalEvent)> = Vec::new();
    let mut problems = Vec::new();
    let mut changed: BTreeMap<String, Vec<Written>> = BTreeMap::new();
    for (index, component) in components.iter().enumerate() {
        let text =
            |name: &str| component.find_prop(name).map(|property| property.val.as_str().trim().to_owned());
        let uid = text("UID").filter(|uid| !uid.is_empty()).unwrap_or_else(|| format!("event {index}"));
        let cancelled = text("STATUS").is_some_and(|status| status.eq_ignore_ascii_case("CANCELLED"));
        let name = text("SUMMARY").filter(|name| !name.is_empty()).unwrap_or_else(|| uid.clone());
        if let Some(property) = component.find_prop("RECURRENCE-ID") {
            match time_of(property, defaults.zone) {
                Ok((time, zone)) if parameter(property, "RANGE").is_none() => {
                    let moment = if matches!(time, Written::Wall(_)) {
                        Written::Moment(time.moment_in(zone))
                    } else {
                        time
                    };
                    changed.entry(uid.clone()).or_default().push(moment);
                }
                Ok(_) => problems.push(Unreadable {
                    event: name.clone(),
                    value: "`RANGE=THISANDFUTURE`".to_owned(),
                    limit: "a change of this and all later occurrences is not understood".to_owned(),
                    remedy: "end the old series and begin a new one".to_owned(),
                }),
                Err(problem) => problems.push(Unreadable { event: name.clone(), ..problem }),
            }
        }
        if cancelled {
            continue;
        }
        match recurrence(component, defaults) {
            Ok(recurrence) => {
                let categories = component.properties.iter().filter(|property| property.name == "CATEGORIES");
                let categories = categories.flat_map(|property| property.val.as_str().split(','));
                let categories: Vec<String> =
                    categories.map(|word| word.trim().to_owned()).filter(|word| !word.is_empty()).collect();
                events.push((uid, IcalEvent { name, categories, recurrence }));
            }
            Err(problem) => problems.push(Unreadable { event: name, ..problem }),
        }
    }
    for (uid, event) in &mut events {
        if !event.recurrence.rules.is_empty() || !event.recurrence.added.is_empty() {
            event.recurrence.removed.extend(changed.get(uid).into_iter().flatten());
        }
    }
    (events.into_iter().map(|(_, event)| event).collect(), problems)
}

fn recurrence(component: &Component<'_>, defaults: Defaults) -> Result<Recurrence, Unreadable> {
    let is_change = component.find_prop("RECURRENCE-ID").is_some();
    let start = component.find_prop("DTSTART").ok_or_else(|| {
        unreadable(
            "missing",
            "an event needs a DTSTART",
            "add one, such as DTSTART;TZID=Europe/Berlin:20260105T090000",
        )
    })?;
    let (start, zone) = time_of(start, defaults.zone)?;
    let length = length(component, start, zone, defaults)?;
    let mut found =
        Recurrence { zone, start, length, rules: Vec::new(), added: Vec::new(), removed: Vec::new() };
    for property in &component.properties {
        let value = property.val.as_str();
        match property.name.as_str() {
            "RRULE" if !is_change => {
                let rule = Rule::parse(value, start, zone).map_err(|error| {
                    unreadable(&quoted(value), &error, "write a rule of RFC 5545, 3.3.10")
                })?;
                found.rules.push(rule);
            }
            "EXDATE" => {
                for (time, zone) in times_of(property, defaults.zone)? {
                    // A day stays a day: it takes out what starts on it.
                    found.removed.push(in_zone(time, zone));
                }
            }
            "RDATE" => {
                for text in value.split(',') {
                    let (text, end) =
                        text.split_once('/').map_or((text, None), |(start, end)| (start, Some(end)));
                    let (time, zone) = parse_time(text, property, defaults.zone)?;
                    let begin = time.moment_in(zone);
                    let end = end.and_then(|end| match Written::from_ical(end) {
                        Some(end) => Some(end.moment_in(zone)),
                        None => Some(begin.plus_ms(duration_ms(end)?)),
                    });
                    found.added.push((in_zone(time, zone), end.filter(|end| *end > begin)));
                }
            }
            _ => {}
        }
    }
    Ok(found)
}

fn in_zone(time: Written, zone: Zone) -> Written {
    if matches!(time, Written::Day(_)) { time } else { Written::Moment(time.moment_in(zone)) }
}

/// Length by `DTEND` or `DURATION`; a whole day for an event that is stated in days.
fn length(
    component: &Component<'_>,
    start: Written,
    zone: Zone,
    defaults: Defaults,
) -> Result<Length, Unreadable> {
    let remedy = "let it end after it starts";
    if let Some(property) = component.find_prop("DTEND") {
        let (end, end_zone) = time_of(property, defaults.zone)?;
        if let (Written::Day(first), Written::Day(after)) = (start, end) {
            let days = u64::try_from((after - first).num_days()).unwrap_or(0);
            // An end on the same day is against the standard, but written by some, and means that day.
            return Ok(Length::Days(days.max(1)));
        }
        let ms = end.moment_in(end_zone).ms_since(start.moment_in(zone));
        return if ms > 0 {
            Ok(Length::Ms(ms))
        } else {
            Err(unreadable(&quoted(property.val.as_str()), "its end is not after its start", remedy))
        };
    }
    if let Some(property) = component.find_prop("DURATION") {
        let text = property.val.as_str();
        let ms = duration_ms(text).filter(|ms| *ms > 0);
        let ms = ms.ok_or_else(|| unreadable(&quoted(text), "a DURATION is such as PT1H30M", remedy))?;
        let days = matches!(start, Written::Day(_)) && ms % DAY_MS == 0;
        return Ok(if days {
            Length::Days(ms.unsigned_abs() / DAY_MS.unsigned_abs())
        } else {
            Length::Ms(ms)
        });
    }
    match (start, defaults.length_ms) {
        (_, Some(ms)) => Ok(Length::Ms(ms)),
        (Written::Day(_), None) => Ok(Length::Days(1)),
        _ => Err(unreadable(
            "missing",
            "an event needs a length",
            "state its DTEND or DURATION, or a `duration` beside the source",
        )),
    }
}

/// Milliseconds of a duration such as `P1DT2H` or `P2W`.
fn duration_ms(text: &str) -> Option<i64> {
    let rest = text.trim().strip_prefix('+').unwrap_or(text.trim()).strip_prefix('P')?;
    let mut total: i64 = 0;
    let mut number = String::new();
    let mut in_time = false;
    for c in rest.chars() {
        let unit = match (c, in_time) {
            ('0'..='9', _) => {
                number.push(c);
                continue;
            }
            ('T', false) => {
                in_time = true;
                continue;
            }
            ('W', false) => 7 * DAY_MS,
            ('D', false) => DAY_MS,
            ('H', true) => 3_600_000,
            ('M', true) => 60_000,
            ('S', true) => 1_000,
            _ => return None,
        };
        total = total.checked_add(number.parse::<i64>().ok()?.checked_mul(unit)?)?;
        number.clear();
    }
    number.is_empty().then_some(total)
}

fn time_of(property: &Property<'_>, zone: Zone) -> Result<(Written, Zone), Unreadable> {
    parse_time(property.val.as_str(), property, zone)
}

fn times_of(property: &Property<'_>, zone: Zone) -> Result<Vec<(Written, Zone)>, Unreadable> {
    property.val.as_str().split(',').map(|text| parse_time(text, property, zone)).collect()
}

fn parse_time(text: &str, property: &Property<'_>, zone: Zone) -> Result<(Written, Zone), Unreadable> {
    let time = Written::from_ical(text).ok_or_else(|| {
        unreadable(
            &quoted(text),
            "it is no time from 1970 to 2200",
            "write it as 20260105T090000, 20260105T090000Z or 20260105",
        )
    })?;
    let zone = match parameter(property, "TZID") {
        Some(name) => Zone::named(&name).ok_or_else(|| {
            unreadable(
                &quoted(&name),
                "no such time zone is known",
                "name it as IANA does, such as Europe/Berlin",
            )
        })?,
        None => zone,
    };
    // In what zone a moment recurs is a matter of the calendar: in UTC (RFC 5545, 3.3.5).
    Ok((time, if matches!(time, Written::Moment(_)) { Zone::UTC } else { zone }))
}

fn parameter(property: &Property<'_>, key: &str) -> Option<String> {
    let found = property.params.iter().find(|parameter| parameter.key.as_str().eq_ignore_ascii_case(key))?;
    found.val.as_ref().map(|value| value.as_str().to_owned())
}

fn unreadable(value: &str, limit: &str, remedy: &str) -> Unreadable {
    Unreadable {
        event: String::new(),
        value: value.to_owned(),
        limit: limit.to_owned(),
        remedy: remedy.to_owned(),
    }
}

/// At most 80 characters of a text, in quotes: a problem must stay readable whatever was given.
pub(crate) fn quoted(text: &str) -> String {
    let text = text.trim();
    match text.char_indices().nth(80) {
        Some((end, _)) => format!("`{}…`", &text[..end]),
        None => format!("`{text}`"),
    }
}

fn first_line(text: &str) -> String {
    let line = text.lines().find(|line| !line.trim().is_empty()).unwrap_or_default();
    line.chars().take(200).collect()
}

/// When the occurrence is, as a pair that can be kept: used where a rule has only one.
pub(crate) fn once(start: Timestamp, length_ms: i64) -> Recurrence {
    Recurrence {
        zone: Zone::UTC,
        start: Written::Moment(start),
        length: Length::Ms(length_ms),
        rules: Vec::new(),
        added: Vec::new(),
        removed: Vec::new(),
    }
}
