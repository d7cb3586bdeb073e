//! The demo's live view on stderr: a picture that is drawn again each second on a terminal, else one line a second. What
//! happens is told in lines of its own, which stay.
use super::{Cast, Scenario, Sight, Window, paragraph};
use serde_json::Value;
use std::{
    collections::BTreeMap,
    io::{IsTerminal as _, Write as _},
};

/// Seconds of measured latency that the picture shows.
const SHOWN_SECONDS: usize = 60;
/// Levels of a bar, from nothing to full.
const BARS: [char; 9] = [' ', '▁', '▂', '▃', '▄', '▅', '▆', '▇', '█'];

/// The live view.
#[derive(Debug)]
pub(super) struct Screen {
    terminal: bool,
    drawn_lines: usize,
    day_seconds: f64,
    learning_days: u32,
    days: u32,
    quantile: f64,
    objective_ms: f64,
    without: Vec<f64>,
    with: Vec<f64>,
    cast: Option<Cast>,
    /// Changes of state that were told, by relocation.
    told: BTreeMap<String, usize>,
    /// The last forecast was of a breach.
    breach: bool,
}

impl Screen {
    pub(super) fn new(scenario: &Scenario, learning_days: u32, days: u32, cast: Option<Cast>) -> Self {
        Self {
            terminal: std::io::stderr().is_terminal(),
            drawn_lines: 0,
            day_seconds: scenario.day.as_secs_f64(),
            learning_days,
            days,
            quantile: scenario.quantile,
            objective_ms: scenario.objective_ms,
            without: Vec::new(),
            with: Vec::new(),
            cast,
            told: BTreeMap::new(),
            breach: false,
        }
    }

    /// Shows one second.
    pub(super) fn show(&mut self, without: &Window, with: &Window, sight: &Sight) {
        self.without.push(without.quantile_ms(self.quantile).unwrap_or(0.0));
        self.with.push(with.quantile_ms(self.quantile).unwrap_or(0.0));
        let (picture, news) = (self.picture(with, sight), self.news(with, sight));
        let mut drawn = String::new();
        if self.drawn_lines > 0 {
            // Up to where the last picture began; what is new takes its first lines.
            drawn.extend(["\x1b[".to_owned(), self.drawn_lines.to_string(), "A".to_owned()]);
        }
        for line in news.iter().chain(&picture) {
            drawn.extend(["\x1b[2K", line, "\n"]);
        }
        self.drawn_lines = picture.len();
        if let Some(cast) = &mut self.cast {
            cast.write(&drawn, &picture);
        }
        let mut out = std::io::stderr().lock();
        // A view that cannot be written is no reason to end what it shows.
        let _ = if self.terminal {
            write!(out, "{drawn}")
        } else {
            let told: String = news.iter().flat_map(|line| [line.as_str(), "\n"]).collect();
            writeln!(out, "{told}{}", self.line(with, sight))
        };
    }

    /// Ends the record with the comparison.
    pub(super) fn finish(&mut self, table: &str) -> anyhow::Result<()> {
        self.cast.take().map_or(Ok(()), |cast| cast.finish(table))
    }

    /// What happened since the last second, each in its own line.
    fn news(&mut self, window: &Window, sight: &Sight) -> Vec<String> {
        let mut news = Vec::new();
        let breach = sight.text("/verdict") == Some("breach");
        if breach && !self.breach {
            news.push(("forecast".to_owned(), self.prediction(sight)));
        }
        self.breach = breach;
        for relocation in sight.relocations.iter().rev() {
            let part =
                |of: &Value, name: &str| of.get(name).and_then(Value::as_str).unwrap_or("-").to_owned();
            let history = relocation.get("history").and_then(Value::as_array).map_or(&[][..], Vec::as_slice);
            let told = self.told.entry(part(relocation, "id")).or_insert_with(|| {
                news.push(("plan".to_owned(), expected(relocation)));
                0
            });
            for change in history.iter().skip(*told) {
                news.push((part(change, "to"), part(change, "why")));
            }
            *told = history.len();
        }
        let at = format!("{:>4} s", window.second);
        let lines = news.iter().flat_map(|(name, text)| {
            let text = paragraph(&format!("{at}  {name}"), text);
            text.lines().map(str::to_owned).collect::<Vec<_>>()
        });
        lines.collect()
    }

    fn clock(&self, window: &Window) -> String {
        let day = (window.second as f64 / self.day_seconds) as u32;
        let hour = (window.second as f64 % self.day_seconds) / self.day_seconds * 24.0;
        let phase = if day < self.learning_days { "learning" } else { "acting" };
        format!("day {} of {}, {:>5.1} h, {phase}", day + 1, self.days, hour)
    }

    fn prediction(&self, sight: &Sight) -> String {
        let objective = self.objective_ms;
        match (
            sight.text("/verdict"),
            sight.number("/predicted/worst_ms"),
            sight.number("/predicted/breach_probability"),
        ) {
            (Some("breach"), Some(worst), Some(probability)) => format!(
                "breach: up to {worst:.0} ms against {objective:.0} ms, probability {probability:.2}, by {}",
                sight.text("/predicted/model").unwrap_or("-")
            ),
            (Some("healthy"), Some(worst), Some(probability)) => format!(
                "healthy: up to {worst:.0} ms against {objective:.0} ms, probability of a breach {probability:.2}, by {}",
                sight.text("/predicted/model").unwrap_or("-")
            ),
            (Some(_), ..) => {
                format!(
                    "unknown: {}",
                    sight.text("/predicted/unknown_because").unwrap_or("the planner has not decided yet")
                )
            }
            (None, ..) => "the planner has seen no traffic yet".to_owned(),
        }
    }

    fn relocation(sight: &Sight) -> Option<String> {
        let relocation = sight.relocations.first()?;
        let part = |name: &str| relocation.get(name).and_then(serde_json::Value::as_str).unwrap_or("-");
        Some(format!("{}: {} ({})", part("summary"), part("state"), part("why")))
    }

    fn picture(&self, with: &Window, sight: &Sight) -> Vec<String> {
        let cut = |text: String| text.chars().take(118).collect::<String>();
        let row = |name: &str, values: &[f64]| {
            let shown = &values[values.len().saturating_sub(SHOWN_SECONDS)..];
            let bars: String = shown.iter().map(|value| self.bar(*value)).collect();
            format!("{name} {:>6.0} ms  {bars}", shown.last().copied().unwrap_or(0.0))
        };
        vec![
            String::new(),
            format!("{}   {:.0} requests/s", self.clock(with), with.ok as f64),
            row(&format!("P{:.0} without ", self.quantile * 100.0), &self.without),
            row(&format!("P{:.0} with    ", self.quantile * 100.0), &self.with),
            format!("objective    {:>6.0} ms  (a full bar is twice the objective)", self.objective_ms),
            cut(format!("predicted    {}", self.prediction(sight))),
            cut(format!("decided      {}", sight.text("/says").unwrap_or("-"))),
            cut(format!("moves        {}", Self::relocation(sight).unwrap_or_else(|| "none yet".to_owned()))),
        ]
    }

    fn bar(&self, value: f64) -> char {
        let level = (value / (2.0 * self.objective_ms) * 8.0).ceil().clamp(0.0, 8.0) as usize;
        BARS.get(level).copied().unwrap_or(' ')
    }

    fn line(&self, with: &Window, sight: &Sight) -> String {
        let last = |values: &[f64]| values.last().copied().unwrap_or(0.0);
        format!(
            "{} | P{:.0} without {:>6.0} ms, with {:>6.0} ms | {}",
            self.clock(with),
            self.quantile * 100.0,
            last(&self.without),
            last(&self.with),
            self.prediction(sight)
        )
    }
}

/// What a move is for, with the numbers that decided.
fn expected(relocation: &Value) -> String {
    let text = |name: &str| relocation.get(name).and_then(Value::as_str).unwrap_or("-");
    let ms = |name: &str| {
        let value = relocation.get(name).and_then(Value::as_f64);
        value.map_or_else(|| "ever more".to_owned(), |value| format!("{value:.0} ms"))
    };
    let probability = relocation.get("breach_probability").and_then(Value::as_f64).unwrap_or(0.0);
    format!(
        "{}, because a breach is predicted for {} with probability {probability:.2}: {} if it stays, {} if it moves",
        text("summary"),
        text("breach_at"),
        ms("stay_ms"),
        ms("move_ms")
    )
}
