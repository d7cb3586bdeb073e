//! The check of guard rails.
use super::{Check, LONGEST_MS, MOST_FREEZES, quoted};
use crate::policy::{
    FreezeTime, FreezeWindow, Limits, TierWeights,
    spec::{FreezeSpec, LimitsSpec, TiersSpec},
};
use std::collections::BTreeSet;

/// Moves at most that a limit may allow: more is no limit.
const MOST_MOVES: i64 = 1_000;
/// Highest weight of a tier, and highest and lowest priority.
const MOST_WEIGHT: f64 = 1e6;
const MOST_PRIORITY: i64 = 1_000;

/// Days of the week, Monday first.
const DAYS: [&str; 7] = ["mon", "tue", "wed", "thu", "fri", "sat", "sun"];

impl Check {
    pub(in crate::policy::spec) fn limits(&mut self, spec: &LimitsSpec) -> Limits {
        let concurrent = &spec.concurrent;
        if let Some(other) = concurrent.per_workload.filter(|limit| *limit != 1) {
            let limit = "a workload that moves is not moved again before that is over";
            self.problems.add("spec.limits.concurrent.perWorkload", other, limit, "write 1, or leave it out");
        }
        Limits {
            per_node: self.count("spec.limits.concurrent.perNode", concurrent.per_node),
            per_workload: Limits::default().per_workload,
            per_namespace: self.count("spec.limits.concurrent.perNamespace", concurrent.per_namespace),
            all: self.count("spec.limits.concurrent.all", concurrent.all),
            per_day: self.count("spec.limits.perDay", spec.per_day),
        }
    }

    fn count(&mut self, path: &str, limit: Option<i64>) -> Option<usize> {
        let limit = limit?;
        if !(1..=MOST_MOVES).contains(&limit) {
            let range = format!("it must be from 1 to {MOST_MOVES}");
            self.problems.add(path, limit, &range, "use `mode: recommend` to move nothing");
        }
        usize::try_from(limit).ok()
    }

    pub(in crate::policy::spec) fn priority(&mut self, priority: i64) -> i32 {
        if !(-MOST_PRIORITY..=MOST_PRIORITY).contains(&priority) {
            let range = format!("it must be from -{MOST_PRIORITY} to {MOST_PRIORITY}");
            self.problems.add("spec.priority", priority, &range, "choose a number in this range");
        }
        i32::try_from(priority).unwrap_or_default()
    }

    pub(in crate::policy::spec) fn tiers(&mut self, spec: &TiersSpec) -> TierWeights {
        for (name, weight) in
            [("critical", spec.critical), ("standard", spec.standard), ("bestEffort", spec.best_effort)]
        {
            if !(weight > 0.0 && weight <= MOST_WEIGHT) {
                let limit = format!("a weight is above 0 and at most {MOST_WEIGHT}");
                let remedy = "write how much a request of this tier counts against one of weight 1";
                self.problems.add(&format!("spec.tiers.{name}"), weight, &limit, remedy);
            }
        }
        TierWeights { critical: spec.critical, standard: spec.standard, best_effort: spec.best_effort }
    }

    /// The form of the freeze windows. What only a time zone or a cron pattern can tell is checked where they are
    /// expanded.
    pub(in crate::policy::spec) fn freezes(&mut self, specs: &[FreezeSpec]) -> Vec<FreezeWindow> {
        self.few("spec.freeze", specs.len(), MOST_FREEZES);
        let mut names = BTreeSet::new();
        let mut windows = Vec::new();
        for (index, spec) in specs.iter().enumerate() {
            let path = format!("spec.freeze[{index}]");
            self.short(&format!("{path}.name"), &spec.name);
            if spec.name.trim().is_empty() || !names.insert(&spec.name) {
                let limit = "each window has a name of its own, which decisions are explained by";
                self.problems.add(&format!("{path}.name"), quoted(&spec.name), limit, "give it another name");
            }
            let when = self.freeze_time(&path, spec);
            windows.extend(when.map(|when| FreezeWindow {
                name: spec.name.clone(),
                when,
                time_zone: spec.time_zone.clone(),
            }));
        }
        windows
    }

    fn freeze_time(&mut self, path: &str, spec: &FreezeSpec) -> Option<FreezeTime> {
        let daily = spec.between.is_some() || spec.days.is_some();
        let cron = spec.cron.is_some() || spec.duration.is_some();
        let once = spec.from.is_some() || spec.to.is_some();
        match (daily, cron, once) {
            (true, false, false) => self.daily(path, spec),
            (false, true, false) => {
                let (Some(cron), Some(duration)) = (&spec.cron, &spec.duration) else {
                    return self.incomplete(path, "`cron` and `duration`");
                };
                let duration_ms = self.duration(&format!("{path}.duration"), duration, 60_000, LONGEST_MS)?;
                Some(FreezeTime::Cron { cron: cron.clone(), duration_ms })
            }
            (false, false, true) => {
                let (Some(from), Some(to)) = (&spec.from, &spec.to) else {
                    return self.incomplete(path, "`from` and `to`");
                };
                Some(FreezeTime::Once { from: from.clone(), to: to.clone() })
            }
            _ => self.incomplete(path, "`between`, or `cron` and `duration`, or `from` and `to`"),
        }
    }

    fn incomplete(&mut self, path: &str, needs: &str) -> Option<FreezeTime> {
        let limit = format!("it needs {needs}, and nothing else of them");
        self.problems.add(path, "not one time", &limit, "write for example `between: \"22:00-06:00\"`");
        None
    }

    fn daily(&mut self, path: &str, spec: &FreezeSpec) -> Option<FreezeTime> {
        let Some(between) = &spec.between else { return self.incomplete(path, "`between` for its `days`") };
        let ends = between.split_once('-').and_then(|(from, to)| minute(from).zip(minute(to)));
        if ends.is_none() {
            let limit = "it must be two times of day";
            let remedy = "write them as `\"22:00-06:00\"`, from 00:00 to 24:00";
            self.problems.add(&format!("{path}.between"), quoted(between), limit, remedy);
        }
        let words = spec.days.clone().unwrap_or_else(|| DAYS.map(str::to_owned).to_vec());
        if words.is_empty() {
            let limit = "a window on no day never freezes anything";
            self.problems.add(
                &format!("{path}.days"),
                "empty",
                limit,
                "name days, or leave `days` out for all",
            );
        }
        let mut days = Vec::new();
        for (at, word) in words.iter().enumerate() {
            let found = DAYS.iter().position(|day| day == word);
            days.extend(found.map(|day| day as u8));
            let path = format!("{path}.days[{at}]");
            if found.is_none() {
                let limit = format!("a day is one of {}", DAYS.join(", "));
                self.problems.add(&path, quoted(word), &limit, "choose one of them");
            } else if words[..at].contains(word) {
                self.problems.add(&path, quoted(word), "it is named before", "name it once");
            }
        }
        days.sort_unstable();
        let (from_minute, to_minute) = ends?;
        (days.len() == words.len() && !days.is_empty()).then_some(FreezeTime::Daily {
            from_minute,
            to_minute,
            days,
        })
    }
}

/// A time of day as minutes from midnight; `24:00` is the end of the day.
fn minute(text: &str) -> Option<u16> {
    let (hours, minutes) = text.trim().split_once(':')?;
    let digits = |text: &str| text.len() == 2 && text.chars().all(|c| c.is_ascii_digit());
    if !digits(hours) || !digits(minutes) {
        return None;
    }
    let (hours, minutes): (u16, u16) = (hours.parse().ok()?, minutes.parse().ok()?);
    (minutes < 60 && hours * 60 + minutes <= 24 * 60).then_some(hours * 60 + minutes)
}
