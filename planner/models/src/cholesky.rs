//! Symmetric linear equations, solved by Cholesky's decomposition.

/// A pivot that is smaller than this part of its diagonal is rounding, not information.
const NO_INFORMATION: f64 = 1e-12;

/// Solves `matrix · x = right` in place: `right` becomes `x`. `matrix` is symmetric, row by row, of which only the lower
/// triangle is read; it is overwritten. An unknown that the others determine already, or that nothing determines,
/// becomes 0.
pub(crate) fn solve(matrix: &mut [f64], right: &mut [f64]) {
    let size = right.len();
    let mut dropped = vec![false; size];
    for row in 0..size {
        let diagonal = matrix[row * size + row];
        for column in 0..=row {
            let mut sum = matrix[row * size + column];
            for k in 0..column {
                sum -= matrix[row * size + k] * matrix[column * size + k];
            }
            matrix[row * size + column] = if column < row {
                if dropped[column] { 0.0 } else { sum / matrix[column * size + column] }
            } else if sum > NO_INFORMATION * diagonal && sum.is_finite() {
                sum.sqrt()
            } else {
                dropped[row] = true;
                1.0
            };
        }
    }
    for row in 0..size {
        let known: f64 = (0..row).map(|k| matrix[row * size + k] * right[k]).sum();
        right[row] = if dropped[row] { 0.0 } else { (right[row] - known) / matrix[row * size + row] };
    }
    for row in (0..size).rev() {
        let known: f64 = (row + 1..size).map(|k| matrix[k * size + row] * right[k]).sum();
        right[row] = if dropped[row] { 0.0 } else { (right[row] - known) / matrix[row * size + row] };
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_solves() {
        let mut matrix = [4.0, 2.0, 0.6, 2.0, 5.0, 1.0, 0.6, 1.0, 3.0];
        let mut right = [4.0 + 4.0 + 1.8, 2.0 + 10.0 + 3.0, 0.6 + 2.0 + 9.0];
        solve(&mut matrix, &mut right);
        for (found, want) in right.iter().zip([1.0, 2.0, 3.0]) {
            assert!((found - want).abs() < 1e-12, "{right:?}");
        }
    }

    #[test]
    fn what_is_not_determined_becomes_nothing() {
        let mut matrix = [2.0, 2.0, 0.0, 2.0, 2.0, 0.0, 0.0, 0.0, 0.0];
        let mut right = [4.0, 4.0, 0.0];
        solve(&mut matrix, &mut right);
        assert!((right[0] - 2.0).abs() < 1e-12, "{right:?}");
        assert!(right[1..].iter().all(|value| value.abs() < 1e-12), "{right:?}");
    }
}
