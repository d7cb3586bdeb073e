//! Estimates a regression with ARMA errors by the conditional sum of squares.
//!
//! With `u = w - columns · beta` and `e = (ar / ma) u`, the sum of `e²` is minimised by Levenberg's and Marquardt's
//! method. The derivatives of `e` are filtered series: by `beta` `-(ar / ma) column`, by an autoregressive coefficient
//! the lagged `-(seasonal ar / ma) u`, by a moving average one the lagged `-e / own ma` (Box and Jenkins 1970).
//! A gap takes its expected value: its `e` is 0 and does not count.
use super::lags::{Lags, filter, is_stationary, negated, product};
use crate::cholesky;

/// Orders of the errors.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Order {
    pub(super) ar: usize,
    pub(super) ma: usize,
    pub(super) seasonal_ar: usize,
    pub(super) seasonal_ma: usize,
    pub(super) constant: bool,
}

/// The differenced series and regressors.
#[derive(Clone, Debug)]
pub(super) struct Sample {
    pub(super) values: Vec<f64>,
    pub(super) columns: Vec<Vec<f64>>,
    pub(super) season: usize,
    /// Steps at the start whose errors do not count, so that all orders are judged on the same ones.
    pub(super) burn: usize,
}

/// An estimated model of the differenced series.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Estimate {
    pub(super) order: Order,
    /// Coefficients of the regressors.
    pub(super) beta: Vec<f64>,
    /// Mean of the differenced series.
    pub(super) constant: f64,
    pub(super) ar: Vec<f64>,
    pub(super) ma: Vec<f64>,
    pub(super) seasonal_ar: Vec<f64>,
    pub(super) seasonal_ma: Vec<f64>,
    pub(super) variance: f64,
    pub(super) aicc: f64,
}

/// Levenberg steps at most.
const MOST_STEPS: usize = 40;

impl Estimate {
    /// The newest value carried on, without noise.
    pub(super) fn random_walk(columns: usize) -> Self {
        Self::from_parameters(
            Order { ar: 0, ma: 0, seasonal_ar: 0, seasonal_ma: 0, constant: false },
            columns,
            &vec![0.0; columns],
        )
    }

    fn from_parameters(order: Order, columns: usize, parameters: &[f64]) -> Self {
        let mut rest = parameters;
        let mut take = |count: usize| {
            let (taken, left) = rest.split_at(count.min(rest.len()));
            rest = left;
            taken.to_vec()
        };
        Self {
            order,
            beta: take(columns),
            constant: take(usize::from(order.constant)).first().copied().unwrap_or(0.0),
            ar: take(order.ar),
            seasonal_ar: take(order.seasonal_ar),
            ma: take(order.ma),
            seasonal_ma: take(order.seasonal_ma),
            variance: 0.0,
            aicc: f64::INFINITY,
        }
    }

    /// Lags of `u` from which the next is expected.
    pub(super) fn ar_lags(&self, season: usize) -> Lags {
        product(&self.ar, &self.seasonal_ar, season)
    }

    /// Lags of `e` that add to what is expected.
    pub(super) fn ma_lags(&self, season: usize) -> Lags {
        let lags = product(&negated(&self.ma), &negated(&self.seasonal_ma), season);
        lags.into_iter().map(|(lag, value)| (lag, -value)).collect()
    }

    fn is_allowed(&self) -> bool {
        is_stationary(&self.ar)
            && is_stationary(&self.seasonal_ar)
            && is_stationary(&negated(&self.ma))
            && is_stationary(&negated(&self.seasonal_ma))
    }
}

/// `u` and `e` with their sum of squares.
#[derive(Debug)]
struct Errors {
    u: Vec<f64>,
    e: Vec<f64>,
    squares: f64,
}

impl Sample {
    /// Values that count.
    pub(super) fn counted(&self) -> usize {
        self.values.iter().skip(self.burn).filter(|value| value.is_finite()).count()
    }

    fn errors(&self, estimate: &Estimate) -> Errors {
        let (ar, ma) = (estimate.ar_lags(self.season), estimate.ma_lags(self.season));
        let mut errors = Errors {
            u: Vec::with_capacity(self.values.len()),
            e: Vec::with_capacity(self.values.len()),
            squares: 0.0,
        };
        for (t, value) in self.values.iter().enumerate() {
            let past = |series: &[f64], lag: usize| if lag <= t { series[t - lag] } else { 0.0 };
            let expected = super::lags::sum(&ar, |lag| past(&errors.u, lag))
                + super::lags::sum(&ma, |lag| past(&errors.e, lag));
            if value.is_finite() {
                let regression: f64 =
                    self.columns.iter().zip(&estimate.beta).map(|(column, beta)| column[t] * beta).sum();
                let u = value - regression - estimate.constant;
                errors.u.push(u);
                errors.e.push(u - expected);
                if t >= self.burn {
                    errors.squares += (u - expected).powi(2);
                }
            } else {
                errors.u.push(expected);
                errors.e.push(0.0);
            }
        }
        errors
    }

    /// Derivatives of the errors by each parameter.
    fn derivatives(&self, estimate: &Estimate, errors: &Errors) -> Vec<Vec<f64>> {
        let season = self.season;
        let ar = estimate.ar_lags(season);
        // 1 + sum(theta B) as 1 - sum(-theta B).
        let ma = product(&negated(&estimate.ma), &negated(&estimate.seasonal_ma), season);
        let mut all: Vec<Vec<f64>> = self.columns.iter().map(|column| filter(column, &ar, &ma)).collect();
        if estimate.order.constant {
            all.push(filter(&vec![1.0; self.values.len()], &ar, &ma));
        }
        let mut lagged = |series: &[f64], count: usize, every: usize| {
            for lag in (1..=count).map(|i| i * every) {
                let start = lag.min(series.len());
                all.push(
                    vec![0.0; start]
                        .into_iter()
                        .chain(series[..series.len() - start].iter().copied())
                        .collect(),
                );
            }
        };
        let Order { ar: p, ma: q, seasonal_ar, seasonal_ma, .. } = estimate.order;
        if p > 0 {
            lagged(&filter(&errors.u, &product(&[], &estimate.seasonal_ar, season), &ma), p, 1);
        }
        if seasonal_ar > 0 {
            lagged(&filter(&errors.u, &product(&estimate.ar, &[], season), &ma), seasonal_ar, season);
        }
        if q > 0 {
            lagged(&filter(&errors.e, &[], &product(&negated(&estimate.ma), &[], season)), q, 1);
        }
        if seasonal_ma > 0 {
            lagged(
                &filter(&errors.e, &[], &product(&[], &negated(&estimate.seasonal_ma), season)),
                seasonal_ma,
                season,
            );
        }
        all
    }

    /// Least squares of `target` on columns, over the counted steps at which all is known.
    fn least_squares(&self, target: &[f64], columns: &[Vec<f64>], damping: f64) -> Vec<f64> {
        let width = columns.len();
        let (mut gram, mut moments) = (vec![0.0; width * width], vec![0.0; width]);
        let counts = |t: usize| self.values[t].is_finite() && target[t].is_finite();
        let rows: Vec<usize> = (self.burn..target.len()).filter(|t| counts(*t)).collect();
        for i in 0..width {
            for j in 0..=i {
                gram[i * width + j] = rows.iter().map(|t| columns[i][*t] * columns[j][*t]).sum();
            }
            gram[i * width + i] *= 1.0 + damping;
            moments[i] = rows.iter().map(|t| columns[i][*t] * target[*t]).sum();
        }
        cholesky::solve(&mut gram, &mut moments);
        moments
    }

    /// Coefficients of the regressors alone, and what is left of the series.
    pub(super) fn regress(&self, constant: bool) -> (Vec<f64>, Vec<f64>) {
        let mut columns = self.columns.clone();
        if constant {
            columns.push(vec![1.0; self.values.len()]);
        }
        let beta = self.least_squares(&self.values, &columns, 0.0);
        let left = |t: usize| {
            self.values[t] - columns.iter().zip(&beta).map(|(column, beta)| column[t] * beta).sum::<f64>()
        };
        let rest = (0..self.values.len()).map(left).collect();
        (beta, rest)
    }

    /// Errors of a long autoregression, as a first guess of `e` (Hannan and Rissanen 1982).
    pub(super) fn long_autoregression(&self, rest: &[f64]) -> Vec<f64> {
        let order = (self.counted() / 10).clamp(1, 12);
        let filled: Vec<f64> =
            rest.iter().map(|value| if value.is_finite() { *value } else { 0.0 }).collect();
        let columns: Vec<Vec<f64>> = (1..=order).map(|lag| delayed(&filled, lag)).collect();
        let coefficients = self.least_squares(rest, &columns, 1e-9);
        let lags: Lags = coefficients.iter().enumerate().map(|(i, value)| (i + 1, *value)).collect();
        filter(&filled, &lags, &[])
    }

    /// Estimates a model of the given order; `None` when it cannot be.
    pub(super) fn estimate(&self, order: Order) -> Option<Estimate> {
        let (mut parameters, rest) = self.regress(order.constant);
        let shocks = self.long_autoregression(&rest);
        parameters.extend(self.first_guess(order, &rest, &shocks));
        let width = self.columns.len();
        let mut best = Estimate::from_parameters(order, width, &parameters);
        while !best.is_allowed() {
            // Towards 0, where everything is stationary.
            let arma = width + usize::from(order.constant);
            parameters[arma..].iter_mut().for_each(|value| *value *= 0.8);
            best = Estimate::from_parameters(order, width, &parameters);
        }
        let mut errors = self.errors(&best);
        let mut damping = 1e-3;
        'steps: for _ in 0..MOST_STEPS {
            if parameters.is_empty() {
                break;
            }
            let derivatives = self.derivatives(&best, &errors);
            loop {
                let step = self.least_squares(&errors.e, &derivatives, damping);
                let there: Vec<f64> =
                    parameters.iter().zip(&step).map(|(value, step)| value + step).collect();
                let tried = Estimate::from_parameters(order, width, &there);
                if tried.is_allowed() {
                    let found = self.errors(&tried);
                    if found.squares < errors.squares {
                        let gain = 1.0 - found.squares / errors.squares;
                        (parameters, best, errors) = (there, tried, found);
                        damping = (damping / 10.0_f64).max(1e-9);
                        if gain < 1e-7 {
                            break 'steps;
                        }
                        break;
                    }
                }
                damping *= 10.0;
                if damping > 1e4 {
                    break 'steps;
                }
            }
        }
        let count = self.counted() as f64;
        let free = parameters.len() as f64 + 1.0;
        if count <= free + 2.0 || !errors.squares.is_finite() {
            return None;
        }
        best.variance = errors.squares / (count - free + 1.0);
        let correction = 2.0 * free * (free + 1.0) / (count - free - 1.0);
        best.aicc = count * (errors.squares / count).max(1e-30).ln() + 2.0 * free + correction;
        Some(best)
    }

    /// Coefficients by regression on the lagged series and the first guess of its errors.
    fn first_guess(&self, order: Order, rest: &[f64], shocks: &[f64]) -> Vec<f64> {
        let filled: Vec<f64> =
            rest.iter().map(|value| if value.is_finite() { *value } else { 0.0 }).collect();
        let mut columns = Vec::new();
        columns.extend((1..=order.ar).map(|i| delayed(&filled, i)));
        columns.extend((1..=order.seasonal_ar).map(|i| delayed(&filled, i * self.season)));
        columns.extend((1..=order.ma).map(|i| delayed(shocks, i)));
        columns.extend((1..=order.seasonal_ma).map(|i| delayed(shocks, i * self.season)));
        self.least_squares(rest, &columns, 1e-6)
    }
}

/// The series so many steps later, 0 before.
fn delayed(series: &[f64], lag: usize) -> Vec<f64> {
    let start = lag.min(series.len());
    vec![0.0; start].into_iter().chain(series[..series.len() - start].iter().copied()).collect()
}
