//! The exact optimum of a small placement, as a mixed-integer program.
//!
//! What a node costs is no sum over its workloads, so the variables are whole columns: one for each set of workloads on
//! each node, with its exact cost (set partitioning). Exactly one column of each node is chosen, and each workload is in
//! exactly one chosen column. What two workloads on different nodes cost together, such as the calls between them, is
//! linear in one variable for each pair of places (the tight linearisation of Adams and Johnson, 1994). What three or more
//! cost together on different nodes, as along a chain of services that wait for one another, the program cannot say.
use super::problem::BenchError;
use good_lp::{
    Expression, ProblemVariables, Solution, SolverModel, Variable, WithTimeLimit, constraint, variable,
};

/// Longest time that one case may take, in seconds.
const LIMIT_SECONDS: f64 = 60.0;

/// Costs of all layouts, taken apart.
#[derive(Clone, Debug)]
pub(super) struct Columns {
    pub(super) items: usize,
    pub(super) places: usize,
    /// Cost of each set of items on each place, by place and then by the set as bits; `None` where it may not be.
    pub(super) sets: Vec<Vec<Option<f64>>>,
    /// What pairs on two different places cost on top.
    pub(super) pairs: Vec<Pair>,
}

/// Two items and what they cost together: `cost[place of a][place of b]`.
#[derive(Clone, Debug)]
pub(super) struct Pair {
    pub(super) a: usize,
    pub(super) b: usize,
    pub(super) cost: Vec<Vec<f64>>,
}

impl Columns {
    /// The least cost of all layouts, by the solver.
    ///
    /// # Errors
    /// [`BenchError::Solver`] when it finds none or the time runs out.
    pub(super) fn solved(&self) -> Result<f64, BenchError> {
        let mut variables = ProblemVariables::new();
        let mut chosen: Vec<Vec<(usize, Variable, f64)>> = Vec::with_capacity(self.places);
        for sets in &self.sets {
            let allowed = sets.iter().enumerate().filter_map(|(set, cost)| Some((set, (*cost)?)));
            chosen.push(allowed.map(|(set, cost)| (set, variables.add(variable().binary()), cost)).collect());
        }
        let together: Vec<Vec<Vec<Variable>>> = self
            .pairs
            .iter()
            .map(|_| {
                let row = |_| (0..self.places).map(|_| variables.add(variable().min(0.0))).collect();
                (0..self.places).map(row).collect()
            })
            .collect();

        let mut objective = Expression::from(0.0);
        for (_, column, cost) in chosen.iter().flatten() {
            objective += *cost * *column;
        }
        for (pair, joint) in self.pairs.iter().zip(&together) {
            for (row, costs) in joint.iter().zip(&pair.cost) {
                for (both, cost) in row.iter().zip(costs) {
                    objective += *cost * *both;
                }
            }
        }
        // Whether an item stands on a place: the columns of that place that hold it.
        let stands = |item: usize, place: usize| -> Expression {
            chosen[place].iter().filter(|(set, ..)| set >> item & 1 == 1).map(|(_, column, _)| *column).sum()
        };
        let mut model = variables.minimise(objective).using(good_lp::solvers::microlp::microlp);
        for columns in &chosen {
            let one: Expression = columns.iter().map(|(_, column, _)| *column).sum();
            model = model.with(constraint!(one == 1.0));
        }
        for item in 0..self.items {
            let one: Expression = (0..self.places).map(|place| stands(item, place)).sum();
            model = model.with(constraint!(one == 1.0));
        }
        for (pair, joint) in self.pairs.iter().zip(&together) {
            for place in 0..self.places {
                let of_a: Expression = joint[place].iter().copied().sum();
                model = model.with(constraint!(of_a == stands(pair.a, place)));
                let of_b: Expression = joint.iter().map(|row| row[place]).sum();
                model = model.with(constraint!(of_b == stands(pair.b, place)));
            }
        }
        let solution = model
            .with_time_limit(LIMIT_SECONDS)
            .solve()
            .map_err(|error| BenchError::Solver(error.to_string()))?;
        let of_columns: f64 =
            chosen.iter().flatten().map(|(_, column, cost)| cost * solution.value(*column)).sum();
        let mut of_pairs = 0.0;
        for (pair, joint) in self.pairs.iter().zip(&together) {
            for (row, costs) in joint.iter().zip(&pair.cost) {
                of_pairs +=
                    row.iter().zip(costs).map(|(both, cost)| cost * solution.value(*both)).sum::<f64>();
            }
        }
        Ok(of_columns + of_pairs)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use foremesh_models::SplitMix;

    impl Columns {
        /// Cost of one layout; `None` when it may not be.
        fn cost(&self, layout: &[usize]) -> Option<f64> {
            let mut sum = 0.0;
            for place in 0..self.places {
                let standing = layout.iter().enumerate().filter(|(_, at)| **at == place);
                let set = standing.fold(0_usize, |set, (item, _)| set | 1 << item);
                sum += self.sets[place][set]?;
            }
            Some(sum + self.pairs.iter().map(|pair| pair.cost[layout[pair.a]][layout[pair.b]]).sum::<f64>())
        }

        /// The least cost of all layouts, by trying each of them.
        fn tried(&self) -> Option<f64> {
            let mut layout = vec![0; self.items];
            let mut best: Option<f64> = None;
            for code in 0..self.places.pow(self.items as u32) {
                let mut rest = code;
                for at in &mut layout {
                    *at = rest % self.places;
                    rest /= self.places;
                }
                if let Some(cost) = self.cost(&layout) {
                    best = Some(best.map_or(cost, |least| least.min(cost)));
                }
            }
            best
        }
    }

    fn random(seed: u64) -> Columns {
        let mut draw = SplitMix::new(seed);
        let (items, places) = (2 + draw.below(4), 2 + draw.below(3));
        let sets = (0..places)
            .map(|_| {
                let costs = (0..1_usize << items).map(|set| {
                    // Full places may not be; the empty one always may.
                    let full = set.count_ones() as usize > 1 + items / 2;
                    (!full).then(|| f64::from(set.count_ones()).powi(2) * draw.unit() - draw.unit())
                });
                costs.collect()
            })
            .collect();
        let pairs = (1..items)
            .map(|b| {
                let row = |draw: &mut SplitMix| (0..places).map(|_| 2.0 * draw.unit() - 1.0).collect();
                Pair { a: b - 1, b, cost: (0..places).map(|_| row(&mut draw)).collect() }
            })
            .collect();
        Columns { items, places, sets, pairs }
    }

    #[test]
    fn the_solver_finds_what_trying_every_layout_finds() {
        let mut solvable = 0;
        for seed in 0..40 {
            let columns = random(seed);
            let Some(tried) = columns.tried() else { continue };
            let solved = columns.solved().unwrap();
            assert!((solved - tried).abs() < 1e-6, "seed {seed}: solved {solved}, tried {tried}");
            solvable += 1;
        }
        assert!(solvable > 30, "{solvable}");
    }

    /// What each set of two items costs on a place; `None` where it may not be.
    type OfSets = [Option<f64>; 4];

    /// Two items on two places: the first place is the cheaper one, and dear for both. What being apart costs, and the
    /// least cost of all layouts.
    #[test]
    fn small_cases_have_the_optimum_that_one_can_see() {
        const NO: Option<f64> = None;
        let near = [Some(0.0), Some(1.0), Some(1.0), Some(10.0)];
        let far = [Some(0.0), Some(2.0), Some(3.0), Some(11.0)];
        let cases: [(&str, OfSets, OfSets, f64, f64); 6] = [
            ("a is the cheaper one to send away", near, far, 0.0, 3.0),
            ("being apart costs less than being together", near, far, 6.5, 9.5),
            ("being apart costs more", near, far, 7.5, 10.0),
            ("being apart is a gain", near, far, -5.0, -2.0),
            ("a may not leave", near, [Some(0.0), NO, Some(3.0), NO], 0.0, 4.0),
            ("nobody may be on the first place", [Some(0.0), NO, NO, NO], far, 1.0, 11.0),
        ];
        for (what, first, second, apart, least) in cases {
            let cost = vec![vec![0.0, apart], vec![apart, 0.0]];
            let pairs = vec![Pair { a: 0, b: 1, cost }];
            let columns = Columns { items: 2, places: 2, sets: vec![first.to_vec(), second.to_vec()], pairs };
            assert_eq!(columns.tried(), Some(least), "{what}");
            let solved = columns.solved().unwrap();
            assert!((solved - least).abs() < 1e-9, "{what}: {solved}");
        }
    }

    #[test]
    fn what_cannot_be_placed_is_an_error() {
        let columns = Columns { items: 1, places: 1, sets: vec![vec![Some(0.0), None]], pairs: Vec::new() };
        assert_eq!(columns.tried(), None);
        assert!(columns.solved().is_err());
    }
}
