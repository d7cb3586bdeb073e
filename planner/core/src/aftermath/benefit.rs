//! Whether a move was worth it: what was predicted of moving and of staying, beside what was measured.
//!
//! What staying would have come to is never measured. It is the twin's prediction of the moment of the decision, and a
//! verdict allows for how wrong the twin usually is.
use crate::{
    latency::in_ms,
    plan::{Cause, Move},
    series::Series,
    time::Timestamp,
    twin::MovePrediction,
};
use serde::{Deserialize, Serialize};

/// Steps without which nothing is said.
pub const FEWEST_STEPS: usize = 5;

/// Whether a move was worth it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Worth {
    /// It was.
    WorthIt,
    /// It is regretted: staying was predicted to be no worse.
    NotWorthIt,
    /// It cannot be told.
    CannotBeKnown,
}

impl Worth {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::WorthIt, Self::NotWorthIt, Self::CannotBeKnown];

    /// As a word, as it is serialized.
    pub const fn name(self) -> &'static str {
        match self {
            Self::WorthIt => "worth_it",
            Self::NotWorthIt => "not_worth_it",
            Self::CannotBeKnown => "cannot_be_known",
        }
    }
}

/// What was predicted and what was measured, over the same steps.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Compared {
    /// Start of the first step.
    pub from: Timestamp,
    /// End of the last one.
    pub until: Timestamp,
    /// How many were measured.
    pub steps: usize,
    /// Mean latency in milliseconds that was predicted for staying; infinite where the node would have been saturated.
    #[serde(with = "crate::latency")]
    pub stay_ms: f64,
    /// The same for moving.
    #[serde(with = "crate::latency")]
    pub predicted_ms: f64,
    /// What was measured.
    pub measured_ms: f64,
    /// Share of the steps over the objective that was predicted for staying.
    pub stay_over: f64,
    /// The same for moving.
    pub predicted_over: f64,
    /// The same as measured.
    pub measured_over: f64,
}

/// What came of a move.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Benefit {
    /// When it was judged.
    pub at: Timestamp,
    /// Whether it was worth it.
    pub verdict: Worth,
    /// Why, with the numbers.
    pub why: String,
    /// The numbers; none where nothing can be compared.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub compared: Option<Compared>,
}

/// What a move is judged on.
#[derive(Clone, Copy, Debug)]
pub struct Judged<'a> {
    /// The move.
    pub planned: &'a Move,
    /// What the twin had said of it.
    pub prediction: Option<&'a MovePrediction>,
    /// When it was over.
    pub over: Timestamp,
    /// When the workload was moved again, by whomever.
    pub moved_again: Option<Timestamp>,
    /// Latency of the service at the quantile of the objective, in milliseconds.
    pub latency: &'a Series,
    /// Replicas of the workload; what is measured is about all of them.
    pub replicas: usize,
    /// Standard deviation of the logarithm of measured over predicted latency, of past moves.
    pub spread: f64,
    /// What was measured is complete until then.
    pub now: Timestamp,
}

/// Judges a move that has succeeded. `None` while what was predicted has not passed yet.
pub fn benefit(judged: &Judged<'_>) -> Option<Benefit> {
    let at = judged.now;
    let unknown = |why: String| Benefit { at, verdict: Worth::CannotBeKnown, why, compared: None };
    let prediction = match comparable(judged) {
        Ok(prediction) => prediction,
        Err(why) => return Some(unknown(why)),
    };
    let predicted_until = prediction.target.end().min(prediction.source.end());
    let until = judged.moved_again.map_or(predicted_until, |again| predicted_until.min(again));
    if judged.now < until {
        return None;
    }
    let compared = match compare(judged, prediction, until) {
        Ok(compared) => compared,
        Err(steps) => {
            let moved = judged.moved_again.filter(|again| *again < predicted_until);
            let because = if moved.is_some() { " before it was moved again" } else { "" };
            return Some(unknown(format!(
                "{steps} steps of what was predicted were measured after it{because}, and fewer than {FEWEST_STEPS} say nothing"
            )));
        }
    };
    let (verdict, reason) = verdict(judged, &compared);
    let why = format!("{reason}: {}", in_words(&compared, judged.planned.reason.objective_ms));
    Some(Benefit { at, verdict, why, compared: Some(compared) })
}

/// What was predicted of a move whose benefit shows in its own latency.
fn comparable<'a>(judged: &Judged<'a>) -> Result<&'a MovePrediction, String> {
    let reason = &judged.planned.reason;
    if let Cause::Undo { of } = &reason.cause {
        return Err(format!("it is the way back of {of}, which a human asked for"));
    }
    if let Some(other) = &reason.on_behalf_of {
        return Err(format!(
            "it was moved for {other}, and its own latency does not tell whether that helped"
        ));
    }
    if judged.planned.is_shift() {
        return Err("only traffic went, and what is measured is about all replicas".to_owned());
    }
    if judged.replicas != 1 {
        return Err(format!(
            "it has {} replicas, and what is measured is about all of them",
            judged.replicas
        ));
    }
    judged.prediction.ok_or_else(|| "nothing was predicted of its latency".to_owned())
}

/// The numbers, or how many steps there are where those are too few.
fn compare(judged: &Judged<'_>, prediction: &MovePrediction, until: Timestamp) -> Result<Compared, usize> {
    let objective_ms = judged.planned.reason.objective_ms;
    let latency = judged.latency;
    let mut steps = Vec::new();
    for (start, measured) in latency.measured() {
        let end = start.plus_ms(latency.step().ms());
        let (stay, moved) = (prediction.source.at(start), prediction.target.at(start));
        if let (Some(stay), Some(moved)) = (stay, moved)
            && start >= judged.over
            && end <= until
        {
            let ms = |latency: Option<f64>| latency.unwrap_or(f64::INFINITY);
            steps.push((start, end, [ms(stay.latency_ms), ms(moved.latency_ms), measured]));
        }
    }
    let (Some(first), Some(last)) = (steps.first(), steps.last()) else { return Err(0) };
    if steps.len() < FEWEST_STEPS {
        return Err(steps.len());
    }
    let mean = |of: usize| steps.iter().map(|step| step.2[of]).sum::<f64>() / steps.len() as f64;
    let over =
        |of: usize| steps.iter().filter(|step| step.2[of] > objective_ms).count() as f64 / steps.len() as f64;
    Ok(Compared {
        from: first.0,
        until: last.1,
        steps: steps.len(),
        stay_ms: mean(0),
        predicted_ms: mean(1),
        measured_ms: mean(2),
        stay_over: over(0),
        predicted_over: over(1),
        measured_over: over(2),
    })
}

/// More than one step over the objective, or more than the twin errs, is a difference.
fn verdict(judged: &Judged<'_>, compared: &Compared) -> (Worth, &'static str) {
    let gained = (compared.stay_ms / compared.measured_ms).ln();
    let steps_saved = (compared.stay_over - compared.measured_over) * compared.steps as f64;
    // 0 where the move is not for latency: it is cheaper there, or more is free.
    let for_latency = judged.planned.reason.stay_ms > 0.0;
    if gained < -judged.spread {
        return (Worth::NotWorthIt, "it is slower than staying was predicted to be");
    }
    if steps_saved < -1.5 && gained <= judged.spread {
        return (Worth::NotWorthIt, "it is over its objective more often than staying was predicted to be");
    }
    if !for_latency {
        return (Worth::WorthIt, "it was not for latency, and that is no worse");
    }
    if gained > judged.spread {
        return (Worth::WorthIt, "it is faster than staying was predicted to be");
    }
    (Worth::CannotBeKnown, "the difference to staying is within what predictions err")
}

fn in_words(compared: &Compared, objective_ms: f64) -> String {
    let Compared { steps, stay_ms, predicted_ms, measured_ms, stay_over, measured_over, .. } = compared;
    format!(
        "over {steps} steps {} were measured and {} predicted, and {} for staying; {:.0} % of the steps were over {}, and {:.0} % \
         predicted for staying",
        in_ms(*measured_ms),
        in_ms(*predicted_ms),
        in_ms(*stay_ms),
        measured_over * 100.0,
        in_ms(objective_ms),
        stay_over * 100.0
    )
}

#[cfg(test)]
mod tests;
