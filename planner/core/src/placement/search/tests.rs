//! The search on small spaces, beside every layout there is.
use super::{Space, search};

/// Units with loads on places with capacities; a place is the dearer the fuller it is, beyond a point steeply, and
/// some pairs of units want to be close.
#[derive(Clone, Debug)]
struct Toy {
    loads: Vec<f64>,
    weights: Vec<f64>,
    capacities: Vec<f64>,
    background: Vec<f64>,
    homes: Vec<usize>,
    places: Vec<usize>,
    pairs: Vec<(usize, usize, f64)>,
    first: Vec<usize>,
}

impl Toy {
    fn use_of(&self, place: usize) -> f64 {
        let standing = self.places.iter().zip(&self.loads).filter(|(at, _)| **at == place);
        (self.background[place] + standing.map(|(_, load)| load).sum::<f64>()) / self.capacities[place]
    }

    fn cost(&self) -> f64 {
        let uses: Vec<f64> = (0..self.capacities.len()).map(|place| self.use_of(place)).collect();
        let mut cost = 0.0;
        for (unit, place) in self.places.iter().enumerate() {
            cost += self.weights[unit] / (1.0 + (-(uses[*place] - 0.85) * 30.0).exp());
            if *place != self.homes[unit] {
                cost += self.disruption(unit);
            }
        }
        let apart = self.pairs.iter().filter(|(a, b, _)| self.places[*a] != self.places[*b]);
        cost + apart.map(|(_, _, weight)| weight).sum::<f64>()
    }

    fn allowed(&self, place: usize) -> bool {
        self.use_of(place) <= 0.8
    }

    /// The least cost over all layouts in which every place that was gone to is allowed, less that of staying.
    fn exact(&self) -> f64 {
        let mut toy = Self { places: self.homes.clone(), ..self.clone() };
        let staying = toy.cost();
        let (units, places) = (self.homes.len(), self.capacities.len());
        let mut best = 0.0_f64;
        for mut code in 0..places.pow(u32::try_from(units).unwrap()) {
            for unit in 0..units {
                toy.places[unit] = code % places;
                code /= places;
            }
            let gone_to = (0..units).filter(|unit| toy.places[*unit] != toy.homes[*unit]);
            let fine = gone_to.map(|unit| toy.places[unit]).all(|place| toy.allowed(place));
            if fine {
                best = best.min(toy.cost() - staying);
            }
        }
        best
    }
}

impl Space for Toy {
    fn first(&self) -> &[usize] {
        &self.first
    }

    fn home(&self, unit: usize) -> usize {
        self.homes[unit]
    }

    fn place(&self, unit: usize) -> usize {
        self.places[unit]
    }

    fn targets(&mut self, unit: usize) -> Vec<usize> {
        (0..self.capacities.len()).filter(|place| *place != self.homes[unit]).collect()
    }

    fn standing_on(&self, place: usize) -> Vec<usize> {
        (0..self.homes.len()).filter(|unit| self.places[*unit] == place).collect()
    }

    fn load(&self, unit: usize) -> f64 {
        self.loads[unit]
    }

    fn disruption(&self, unit: usize) -> f64 {
        0.02 * self.weights[unit] + 0.01
    }

    fn peek(&mut self, unit: usize, place: usize) -> Option<f64> {
        let (before, at) = (self.cost(), self.places[unit]);
        self.places[unit] = place;
        let change = self.cost() - before;
        let away = |unit: &usize| self.homes[*unit] != place;
        let fine = !self.standing_on(place).iter().any(away) || self.allowed(place);
        self.places[unit] = at;
        fine.then_some(change)
    }

    fn put(&mut self, unit: usize, place: usize) {
        self.places[unit] = place;
    }
}

/// Numbers that look random and are the same for ever.
fn numbers(mut seed: u64) -> impl FnMut() -> f64 {
    move || {
        seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (seed >> 40) as f64 / (1_u64 << 24) as f64
    }
}

fn toy(seed: u64) -> Toy {
    let mut next = numbers(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15));
    let places = 3 + (next() * 3.0) as usize;
    let units = 4 + (next() * 4.0) as usize;
    let homes: Vec<usize> = (0..units).map(|_| (next() * 2.0) as usize).collect();
    let loads: Vec<f64> = (0..units).map(|_| 50.0 + 250.0 * next()).collect();
    let mut toy = Toy {
        weights: (0..units).map(|_| 1.0 + 60.0 * next() * next()).collect(),
        capacities: vec![1000.0; places],
        background: (0..places).map(|_| 100.0 + 500.0 * next()).collect(),
        places: homes.clone(),
        pairs: Vec::new(),
        first: (0..units).collect(),
        homes,
        loads,
    };
    for b in 1..units {
        if next() < 0.3 {
            toy.pairs.push((b - 1, b, 3.0 * next()));
        }
    }
    toy.background[0] += 300.0;
    toy
}

#[test]
fn it_comes_within_a_hundredth_of_the_best_layout() {
    let (mut sum, mut worst, mut cases) = (0.0, 0.0_f64, 0);
    for seed in 1..=60 {
        let mut toy = toy(seed);
        let exact = toy.exact();
        let staying = toy.cost();
        let found = search(&mut toy, 1_000_000);
        assert!((toy.cost() - staying - found).abs() < 1e-6, "seed {seed}: the change is what it says");
        assert!(found >= exact - 1e-9, "seed {seed}: better than the best");
        if exact < -1e-6 {
            let gap = (found - exact) / -exact;
            sum += gap;
            worst = worst.max(gap);
            cases += 1;
        }
    }
    assert!(cases >= 40, "only {cases} of 60 leave anything to gain");
    let mean = sum / f64::from(cases);
    assert!(mean <= 0.001 && worst <= 0.01, "mean gap {mean}, worst {worst}");
}

#[test]
fn nothing_to_gain_moves_nothing() {
    let mut toy = toy(3);
    toy.weights.fill(0.001);
    toy.pairs.clear();
    assert!(search(&mut toy, 1_000_000).abs() < 1e-12);
    assert_eq!(toy.places, toy.homes);
}

#[test]
fn effort_is_a_limit() {
    for effort in [0, 1, 10, 100] {
        let mut toy = toy(5);
        let staying = toy.cost();
        let found = search(&mut toy, effort);
        assert!(found <= 0.0 && (toy.cost() - staying - found).abs() < 1e-6, "effort {effort}");
    }
}

#[test]
fn room_is_made_where_there_is_none() {
    // The heavy unit on the hot place 0 fits nowhere until the one on place 1 goes to place 2.
    let mut toy = Toy {
        loads: vec![400.0, 300.0],
        weights: vec![100.0, 1.0],
        capacities: vec![1000.0; 3],
        background: vec![600.0, 200.0, 450.0],
        homes: vec![0, 1],
        places: vec![0, 1],
        pairs: Vec::new(),
        first: vec![0],
    };
    assert!(search(&mut toy, 10_000) < -90.0);
    assert_eq!(toy.places, [1, 2]);
}

#[test]
fn several_leave_where_one_is_not_enough() {
    let mut toy = Toy {
        loads: vec![150.0, 150.0, 150.0, 10.0],
        weights: vec![1.0, 1.0, 1.0, 100.0],
        capacities: vec![1000.0; 3],
        background: vec![700.0, 500.0, 500.0],
        homes: vec![0; 4],
        places: vec![0; 4],
        pairs: Vec::new(),
        first: vec![0, 1, 2, 3],
    };
    // The unit that suffers may not move itself.
    toy.first = vec![0, 1, 2];
    assert!(search(&mut toy, 10_000) < -80.0);
    assert_eq!(toy.places[3], 0);
    assert!(toy.places[..3].iter().filter(|place| **place != 0).count() >= 2, "{:?}", toy.places);
}
