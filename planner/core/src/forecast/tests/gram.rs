//! The streaming normal matrix against the batch solution of the same weighted ridge regression.
use super::forecaster::noise;
use crate::forecast::ridge::gram::{Gram, PLAIN, Row, SEASONAL};

/// Solves by Gaussian elimination with pivots, in a way that shares nothing with the code under test.
fn solved(mut a: Vec<Vec<f64>>, mut b: Vec<f64>) -> Vec<f64> {
    let n = b.len();
    for column in 0..n {
        let pivot = (column..n).max_by(|x, y| a[*x][column].abs().total_cmp(&a[*y][column].abs())).unwrap();
        a.swap(column, pivot);
        b.swap(column, pivot);
        for row in column + 1..n {
            let factor = a[row][column] / a[column][column];
            let pivot = a[column].clone();
            for (entry, above) in a[row].iter_mut().zip(pivot).skip(column) {
                *entry -= factor * above;
            }
            b[row] -= factor * b[column];
        }
    }
    for row in (0..n).rev() {
        let known: f64 = (row + 1..n).map(|k| a[row][k] * b[k]).sum();
        b[row] = (b[row] - known) / a[row][row];
    }
    b
}

fn row(step: usize) -> Row {
    std::array::from_fn(|feature| if feature == 0 { 1.0 } else { noise(step * 31 + feature * 7) as f32 })
}

#[test]
fn streaming_equals_the_batch_regression() {
    for features in [PLAIN, SEASONAL] {
        let (growth, ridge, least) = (1.01f32, 0.003f32, 0.5f32);
        let mut gram = Gram::new(features);
        let mut a = vec![vec![0.0; features]; features];
        let mut b = vec![0.0; features];
        let (mut rows, steps) = (0.0, 2000);
        for step in 0..steps {
            let x = row(step);
            let y = (2.0 * noise(step) + noise(step * 31 + 7)) as f32;
            gram.add(&x, y, growth, f32::INFINITY);
            let weight = f64::from(growth).powi(step as i32 - steps as i32);
            rows += weight;
            for i in 0..features {
                for j in 0..features {
                    a[i][j] += weight * f64::from(x[i]) * f64::from(x[j]);
                }
                b[i] += weight * f64::from(x[i]) * f64::from(y);
            }
        }
        gram.solve(ridge, least);
        for (i, row) in a.iter_mut().enumerate() {
            row[i] += if i == 0 { 1e-3 } else { f64::from(ridge) * rows + f64::from(least) };
        }
        for (i, (got, want)) in gram.coefficients().iter().zip(solved(a, b)).enumerate() {
            assert!(
                (f64::from(*got) - want).abs() < 2e-5,
                "{features} features, coefficient {i}: {got}, {want}"
            );
        }
        assert!((f64::from(gram.rows()) - rows).abs() < 1e-2, "{} rows, not {rows}", gram.rows());
    }
}

#[test]
fn a_matrix_without_content_changes_nothing() {
    let mut gram = Gram::new(PLAIN);
    gram.add(&[f32::NAN; SEASONAL], 1.0, 1.0, 1.0);
    gram.solve(0.003, 1.0);
    assert!(!gram.solved(), "NaN is no solution");
}
