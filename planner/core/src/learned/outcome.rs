//! What came of a move, beside what the twin had said.
use super::TwinOutcome;
use crate::{series::Series, time::Timestamp, twin::MovePrediction};

/// Steps without which nothing is said.
const FEWEST: usize = 5;

impl TwinOutcome {
    /// From a prediction and the latency that was measured after the move was over, in milliseconds at the prediction's
    /// quantile. `None` while too few steps of what was predicted have been measured.
    pub fn of(prediction: &MovePrediction, over: Timestamp, latency: &Series) -> Option<Self> {
        let (mut predicted_ms, mut measured_ms, mut count) = (0.0, 0.0, 0usize);
        for (start, value) in latency.measured() {
            let knot = prediction.target.at(start);
            let predicted = knot.and_then(|knot| knot.latency_ms).filter(|_| start >= over);
            if let Some(predicted) = predicted {
                predicted_ms += predicted;
                measured_ms += value;
                count += 1;
            }
        }
        let mean = |sum: f64| sum / count as f64;
        (count >= FEWEST).then(|| Self {
            workload: prediction.workload.clone(),
            predicted_ms: mean(predicted_ms),
            measured_ms: mean(measured_ms),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        time::Step,
        twin::{Calibration, CalibrationNote, Path, TwinStep},
    };

    const MINUTE: i64 = 60_000;

    fn at(minute: i64) -> Timestamp {
        Timestamp::from_unix_ms(minute * MINUTE)
    }

    /// Ten minutes of 20 ms and ten of 40 ms, from minute 100 on.
    fn prediction() -> MovePrediction {
        let step = |minute, ms| TwinStep { at: at(minute), utilisation: 0.3, latency_ms: ms };
        let target = Path { steps: vec![step(100, Some(20.0)), step(110, Some(40.0))] };
        MovePrediction {
            workload: "cart".into(),
            demand_core_ms: 2.0,
            calibration: Calibration { ratio: 1.0, note: CalibrationNote::Measured },
            source: target.clone(),
            target,
            confirmed: None,
        }
    }

    #[test]
    fn what_was_predicted_is_compared_with_what_came_then() {
        // Minute at which the move was over, minutes that were measured, and what is compared.
        let cases = [
            ("in the first knot", 102, 109, Some((20.0, 20.0))),
            ("over both", 105, 115, Some((30.0, 30.0))),
            ("not long enough yet", 105, 109, None),
            ("beyond what was predicted", 121, 140, None),
        ];
        for (name, over, until, want) in cases {
            // As predicted, but for what came before the move was over.
            let measured = |minute: i64| match minute {
                minute if minute < over => 500.0,
                minute if minute < 110 => 20.0,
                _ => 40.0,
            };
            let step = Step::from_ms(MINUTE).unwrap();
            let latency = Series::new(at(90), step, (90..until).map(measured).collect());
            let found = TwinOutcome::of(&prediction(), at(over), &latency);
            assert_eq!(found.map(|found| (found.predicted_ms, found.measured_ms)), want, "case: {name}");
        }
    }

    #[test]
    fn gaps_are_no_measurements() {
        let step = Step::from_ms(MINUTE).unwrap();
        let mut values = vec![20.0; 9];
        values[3] = f64::NAN;
        let over = at(102);
        let of = |values| TwinOutcome::of(&prediction(), over, &Series::new(at(100), step, values));
        assert!(of(values.clone()).is_some());
        values[4] = f64::NAN;
        values[5] = f64::NAN;
        assert_eq!(of(values), None);
    }
}
