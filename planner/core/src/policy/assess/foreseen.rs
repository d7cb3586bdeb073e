//! Latency by its own history, and by the twin: two witnesses of one future.
//!
//! The history of latency knows what nobody models, but has never seen a load that has not come yet, and after a move it
//! is of another place. The twin knows what a load will do anywhere, but only as far as CPU explains it.
use super::Sight;
use crate::{
    forecast::ForecastError,
    history::Metric,
    ids::ServiceId,
    policy::{Breach, Healthy, PredictedLatency, Quantity, UnknownReason, Verdict},
    twin::TwinBreach,
    units::Probability,
};

/// Seasons of throughput from which on the twin speaks for itself: as many as a latency history needs.
const KNOWN_SEASONS: f64 = 1.25;

/// What a rule about latency says when the twin is heard as well.
///
/// A breach that the history predicts stays one, for whatever reason it comes; whether a move cures it is for the
/// placement to say. Where the history predicts none, or is too short at this place, the twin's word counts when it is sure
/// enough by itself, or together with the history: then by the mean of both log-odds.
pub(super) fn beside_the_twin(
    rule: &PredictedLatency,
    service: &ServiceId,
    said: Result<Verdict, UnknownReason>,
    sight: &Sight<'_>,
) -> Result<Verdict, UnknownReason> {
    let alone = match &said {
        Ok(Verdict::Healthy(_)) => false,
        Err(
            UnknownReason::Learning { .. }
            | UnknownReason::Refused { error: ForecastError::NotEnoughHistory { .. }, .. },
        ) => true,
        _ => return said,
    };
    if alone && !traffic_is_known(service, sight) {
        return said;
    }
    let Some(twin) = sight.foreseen(service, rule) else { return said };
    let healthy = match &said {
        Ok(Verdict::Healthy(healthy)) => Some(healthy),
        _ => None,
    };
    let probability = match healthy {
        Some(healthy) => together(healthy.probability, twin.probability),
        None => twin.probability,
    };
    let worst_ms = healthy.and_then(|healthy| healthy.worst.as_ms()).unwrap_or(0.0).max(twin.worst_ms);
    let (worst, threshold) = (Quantity::ms(worst_ms), Quantity::ms(rule.above_ms));
    if probability < rule.probability {
        return Ok(Verdict::Healthy(Healthy { worst, threshold, subject: None, probability }));
    }
    Ok(Verdict::Breach(breach(&twin, probability, (worst, threshold), sight)))
}

fn breach(
    twin: &TwinBreach,
    probability: Probability,
    (worst, threshold): (Quantity, Quantity),
    sight: &Sight<'_>,
) -> Breach {
    Breach {
        at: twin.at.max(sight.inputs.now),
        probability,
        worst,
        threshold,
        subject: None,
        steps_beyond: 0,
        saving_at_least: None,
    }
}

/// Whether what comes to the service every season is known, wherever it ran.
fn traffic_is_known(service: &ServiceId, sight: &Sight<'_>) -> bool {
    let traffic = sight.inputs.forecast(service, Metric::Throughput).and_then(Result::ok);
    traffic.is_some_and(|forecast| forecast.seasons.is_none_or(|seasons| seasons >= KNOWN_SEASONS))
}

/// The twin's word, or both words together where that is more.
fn together(history: Probability, twin: Probability) -> Probability {
    let log_odds = |probability: Probability| {
        let share = probability.get().clamp(0.005, 0.995);
        (share / (1.0 - share)).ln()
    };
    let mean = f64::midpoint(log_odds(history), log_odds(twin));
    let both = Probability::new(1.0 / (1.0 + (-mean).exp())).unwrap_or_default();
    if both > twin { both } else { twin }
}
