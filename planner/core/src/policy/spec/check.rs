//! The check of each field: what was given, what is allowed, what to do.
mod conditions;
mod guards;
mod trial;

use super::{KIND, PolicyDocument, Selector};
use crate::{
    document::{Kind, Problems},
    duration::{format_ms, parse_ms},
    forecast::model::MODEL_NAMES,
    policy::Mode,
};
use std::collections::BTreeSet;

/// Look-ahead and cooldown at most, a week: no forecast says anything about a single step beyond it.
pub const LONGEST_MS: i64 = 7 * 24 * 3_600_000;
/// Steps of a `for` at most: more is a mistyped number, not a policy.
pub const MOST_STEPS: i64 = 1_000;
/// Patterns of a selector at most. What there may be most of is so much that nobody who means it meets it; an API server
/// wants to know it before it runs rules over it.
pub const MOST_SERVICES: usize = 256;
/// Rules of a policy at most.
pub const MOST_RULES: usize = 64;
/// Conditions of an `all` at most.
pub const MOST_CONDITIONS: usize = 16;
/// Freeze windows of a policy at most.
pub const MOST_FREEZES: usize = 64;
/// Letters of a name or pattern at most, as in Kubernetes.
pub const MOST_LETTERS: usize = 253;

/// The check of one policy. Values that had a problem are left out of what the methods return.
#[derive(Default)]
pub(super) struct Check {
    pub(super) problems: Problems,
}

impl Check {
    pub(super) fn head(&mut self, document: &PolicyDocument) {
        let wanted = Kind {
            name: KIND,
            other: "no other kind is known",
            unnamed: "a policy needs a name",
            naming: "name it after what it protects",
            quoted,
        };
        self.problems.head(&document.api_version, &document.kind, &document.metadata, &wanted);
    }

    pub(super) fn selector(&mut self, selector: &Selector) {
        if selector.services.is_empty() {
            let limit = "a policy must select at least one service";
            self.problems.add("spec.selector.services", "empty", limit, "list names, or `\"*\"` for all");
        }
        self.few("spec.selector.services", selector.services.len(), MOST_SERVICES);
        for (index, pattern) in selector.services.iter().enumerate() {
            self.short(&format!("spec.selector.services[{index}]"), pattern);
            if pattern.trim() != pattern || pattern.is_empty() {
                let path = format!("spec.selector.services[{index}]");
                let limit = "a name is not empty and has no space around it";
                self.problems.add(
                    &path,
                    quoted(pattern),
                    limit,
                    "write the service's name, with `*` for any part of it",
                );
            }
        }
    }

    /// Refuses a list of more than `most`.
    fn few(&mut self, path: &str, count: usize, most: usize) {
        if count > most {
            let limit = format!("there may be {most} at most");
            self.problems.add(path, format!("{count} long"), &limit, "make several policies of it");
        }
    }

    /// Refuses a name that nobody can read.
    fn short(&mut self, path: &str, name: &str) {
        let letters = name.chars().count();
        if letters > MOST_LETTERS {
            let limit = format!("it may have {MOST_LETTERS} at most");
            self.problems.add(path, format!("{letters} letters long"), &limit, "write a shorter one");
        }
    }

    pub(super) fn mode(&mut self, word: &str) -> Option<Mode> {
        let found = Mode::ALL.into_iter().find(|mode| mode.name() == word);
        if found.is_none() {
            let limit = format!("a mode is one of {}", Mode::ALL.map(Mode::name).join(", "));
            self.problems.add("spec.mode", quoted(word), &limit, "choose one of them");
        }
        found
    }

    pub(super) fn cooldown(&mut self, text: &str) -> Option<i64> {
        self.duration("spec.cooldown", text, 0, LONGEST_MS)
    }

    fn duration(&mut self, path: &str, text: &str, least_ms: i64, most_ms: i64) -> Option<i64> {
        let range = format!("it must be from {} to {}", format_ms(least_ms), format_ms(most_ms));
        match parse_ms(text) {
            Ok(ms) if (least_ms..=most_ms).contains(&ms) => return Some(ms),
            Ok(_) => self.problems.add(path, quoted(text), &range, "choose a length in this range"),
            Err(_) => {
                let remedy = "write a whole number and a unit, such as 250ms, 30s, 15m, 2h or 1d";
                self.problems.add(path, quoted(text), "it must be a duration", remedy);
            }
        }
        None
    }

    pub(super) fn share(&mut self, path: &str, share: f64) {
        if !(0.0..1.0).contains(&share) {
            let limit = "it must be at least 0 and below 1: a share, 0.2 for 20 %";
            self.problems.add(path, share, limit, "write it as a share");
        }
    }

    pub(super) fn ramp(&mut self, ramp: &[i64]) -> Vec<u8> {
        let rising = ramp.windows(2).all(|pair| pair[0] < pair[1]);
        let starts = ramp.first().is_some_and(|first| *first >= 1);
        if !(rising && starts && ramp.last() == Some(&100)) {
            let value = format!("{ramp:?}");
            let limit = "it must rise from at least 1 and end with 100";
            self.problems.add("spec.ramp", value, limit, "write for example `ramp: [10, 25, 50, 100]`");
        }
        ramp.iter().filter_map(|percent| u8::try_from(*percent).ok()).collect()
    }

    pub(super) fn models(&mut self, models: &[String]) {
        let mut seen = BTreeSet::new();
        for (index, name) in models.iter().enumerate() {
            let path = format!("spec.forecast.models[{index}]");
            if !MODEL_NAMES.contains(&name.as_str()) {
                let limit = format!("a model is one of {}", MODEL_NAMES.join(", "));
                self.problems.add(&path, quoted(name), &limit, "choose among them, or leave `models` out");
            } else if !seen.insert(name) {
                self.problems.add(&path, quoted(name), "it is named before", "name it once");
            }
        }
    }
}

fn quoted(text: &str) -> String {
    format!("`{text}`")
}
