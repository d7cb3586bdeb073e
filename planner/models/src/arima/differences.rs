//! How often a series is differenced, and the tests that tell.
use super::lags::{Lags, multiply};

/// The 5 % critical value of the KPSS test of level stationarity (Kwiatkowski, Phillips, Schmidt, Shin 1992).
const KPSS_CRITICAL: f64 = 0.463;
/// Strength of the season from which on it is differenced, as in `forecast::nsdiffs(test = "seas")`.
const STRONG_SEASON: f64 = 0.64;
/// Ordinary differences at most.
const MOST: usize = 2;

/// Ordinary and seasonal differences.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Differences {
    pub(super) ordinary: usize,
    pub(super) seasonal: usize,
    pub(super) season: usize,
}

impl Differences {
    /// One ordinary difference.
    pub(super) const FIRST: Self = Self { ordinary: 1, seasonal: 0, season: 1 };

    /// What the tests say about a series with gaps.
    pub(super) fn choose(values: &[f64], season: Option<usize>) -> Self {
        let seasonal = season.is_some_and(|season| strength(values, season) > STRONG_SEASON);
        let mut chosen = Self { ordinary: 0, seasonal: usize::from(seasonal), season: season.unwrap_or(1) };
        let mut left = chosen.apply(values);
        while chosen.ordinary < MOST && kpss(&left) > KPSS_CRITICAL {
            chosen.ordinary += 1;
            left = chosen.apply(values);
        }
        chosen
    }

    /// `1 - (1 - B)^ordinary (1 - B^season)^seasonal`.
    pub(super) fn lags(self) -> Lags {
        let mut lags = Lags::new();
        for _ in 0..self.ordinary {
            lags = multiply(&lags, &[(1, 1.0)]);
        }
        for _ in 0..self.seasonal {
            lags = multiply(&lags, &[(self.season, 1.0)]);
        }
        lags
    }

    /// Steps that are lost.
    pub(super) fn lost(self) -> usize {
        self.ordinary + self.seasonal * self.season
    }

    /// The differenced series, `NaN` where one of its values is missing.
    pub(super) fn apply(self, values: &[f64]) -> Vec<f64> {
        let lags = self.lags();
        (self.lost().min(values.len())..values.len())
            .map(|t| values[t] - lags.iter().map(|(lag, value)| value * values[t - lag]).sum::<f64>())
            .collect()
    }
}

/// The KPSS statistic for a level, over the values that are there.
fn kpss(values: &[f64]) -> f64 {
    let there: Vec<f64> = values.iter().copied().filter(|value| value.is_finite()).collect();
    let count = there.len() as f64;
    if count < 8.0 {
        return 0.0;
    }
    let mean = there.iter().sum::<f64>() / count;
    let errors: Vec<f64> = there.iter().map(|value| value - mean).collect();
    let window = (3.0 * count.sqrt() / 13.0) as usize;
    let product = |lag: usize| errors[lag..].iter().zip(&errors).map(|(a, b)| a * b).sum::<f64>() / count;
    let long_run: f64 = product(0)
        + (1..=window)
            .map(|lag| 2.0 * (1.0 - lag as f64 / (window as f64 + 1.0)) * product(lag))
            .sum::<f64>();
    let mut sum = 0.0;
    let squares: f64 = errors
        .iter()
        .map(|error| {
            sum += error;
            sum * sum
        })
        .sum();
    let statistic = squares / (count * count * long_run);
    if statistic.is_finite() { statistic } else { 0.0 }
}

/// Strength of a season, from 0 to 1: `1 - var(rest) / var(season + rest)` after a moving average over a season is taken
/// off (Wang, Smith and Hyndman 2006). 0 when it was not seen three times.
fn strength(values: &[f64], season: usize) -> f64 {
    if values.len() < 3 * season {
        return 0.0;
    }
    let around = |t: usize| {
        let near = values[t.saturating_sub(season / 2)..(t + season.div_ceil(2)).min(values.len())].iter();
        let there: Vec<f64> = near.copied().filter(|value| value.is_finite()).collect();
        there.iter().sum::<f64>() / there.len() as f64
    };
    let inner = season / 2..values.len() - season / 2;
    let flat: Vec<(usize, f64)> =
        inner.map(|t| (t % season, values[t] - around(t))).filter(|(_, value)| value.is_finite()).collect();
    let mut slots = vec![(0.0, 0.0); season];
    for (slot, value) in &flat {
        slots[*slot].0 += value;
        slots[*slot].1 += 1.0;
    }
    let variance = |values: Vec<f64>| {
        let mean = values.iter().sum::<f64>() / values.len() as f64;
        values.iter().map(|value| (value - mean).powi(2)).sum::<f64>()
    };
    let rest = variance(flat.iter().map(|(slot, value)| value - slots[*slot].0 / slots[*slot].1).collect());
    let all = variance(flat.iter().map(|(_, value)| *value).collect());
    if all > 0.0 { (1.0 - rest / all).max(0.0) } else { 0.0 }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::splitmix::SplitMix;

    #[test]
    fn walks_are_differenced_and_noise_is_not() {
        let mut stream = SplitMix::new(3);
        let noise: Vec<f64> = (0..500).map(|_| stream.unit() - 0.5).collect();
        let sums = |values: &[f64]| {
            let mut sum = 0.0;
            values
                .iter()
                .map(|value| {
                    sum += value;
                    sum
                })
                .collect::<Vec<f64>>()
        };
        let walk = sums(&noise);
        let twice = sums(&walk);
        for (values, want) in [(&noise, 0), (&walk, 1), (&twice, 2)] {
            assert_eq!(Differences::choose(values, None).ordinary, want);
        }
    }

    #[test]
    fn a_strong_season_is_differenced() {
        let mut stream = SplitMix::new(4);
        let season: Vec<f64> = (0..240).map(|t| f64::from(t % 12) + stream.unit()).collect();
        assert_eq!(Differences::choose(&season, Some(12)).seasonal, 1);
        let noise: Vec<f64> = (0..240).map(|_| stream.unit()).collect();
        assert_eq!(Differences::choose(&noise, Some(12)).seasonal, 0);
    }
}
