//! Quantiles of a sample.

/// The quantiles `at`, which rise, of `values`, which are reordered; the nearest rank.
pub(super) fn quantiles<const N: usize>(values: &mut [f32], at: [f64; N]) -> Option<[f64; N]> {
    if values.is_empty() {
        return None;
    }
    let (mut found, mut below) = ([0.0; N], 0);
    for (result, quantile) in found.iter_mut().zip(at) {
        let rank = ((quantile * values.len() as f64).ceil() as usize).clamp(1, values.len()) - 1;
        // What is below an earlier rank is no longer looked at.
        let rest = &mut values[below..];
        let (_, value, _) = rest.select_nth_unstable_by(rank - below, f32::total_cmp);
        *result = f64::from(*value);
        below = rank;
    }
    Some(found)
}

#[cfg(test)]
mod tests {
    use super::quantiles;

    #[test]
    fn quantiles_are_of_the_nearest_rank() {
        let mut values: Vec<f32> = (1..=100).rev().map(|value| value as f32).collect();
        assert_eq!(quantiles(&mut values, [0.5, 0.99, 0.999]), Some([50.0, 99.0, 100.0]));
        assert_eq!(quantiles(&mut [7.0], [0.5, 0.99]), Some([7.0, 7.0]));
        assert_eq!(quantiles(&mut [], [0.5]), None);
    }
}
