//! Moments and levels: the places at which everything is predicted at once.
use super::TwinUnknown;
use crate::{
    forecast::{Forecast, LEVELS},
    inputs::Inputs,
    time::Timestamp,
};

/// Parts that the look-ahead is cut into. What is predicted of a part is its fullest step.
pub const KNOTS: usize = 6;

/// Places of all knots and levels: [`lane`] says where each is.
pub const LANES: usize = KNOTS * LEVELS.len();

/// One number for each knot and level.
pub(super) type Lanes = [f32; LANES];

/// Look-ahead in milliseconds where no rule has one.
const USUAL_MS: i64 = 30 * 60_000;

/// Place of a knot and a place in [`LEVELS`]; beyond the last knot that of the last knot.
pub const fn lane(knot: usize, level: usize) -> usize {
    let knot = if knot < KNOTS { knot } else { KNOTS - 1 };
    let level = if level < LEVELS.len() { level } else { LEVELS.len() - 1 };
    knot * LEVELS.len() + level
}

/// The look-ahead of a whole mesh.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Window {
    pub(super) now: Timestamp,
    /// Length of one knot in milliseconds.
    pub(super) knot_ms: i64,
    /// How far forecasts must reach, in milliseconds: the longest look-ahead of the rules.
    pub(super) needed_ms: i64,
    oldest_ms: i64,
}

impl Window {
    pub(super) fn of(inputs: &Inputs<'_>) -> Self {
        let rules = inputs.policies.iter().flat_map(|policy| &policy.rules);
        let needed_ms = rules.map(|rule| rule.when.within_ms()).max().unwrap_or(0).max(1);
        let length = if needed_ms > 1 { needed_ms } else { USUAL_MS };
        let knot_ms = length / KNOTS as i64 + 1;
        Self { now: inputs.now, knot_ms, needed_ms, oldest_ms: inputs.settings.forecast_limit_ms }
    }

    /// Start of a knot.
    pub(super) fn start(&self, knot: usize) -> Timestamp {
        self.now.plus_ms(self.knot_ms.saturating_mul(knot as i64))
    }

    /// Knots that a look-ahead takes, at least one.
    pub(super) fn knots(&self, within_ms: i64) -> usize {
        usize::try_from((within_ms - 1) / self.knot_ms + 1).unwrap_or(1).clamp(1, KNOTS)
    }

    /// The fullest step of each knot at each level; `None` for a forecast that is too old or too short. Beyond its end
    /// and the rules' look-ahead, its last step holds.
    pub(super) fn fullest(&self, forecast: &Forecast) -> Option<Lanes> {
        let last = forecast.steps.last()?;
        let reach_ms = forecast.end().ms_since(self.now).saturating_add(forecast.step.ms());
        if forecast.age_ms(self.now) > self.oldest_ms || reach_ms <= self.needed_ms {
            return None;
        }
        let first = forecast.index_at(self.now)?;
        let mut lanes = [0.0; LANES];
        let mut index = first;
        for knot in 0..KNOTS {
            let end = self.start(knot + 1);
            let held = forecast.steps.get(index.min(forecast.steps.len() - 1)).unwrap_or(last);
            let mut fullest = held.quantiles;
            while let Some(step) = forecast.steps.get(index).filter(|step| step.at < end) {
                for (most, value) in fullest.iter_mut().zip(step.quantiles) {
                    *most = most.max(value);
                }
                index += 1;
            }
            // The step that a knot ends in is the next knot's first one too.
            index = index.saturating_sub(1).max(first);
            for (level, value) in fullest.into_iter().enumerate() {
                lanes[lane(knot, level)] = value.max(0.0) as f32;
            }
        }
        Some(lanes)
    }

    /// As [`Self::fullest`], with why a throughput is not known.
    pub(super) fn throughput(
        &self,
        service: &crate::ids::ServiceId,
        forecast: Option<Result<&Forecast, &crate::forecast::ForecastError>>,
    ) -> Result<Lanes, TwinUnknown> {
        let unknown = |why: String| TwinUnknown::NoThroughputForecast { service: service.clone(), why };
        match forecast {
            Some(Ok(forecast)) => self
                .fullest(forecast)
                .ok_or_else(|| unknown("the forecast is too old or too short".to_owned())),
            Some(Err(error)) => Err(unknown(error.to_string())),
            None => Err(unknown("nobody made a forecast".to_owned())),
        }
    }
}
