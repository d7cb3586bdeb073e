//! What an event did to the values: their difference from a local baseline.
//!
//! The baseline is a straight line from just before the occurrence to just after it. Where the season bends within the
//! occurrence, the same steps of other days show how much, and that bend is taken off; so an event that moves through
//! the day is not taken for the season, nor the season for the event.
use std::ops::Range;

/// Seasons on either side that may show how the season bends.
const CONTROL_SEASONS: usize = 7;
/// Steps on each side that make the ends of the line: half the length of the event, within these limits. The median of
/// six has about half the error of one value.
const FLANK: (usize, usize) = (6, 24);
/// How far out, in flanks, steps are looked for when the nearest ones are gaps or other events.
const FLANK_REACH: usize = 4;
/// Values of which all pairs are looked at.
const MOST_PAIRED: usize = 48;

/// A series on the scale that differences are taken on, and which of its steps show no event.
#[derive(Clone, Copy)]
pub(super) struct Scene<'a> {
    /// Values, or their logarithms; `NaN` for gaps.
    pub(super) values: &'a [f64],
    /// Whether a step has a value and no event.
    pub(super) clean: &'a [bool],
    /// Length of the season in steps.
    pub(super) season: Option<usize>,
}

impl Scene<'_> {
    /// For each of `steps` the baseline. `bent` says whether the season's bend is in it. `None` when nothing is known
    /// of the time around, and with `bent` also when no other days show the bend.
    pub(super) fn baseline(&self, steps: &Range<usize>, bent: bool) -> Option<Vec<f64>> {
        let line = self.line(steps)?;
        let bends = if bent { self.bends(steps)? } else { vec![0.0; steps.len()] };
        Some(steps.clone().zip(bends).map(|(index, bend)| line(index) + bend).collect())
    }

    /// Straight line through the medians just before and just after.
    fn line(&self, steps: &Range<usize>) -> Option<impl Fn(usize) -> f64 + use<>> {
        let flank = (steps.len() / 2).clamp(FLANK.0, FLANK.1);
        let (reach, length) = (flank * FLANK_REACH, self.clean.len());
        let side = |indices: &mut dyn Iterator<Item = usize>| {
            let chosen: Vec<usize> = indices.filter(|index| self.clean[*index]).take(flank).collect();
            let mut values: Vec<f64> = chosen.iter().map(|index| self.values[*index]).collect();
            let middle = chosen.iter().sum::<usize>() as f64 / chosen.len().max(1) as f64;
            // One value is no level.
            median(&mut values).filter(|_| chosen.len() >= 2).map(|level| (middle, level))
        };
        let before = side(&mut (steps.start.saturating_sub(reach)..steps.start.min(length)).rev());
        let after = side(&mut (steps.end.min(length)..(steps.end + reach).min(length)));
        let first = before.or(after)?;
        let second = after.unwrap_or(first);
        let slope = if second.0 > first.0 { (second.1 - first.1) / (second.0 - first.0) } else { 0.0 };
        Some(move |index: usize| first.1 + slope * (index as f64 - first.0))
    }

    /// How far values lie off the line in the same steps of other days: the median over days without an event there.
    fn bends(&self, steps: &Range<usize>) -> Option<Vec<f64>> {
        let season = self.season.filter(|season| *season > steps.len())?;
        let mut days: Vec<Vec<f64>> = Vec::new();
        for nth in 1..=CONTROL_SEASONS {
            let earlier = steps.start.checked_sub(nth * season);
            let later =
                Some(steps.start + nth * season).filter(|start| start + steps.len() <= self.clean.len());
            for start in [earlier, later].into_iter().flatten() {
                days.extend(self.off_the_line(start..start + steps.len()));
            }
        }
        // One day could be any day.
        if days.len() < 2 {
            return None;
        }
        let bend = |offset: usize| {
            let of_days = days.iter().map(|day| day[offset]);
            let mut values: Vec<f64> = of_days.filter(|value| value.is_finite()).collect();
            median(&mut values).unwrap_or(0.0)
        };
        let raw: Vec<f64> = (0..steps.len()).map(bend).collect();
        // A bend is smooth; single steps of few days are noise.
        let smooth = |offset: usize| {
            let near = &raw[offset.saturating_sub(2)..(offset + 3).min(raw.len())];
            near.iter().sum::<f64>() / near.len() as f64
        };
        Some((0..steps.len()).map(smooth).collect())
    }

    /// Distances from the line through the steps around; `None` where an event or a gap is in the way.
    pub(super) fn off_the_line(&self, steps: Range<usize>) -> Option<Vec<f64>> {
        let is_clean = |index: &usize| self.clean.get(*index).copied().unwrap_or(false);
        if 5 * steps.clone().filter(is_clean).count() < 4 * steps.len() {
            return None;
        }
        let line = self.line(&steps)?;
        let distance = |index| if is_clean(&index) { self.values[index] - line(index) } else { f64::NAN };
        Some(steps.map(distance).collect())
    }
}

/// Median of finite values, `None` without any.
pub(crate) fn median(values: &mut [f64]) -> Option<f64> {
    values.sort_unstable_by(f64::total_cmp);
    let count = values.len();
    (count > 0).then(|| f64::midpoint(values[(count - 1) / 2], values[count / 2]))
}

/// Centre of values: the median of the means of all pairs (Hodges and Lehmann, 1963). It shrugs off a wild value like the
/// median, and has little more error than the mean, which matters with three occurrences. Many values are put together
/// first, like with like, since pairs are so many.
pub(super) fn centre(values: &[f64]) -> Option<f64> {
    let count = values.len();
    if count > MOST_PAIRED {
        let mut sorted = values.to_vec();
        sorted.sort_unstable_by(f64::total_cmp);
        let group = |nth: usize| {
            let group = &sorted[nth * count / MOST_PAIRED..(nth + 1) * count / MOST_PAIRED];
            group.iter().sum::<f64>() / group.len() as f64
        };
        return centre(&(0..MOST_PAIRED).map(group).collect::<Vec<f64>>());
    }
    let pairs = values
        .iter()
        .enumerate()
        .flat_map(|(index, one)| values[index..].iter().map(move |other| f64::midpoint(*one, *other)));
    median(&mut pairs.collect::<Vec<f64>>())
}

/// Standard deviation around `centre` by the median of the distances, robust against a few wild ones.
pub(super) fn deviation(values: &[f64], centre: f64) -> f64 {
    let mut distances: Vec<f64> = values.iter().map(|value| (value - centre).abs()).collect();
    // 1.4826 makes it that of a normal distribution.
    1.4826 * median(&mut distances).unwrap_or(0.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_centre_shrugs_off_wild_values_however_many_there_are() {
        for count in [1, 2, 5, 48, 49, 1_440] {
            // 0 to 2, and one in ten is a thousand.
            let value = |nth: usize| if nth % 10 == 9 { 1_000.0 } else { 2.0 * nth as f64 / count as f64 };
            let values: Vec<f64> = (0..count).map(value).collect();
            let middle = centre(&values).unwrap();
            assert!((0.0..=1.5).contains(&middle), "{middle} of {count}");
        }
        assert_eq!(centre(&[]), None);
        let even: Vec<f64> = (0..1_000).map(f64::from).collect();
        assert!((centre(&even).unwrap() - 499.5).abs() < 1.0);
    }
}
