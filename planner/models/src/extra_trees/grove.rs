//! Fitted trees in the eight bytes a node that predicting needs.
//!
//! The library keeps what it fitted with, 80 bytes a node and as much again to grow; a planner keeps a forest for each of
//! thousands of series. Its fields are private, so they are read from what it tells a serialiser.
use foremesh_core::forecast::model::ModelError;
use serde::{Deserialize, Serialize};

/// Stands in place of a column where there is nothing to compare.
const LEAF: u16 = u16::MAX;

/// Trees whose mean is the prediction.
#[derive(Debug, Default)]
pub(super) struct Grove {
    trees: Vec<Box<[Node]>>,
}

/// A node, with the first of its children right behind it.
#[derive(Clone, Copy, Debug, PartialEq)]
struct Node {
    /// What a leaf says; elsewhere the highest value with which the first child is right.
    value: f32,
    /// The column that is compared.
    column: u16,
    /// Nodes from here to the second child.
    second: u16,
}

impl Grove {
    /// Takes over the trees of a fitted forest.
    pub(super) fn plant(&mut self, forest: &impl Serialize) -> Result<(), ModelError> {
        let failed = |why: String| ModelError::Failed { why };
        let told = rmp_serde::to_vec_named(forest).map_err(|error| failed(error.to_string()))?;
        let told: Forest = rmp_serde::from_slice(&told).map_err(|error| failed(error.to_string()))?;
        for tree in told.forest_regressor.trees {
            let mut nodes = Vec::with_capacity(tree.nodes.len());
            append(&tree.nodes, 0, &mut nodes).ok_or_else(|| failed("a tree has no sense".to_owned()))?;
            self.trees.push(nodes.into_boxed_slice());
        }
        Ok(())
    }

    /// What it says about a row.
    pub(super) fn predict(&self, row: &[f64]) -> f64 {
        let sum: f64 = self.trees.iter().map(|tree| leaf(tree, row)).sum();
        sum / self.trees.len() as f64
    }

    /// Bytes of all trees.
    pub(super) fn bytes(&self) -> usize {
        self.trees.iter().map(|tree| size_of_val(tree) + size_of_val(&**tree)).sum()
    }
}

fn leaf(tree: &[Node], row: &[f64]) -> f64 {
    let mut at = 0;
    loop {
        let Some(node) = tree.get(at) else { return f64::NAN };
        if node.column == LEAF {
            return f64::from(node.value);
        }
        let value = row.get(usize::from(node.column)).copied().unwrap_or(f64::NAN);
        at += if value <= f64::from(node.value) { 1 } else { usize::from(node.second) };
    }
}

/// Appends a node and all below it; `None` where something points nowhere or does not fit. At most as deep as the trees are.
fn append(told: &[ToldNode], at: usize, nodes: &mut Vec<Node>) -> Option<()> {
    let node = told.get(at)?;
    let here = nodes.len();
    let (Some(first), Some(second)) = (node.true_child, node.false_child) else {
        nodes.push(Node { value: node.output as f32, column: LEAF, second: 0 });
        return Some(());
    };
    let column = u16::try_from(node.split_feature).ok().filter(|column| *column != LEAF)?;
    nodes.push(Node { value: node.split_value.unwrap_or(f64::NAN) as f32, column, second: 0 });
    append(told, first, nodes)?;
    nodes[here].second = u16::try_from(nodes.len() - here).ok()?;
    append(told, second, nodes)
}

/// What the library tells of a forest, as far as it is needed.
#[derive(Deserialize)]
struct Forest {
    forest_regressor: ToldTrees,
}

#[derive(Deserialize)]
struct ToldTrees {
    trees: Vec<ToldTree>,
}

#[derive(Deserialize)]
struct ToldTree {
    nodes: Vec<ToldNode>,
}

#[derive(Deserialize)]
struct ToldNode {
    output: f64,
    split_feature: usize,
    split_value: Option<f64>,
    true_child: Option<usize>,
    false_child: Option<usize>,
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::SplitMix;
    use smartcore::{
        ensemble::extra_trees_regressor::{ExtraTreesRegressor, ExtraTreesRegressorParameters},
        linalg::basic::matrix::DenseMatrix,
    };

    /// Fails when the library tells of its trees in another way, or goes down them otherwise.
    #[test]
    fn it_says_what_the_library_says() {
        let (rows, columns, trees) = (500, 7, 5);
        let mut random = SplitMix::new(3);
        let mut table = |rows: usize| (0..rows * columns).map(|_| random.unit()).collect::<Vec<f64>>();
        let (known, new) = (table(rows), table(200));
        let targets: Vec<f64> = known.chunks(columns).map(|row| 3.0 * row[0] - row[4] * row[5]).collect();
        let matrix = |values: &[f64]| {
            DenseMatrix::new(values.len() / columns, columns, values.to_vec(), false).unwrap()
        };
        let parameters =
            ExtraTreesRegressorParameters::default().with_n_trees(trees).with_min_samples_leaf(2);
        let forest = ExtraTreesRegressor::fit(&matrix(&known), &targets, parameters).unwrap();
        let mut grove = Grove::default();
        grove.plant(&forest).unwrap();
        let theirs = forest.predict(&matrix(&new)).unwrap();
        for (row, theirs) in new.chunks(columns).zip(theirs) {
            let ours = grove.predict(row);
            assert!((ours - theirs).abs() < 1e-6, "{ours}, not {theirs}");
        }
        let nodes: usize = grove.trees.iter().map(|tree| tree.len()).sum();
        assert!(nodes > trees * 100 && grove.bytes() < 9 * nodes, "{} bytes for {nodes}", grove.bytes());
    }
}
