//! The demo's live view on stderr: a picture that is drawn again each second on a terminal, else one line a second.
use super::{Scenario, Sight, Window};
use std::io::{IsTerminal as _, Write as _};

/// Seconds of measured P99 that the picture shows.
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
    objective_ms: f64,
    without: Vec<f64>,
    with: Vec<f64>,
    last_state: String,
}

impl Screen {
    pub(super) fn new(scenario: &Scenario, learning_days: u32, days: u32) -> Self {
        Self {
            terminal: std::io::stderr().is_terminal(),
            drawn_lines: 0,
            day_seconds: scenario.day.as_secs_f64(),
            learning_days,
            days,
            objective_ms: scenario.objective_ms,
            without: Vec::new(),
            with: Vec::new(),
            last_state: String::new(),
        }
    }

    /// Shows one second.
    pub(super) fn show(&mut self, without: &Window, with: &Window, sight: &Sight) {
        self.without.push(without.quantile_ms(0.99).unwrap_or(0.0));
        self.with.push(with.quantile_ms(0.99).unwrap_or(0.0));
        let lines = if self.terminal { self.picture(with, sight) } else { vec![self.line(with, sight)] };
        let mut out = std::io::stderr().lock();
        if self.terminal && self.drawn_lines > 0 {
            // Up to where the last picture began.
            let _ = write!(out, "\x1b[{}A", self.drawn_lines);
        }
        for line in &lines {
            let clear = if self.terminal { "\x1b[2K" } else { "" };
            let _ = writeln!(out, "{clear}{line}");
        }
        self.drawn_lines = lines.len();
    }

    /// Leaves the last picture where it is.
    pub(super) fn end(&mut self) {
        self.drawn_lines = 0;
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
            row("P99 without ", &self.without),
            row("P99 with    ", &self.with),
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

    fn line(&mut self, with: &Window, sight: &Sight) -> String {
        let state = Self::relocation(sight).unwrap_or_default();
        let news = if state == self.last_state { String::new() } else { format!(" | {state}") };
        self.last_state = state;
        let last = |values: &[f64]| values.last().copied().unwrap_or(0.0);
        format!(
            "{} | P99 without {:>6.0} ms, with {:>6.0} ms | {}{news}",
            self.clock(with),
            last(&self.without),
            last(&self.with),
            self.prediction(sight)
        )
    }
}
