//! The stepwise search for an order.
use super::differences::Differences;
use super::regression::{Estimate, Order, Sample};
use std::collections::BTreeSet;

/// Autoregressive and moving average terms at most.
const MOST_TERMS: usize = 5;
/// Seasonal ones at most.
const MOST_SEASONAL: usize = 2;
/// Orders that are estimated at most, to bound a fit.
const MOST_ORDERS: usize = 40;
/// Values that must count.
const FEWEST: usize = 20;

/// A differenced sample and what was tried on it.
#[derive(Debug)]
pub(super) struct Search {
    pub(super) differences: Differences,
    sample: Sample,
    seasonal: bool,
    tried: BTreeSet<Order>,
    best: Option<Estimate>,
}

impl Search {
    /// Chooses the differences, or takes the given ones so that `AICc` values can be compared; `None` when too little is
    /// left.
    pub(super) fn new(
        values: &[f64],
        columns: Vec<Vec<f64>>,
        season: Option<usize>,
        given: Option<Differences>,
    ) -> Option<Self> {
        let season = season.filter(|season| values.len() >= 3 * season);
        let plain = Sample { values: values.to_vec(), columns, season: season.unwrap_or(1), burn: 0 };
        let mut differences = given.unwrap_or_else(|| Differences::choose(&plain.regress(true).1, season));
        loop {
            let sample = plain.differenced(differences);
            if sample.counted() >= FEWEST {
                let seasonal = season.is_some();
                return Some(Self { differences, sample, seasonal, tried: BTreeSet::new(), best: None });
            }
            // Gaps everywhere leave no differences.
            if differences.lost() == 0 {
                return None;
            }
            differences = Differences { ordinary: 0, seasonal: 0, ..differences };
        }
    }

    fn allows_constant(&self) -> bool {
        self.differences.ordinary + self.differences.seasonal < 2
    }

    /// `AICc` of a usual order, by which sets of regressors are compared.
    pub(super) fn first_guess(&self) -> f64 {
        let order = Order {
            ar: 2,
            ma: 1,
            seasonal_ar: 0,
            seasonal_ma: 0,
            constant: self.allows_constant() && self.differences.ordinary == 0,
        };
        self.sample.estimate(order).map_or(f64::INFINITY, |estimate| estimate.aicc)
    }

    /// Estimates an order unless it was tried or is too large; whether it is the best so far.
    fn consider(&mut self, order: Order) -> bool {
        let terms = order.ar.max(order.ma) <= MOST_TERMS;
        let seasonal =
            order.seasonal_ar.max(order.seasonal_ma) <= if self.seasonal { MOST_SEASONAL } else { 0 };
        let allowed = terms && seasonal && (self.allows_constant() || !order.constant);
        if !allowed || self.tried.len() >= MOST_ORDERS || !self.tried.insert(order) {
            return false;
        }
        let Some(estimate) = self.sample.estimate(order) else { return false };
        let better = self.best.as_ref().is_none_or(|best| estimate.aicc < best.aicc);
        if better {
            self.best = Some(estimate);
        }
        better
    }

    /// Walks from four usual orders to better neighbours until there is none.
    pub(super) fn walk(&mut self) -> Option<Estimate> {
        let constant = self.allows_constant();
        let once = usize::from(self.seasonal);
        for (ar, ma, seasonal_ar, seasonal_ma) in
            [(2, 2, once, once), (0, 0, 0, 0), (1, 0, once, 0), (0, 1, 0, once)]
        {
            self.consider(Order { ar, ma, seasonal_ar, seasonal_ma, constant });
        }
        self.consider(Order { ar: 0, ma: 0, seasonal_ar: 0, seasonal_ma: 0, constant: false });
        while let Some(order) = self.best.as_ref().map(|best| best.order) {
            if !neighbours(order).into_iter().any(|neighbour| self.consider(neighbour)) {
                break;
            }
        }
        self.best.clone()
    }
}

/// Orders one step away, nearest first.
fn neighbours(order: Order) -> Vec<Order> {
    let moves: [(i8, i8, i8, i8); 16] = [
        (0, 0, -1, 0),
        (0, 0, 0, -1),
        (0, 0, 1, 0),
        (0, 0, 0, 1),
        (0, 0, -1, -1),
        (0, 0, 1, 1),
        (0, 0, -1, 1),
        (0, 0, 1, -1),
        (-1, 0, 0, 0),
        (0, -1, 0, 0),
        (1, 0, 0, 0),
        (0, 1, 0, 0),
        (-1, -1, 0, 0),
        (1, 1, 0, 0),
        (-1, 1, 0, 0),
        (1, -1, 0, 0),
    ];
    let moved = |value: usize, by: i8| value.checked_add_signed(isize::from(by));
    let mut all: Vec<Order> = moves
        .iter()
        .filter_map(|(ar, ma, seasonal_ar, seasonal_ma)| {
            Some(Order {
                ar: moved(order.ar, *ar)?,
                ma: moved(order.ma, *ma)?,
                seasonal_ar: moved(order.seasonal_ar, *seasonal_ar)?,
                seasonal_ma: moved(order.seasonal_ma, *seasonal_ma)?,
                constant: order.constant,
            })
        })
        .collect();
    all.push(Order { constant: !order.constant, ..order });
    all
}

impl Sample {
    fn differenced(&self, differences: Differences) -> Self {
        let values = differences.apply(&self.values);
        let columns = self.columns.iter().map(|column| differences.apply(column)).collect();
        let lags = MOST_TERMS + if self.season > 1 { self.season } else { 0 };
        let burn = lags.min(values.len() / 4);
        Self { values, columns, season: self.season, burn }
    }
}
