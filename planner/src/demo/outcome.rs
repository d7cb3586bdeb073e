//! What a demo brought, with and without Foremesh.
use super::{LoadReport, Scenario, Sight, Window};
use crate::api::parse_time;
use foremesh_demo::DayViolations;
use serde::Serialize;
use serde_json::Value;

/// Least factor of violation seconds that the demo promises.
const PROMISED_FACTOR: u64 = 5;
/// A world that has answered nothing for so long at its start is broken, and compares with nothing.
pub(super) const UNANSWERED_SECONDS: u64 = 10;

/// One world as its load saw it.
#[derive(Debug, Default)]
pub(super) struct Side {
    days: Vec<DayViolations>,
    seconds: u64,
    answered: u64,
    pub(super) report: Option<LoadReport>,
}

impl Side {
    pub(super) fn add(&mut self, scenario: &Scenario, window: &Window) {
        scenario.count(&mut self.days, window);
        self.seconds += 1;
        self.answered += window.ok;
    }

    /// Whether nothing was answered from the beginning, for longer than a start explains.
    pub(super) fn is_unanswered(&self) -> bool {
        self.answered == 0 && self.seconds >= UNANSWERED_SECONDS
    }

    fn violations(&self, days: impl Fn(u64) -> bool) -> u64 {
        self.days.iter().filter(|day| days(day.day)).map(|day| day.violation_seconds).sum()
    }

    fn failed(&self) -> u64 {
        self.report.as_ref().map_or(0, |report| report.totals.failed)
    }

    fn failed_between(&self, from_ms: i64, to_ms: i64) -> u64 {
        let failures = self.report.iter().flat_map(|report| &report.failures);
        failures.filter(|failure| (from_ms..=to_ms).contains(&failure.at_unix_ms.cast_signed())).count()
            as u64
    }
}

/// One number for each world.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
struct Pair {
    without: u64,
    with: u64,
}

/// The comparison.
#[derive(Clone, Debug, Serialize)]
pub(super) struct Outcome {
    /// Seconds after the learning days in which the quantile was over the objective.
    violation_seconds: Pair,
    /// The same for the learning days, in which nothing can be known yet.
    learning_violation_seconds: Pair,
    /// Failed requests over the whole run.
    failed_requests: Pair,
    /// Failed requests while a service was being moved.
    failed_requests_during_moves: u64,
    /// Requests that were sent in each world.
    requests: Pair,
    /// Moves that succeeded.
    moves: usize,
    /// Moves that did not, with their state.
    other_moves: Vec<String>,
    /// Time from the moment at which the target had all traffic to the predicted breach, in seconds; the least of all
    /// moves. Negative when a move came too late.
    lead_time_seconds: Option<f64>,
    /// How the first move was tried, what came of it, or who waived that.
    trial: Option<String>,
    /// The quantile of the objective.
    quantile: f64,
    /// The objective in milliseconds.
    objective_ms: f64,
    /// Violation seconds of each day without Foremesh.
    days_without: Vec<u64>,
    /// Violation seconds of each day with Foremesh.
    days_with: Vec<u64>,
}

impl Outcome {
    pub(super) fn new(
        scenario: &Scenario,
        learning_days: u32,
        without: &Side,
        with: &Side,
        sight: &Sight,
    ) -> Self {
        let learning = |day: u64| day < u64::from(learning_days);
        let per_day = |side: &Side| side.days.iter().map(|day| day.violation_seconds).collect();
        let (done, other): (Vec<&Value>, Vec<&Value>) =
            sight.relocations.iter().partition(|relocation| text(relocation, "/state") == "Succeeded");
        let during = sight
            .relocations
            .iter()
            .filter_map(span_ms)
            .map(|(from, to)| with.failed_between(from, to))
            .sum();
        let sent = |side: &Side| side.report.as_ref().map_or(0, |report| report.totals.sent);
        Self {
            violation_seconds: Pair {
                without: without.violations(|day| !learning(day)),
                with: with.violations(|day| !learning(day)),
            },
            learning_violation_seconds: Pair {
                without: without.violations(learning),
                with: with.violations(learning),
            },
            failed_requests: Pair { without: without.failed(), with: with.failed() },
            failed_requests_during_moves: during,
            requests: Pair { without: sent(without), with: sent(with) },
            moves: done.len(),
            other_moves: other.iter().map(|relocation| text(relocation, "/state").to_owned()).collect(),
            lead_time_seconds: done.iter().filter_map(|relocation| lead_seconds(relocation)).reduce(f64::min),
            trial: done.last().map(|relocation| text(relocation, "/trial").to_owned()),
            quantile: scenario.quantile,
            objective_ms: scenario.objective_ms,
            days_without: per_day(without),
            days_with: per_day(with),
        }
    }

    /// What the demo promises and this run did not keep.
    pub(super) fn broken_promises(&self) -> Vec<String> {
        let mut broken = Vec::new();
        if self.moves == 0 {
            broken.push("no service was moved".to_owned());
        }
        if self.lead_time_seconds.is_none_or(|lead| lead <= 0.0) {
            broken.push(format!(
                "the move was not done before the predicted breach: {:?} s",
                self.lead_time_seconds
            ));
        }
        if self.moves > 0 && !self.trial.as_deref().is_some_and(|trial| trial.starts_with("pass")) {
            broken.push(format!("the move was made without a trial that passed: {:?}", self.trial));
        }
        if self.failed_requests_during_moves > 0 {
            broken.push(format!("{} requests failed during a move", self.failed_requests_during_moves));
        }
        let Pair { without, with } = self.violation_seconds;
        if without < PROMISED_FACTOR || with.saturating_mul(PROMISED_FACTOR) > without {
            broken.push(format!(
                "violation seconds: {with} with and {without} without Foremesh, promised 5 times fewer"
            ));
        }
        broken
    }

    /// For people.
    pub(super) fn table(&self) -> String {
        let Pair { without, with } = self.violation_seconds;
        let factor = match (without, with) {
            (0, _) => "no breach happened".to_owned(),
            (_, 0) => "all of them avoided".to_owned(),
            _ => format!("{:.1} times fewer", without as f64 / with as f64),
        };
        let lead = self.lead_time_seconds.map_or("-".to_owned(), |lead| format!("{lead:.1} s"));
        let days = |days: &[u64]| days.iter().map(ToString::to_string).collect::<Vec<_>>().join(" ");
        format!(
            "\n                                     without     with Foremesh\n\
             seconds over {:>5.0} ms (P{:.0})     {without:>10} {with:>10}   {factor}\n\
             the same while learning         {:>10} {:>10}\n\
             failed requests                 {:>10} {:>10}   {} during moves\n\
             requests                        {:>10} {:>10}\n\
             violation seconds by day        without: {}   with: {}\n\
             moves                           {}; traffic was moved {lead} before the predicted breach{}\n{}",
            self.objective_ms,
            self.quantile * 100.0,
            self.learning_violation_seconds.without,
            self.learning_violation_seconds.with,
            self.failed_requests.without,
            self.failed_requests.with,
            self.failed_requests_during_moves,
            self.requests.without,
            self.requests.with,
            days(&self.days_without),
            days(&self.days_with),
            self.moves,
            if self.other_moves.is_empty() {
                String::new()
            } else {
                format!("; not done: {}", self.other_moves.join(", "))
            },
            self.trial.as_deref().map_or_else(String::new, |trial| paragraph("trial", trial)),
        )
    }
}

/// A long text beside its name, in lines that a terminal has room for.
pub(super) fn paragraph(name: &str, text: &str) -> String {
    const FROM: usize = 32;
    const TO: usize = 118;
    let mut lines = vec![format!("{name:<FROM$}")];
    for word in text.split_whitespace() {
        let line = lines.last().map_or(0, |line| line.chars().count());
        if line + word.chars().count() > TO {
            lines.push(" ".repeat(FROM));
        }
        if let Some(line) = lines.last_mut() {
            line.push_str(if line.chars().count() > FROM { " " } else { "" });
            line.push_str(word);
        }
    }
    lines.into_iter().map(|line| line + "\n").collect()
}

fn text<'a>(value: &'a Value, pointer: &str) -> &'a str {
    value.pointer(pointer).and_then(Value::as_str).unwrap_or_default()
}

fn transitions(relocation: &Value) -> impl Iterator<Item = (&str, i64)> {
    let history = relocation.get("history").and_then(Value::as_array).map_or(&[][..], Vec::as_slice);
    history
        .iter()
        .filter_map(|change| Some((text(change, "/to"), parse_time(text(change, "/at"))?.unix_ms())))
}

/// From the first to the last change of state.
fn span_ms(relocation: &Value) -> Option<(i64, i64)> {
    let mut times = transitions(relocation).map(|(_, at)| at);
    let first = times.next()?;
    Some((first, times.last().unwrap_or(first)))
}

fn lead_seconds(relocation: &Value) -> Option<f64> {
    // A shift has nothing to drain.
    let arrived = ["Draining", "Settling"];
    let (_, moved) = transitions(relocation).find(|(state, _)| arrived.contains(state))?;
    let breach = parse_time(text(relocation, "/breach_at"))?;
    Some((breach.unix_ms() - moved) as f64 / 1e3)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn outcome(violations: Pair, moves: usize, lead: Option<f64>, failed: u64) -> Outcome {
        let zero = Pair { without: 0, with: 0 };
        Outcome {
            violation_seconds: violations,
            learning_violation_seconds: zero,
            failed_requests: zero,
            failed_requests_during_moves: failed,
            requests: zero,
            moves,
            other_moves: Vec::new(),
            lead_time_seconds: lead,
            trial: Some("passed: it is as fast".to_owned()),
            quantile: 0.95,
            objective_ms: 250.0,
            days_without: Vec::new(),
            days_with: Vec::new(),
        }
    }

    #[test]
    fn promises_are_held_or_named() {
        for (name, run, broken) in [
            ("all kept", outcome(Pair { without: 25, with: 5 }, 1, Some(1.0), 0), 0),
            ("too many violations", outcome(Pair { without: 24, with: 5 }, 1, Some(1.0), 0), 1),
            ("no breach to avoid", outcome(Pair { without: 0, with: 0 }, 1, Some(1.0), 0), 1),
            ("too late", outcome(Pair { without: 25, with: 0 }, 1, Some(-0.1), 0), 1),
            ("failed requests", outcome(Pair { without: 25, with: 0 }, 1, Some(1.0), 3), 1),
            ("nothing moved", outcome(Pair { without: 25, with: 25 }, 0, None, 0), 3),
        ] {
            assert_eq!(run.broken_promises().len(), broken, "case: {name}");
        }
    }

    #[test]
    fn lead_time_is_counted_from_the_whole_traffic_to_the_breach() {
        let relocation = json!({
            "breach_at": "2026-01-01T00:00:10Z",
            "history": [
                {"at": "2026-01-01T00:00:01Z", "to": "Trial"},
                {"at": "2026-01-01T00:00:06.5Z", "to": "Draining"},
                {"at": "2026-01-01T00:00:09Z", "to": "Succeeded"},
            ],
        });
        assert_eq!(lead_seconds(&relocation), Some(3.5));
        assert_eq!(span_ms(&relocation).map(|(from, to)| to - from), Some(8000));
    }
}
