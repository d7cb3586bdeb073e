//! The formulas of the twin against the simulation of the same requests, one by one.
//!
//! A quantile of some thousand simulated requests is itself a matter of chance. So what is measured before a move comes
//! from one seed, and what is true before and after it from another one, with the same requests in both: the effect of
//! the move is then hardly a matter of chance, and nothing is predicted from the chance that it is judged by. How far
//! the two seeds are apart before the move says how sure the rest is.
use crate::cases::{Case, Seen, name};
use foremesh_core::twin::{MEDIAN, MeshModel, events};
use std::collections::BTreeMap;

/// One prediction against what the simulation says.
#[derive(Clone, Copy, Debug)]
struct Error {
    predicted_ms: f64,
    actual_ms: f64,
    before_ms: f64,
    predicted_before_ms: f64,
}

impl Error {
    fn relative(&self) -> f64 {
        self.predicted_ms / self.actual_ms - 1.0
    }

    fn effect(&self) -> f64 {
        self.actual_ms / self.before_ms - 1.0
    }

    fn right_sign(&self) -> bool {
        (self.predicted_ms - self.predicted_before_ms) * (self.actual_ms - self.before_ms) > 0.0
    }
}

#[derive(Default)]
struct Errors {
    /// P99 where everything runs, from demand alone.
    alone: Vec<Error>,
    /// P99 of the service that moves, from measured latency before the move.
    moved: Vec<Error>,
    /// P99 of the other services.
    others: Vec<Error>,
    /// P99 before the move by two seeds: their distance as a share.
    chance: Vec<f64>,
}

fn seen(mesh: &events::EventMesh, requests: usize, seed: u64) -> Vec<Seen> {
    events::run(mesh, requests, seed).iter().map(Seen::of).collect()
}

fn judge(cases: impl Iterator<Item = u64>, requests: usize) -> BTreeMap<String, Errors> {
    let mut all: BTreeMap<String, Errors> = BTreeMap::new();
    for seed in cases {
        let case = Case::random(seed);
        let measured = seen(&case.mesh, requests, seed);
        let band =
            ["to 50 %", "to 70 %", "to 90 %"][((case.highest_use() - 0.3) / 0.2).clamp(0.0, 2.0) as usize];
        let errors = all.entry(format!("{:17} {band}", case.kind)).or_default();
        let alone = case.world(None);
        let mesh = MeshModel::build(&alone.inputs());
        let evaluation = mesh.start();
        for (ix, service) in case.mesh.services.iter().enumerate() {
            let id = name(ix).as_str().into();
            let predicted = mesh.service_ix(&id).and_then(|ix| evaluation.latency(ix, 0, MEDIAN));
            let (Some(predicted_ms), actual_ms) = (predicted, measured[ix].p99()) else { continue };
            if measured[ix].requests >= requests / 10 && service.wait_ms <= 0.0 {
                let same = Error {
                    predicted_ms,
                    actual_ms,
                    before_ms: actual_ms,
                    predicted_before_ms: predicted_ms,
                };
                errors.alone.push(same);
            }
        }
        if !case.has_move() {
            continue;
        }
        let before = seen(&case.mesh, requests, seed ^ 0xdead);
        let after = seen(&case.moved(), requests, seed ^ 0xdead);
        let world = case.world(Some(&measured));
        let mesh = MeshModel::build(&world.inputs());
        let mut evaluation = mesh.start();
        let ixs: Vec<usize> = (0..case.mesh.services.len())
            .map(|ix| mesh.service_ix(&name(ix).as_str().into()).unwrap())
            .collect();
        let predicted_before: Vec<_> = ixs.iter().map(|ix| evaluation.latency(*ix, 0, MEDIAN)).collect();
        let (service, replica) = case.moving;
        let moving =
            mesh.replica_ix(&name(service).as_str().into(), &format!("{replica}").as_str().into()).unwrap();
        evaluation.move_replica(moving, mesh.node_ix(&name(case.to).as_str().into()).unwrap());
        for ix in 0..ixs.len() {
            let (actual_ms, before_ms) = (after[ix].p99(), before[ix].p99());
            let (Some(predicted_ms), Some(predicted_before_ms)) =
                (evaluation.latency(ixs[ix], 0, MEDIAN), predicted_before[ix])
            else {
                continue;
            };
            if after[ix].requests < requests / 10 {
                continue;
            }
            errors.chance.push((measured[ix].p99() / before_ms - 1.0).abs());
            let error = Error { predicted_ms, actual_ms, before_ms, predicted_before_ms };
            if ix == service { errors.moved.push(error) } else { errors.others.push(error) }
        }
    }
    all
}

fn within(errors: &[Error], limit: f64) -> f64 {
    let count = errors.iter().filter(|error| error.relative().abs() <= limit).count();
    count as f64 / errors.len().max(1) as f64
}

fn signs(errors: &[Error]) -> (f64, usize) {
    let clear: Vec<&Error> = errors.iter().filter(|error| error.effect().abs() > 0.03).collect();
    let right = clear.iter().filter(|error| error.right_sign()).count();
    (right as f64 / clear.len().max(1) as f64, clear.len())
}

fn row(label: &str, errors: &Errors) -> String {
    let (alone, moved, others) = (&errors.alone, &errors.moved, &errors.others);
    let both: Vec<Error> = moved.iter().chain(others).copied().collect();
    let ((sign, clear), (all_signs, all_clear)) = (signs(moved), signs(&both));
    let mut chance = errors.chance.clone();
    chance.sort_unstable_by(f64::total_cmp);
    let chance = |share: usize| 100.0 * chance.get(chance.len() * share / 10).copied().unwrap_or(0.0);
    let bias = |errors: &[Error]| {
        let mut ratios: Vec<f64> = errors.iter().map(Error::relative).collect();
        ratios.sort_unstable_by(f64::total_cmp);
        100.0 * ratios.get(ratios.len() / 2).copied().unwrap_or(0.0)
    };
    format!(
        "{label:26} alone {:4}: {:3.0} % ({:+3.0})  moved {:4}: {:3.0} % ({:+3.0}) sign {:3.0} % of {clear:3}  others {:4}: {:3.0} %  all signs {:3.0} % of {all_clear}  chance {:.1} %, in one of ten {:.1} %",
        alone.len(),
        100.0 * within(alone, 0.15),
        bias(alone),
        moved.len(),
        100.0 * within(moved, 0.15),
        bias(moved),
        100.0 * sign,
        others.len(),
        100.0 * within(others, 0.15),
        100.0 * all_signs,
        chance(5),
        chance(9),
    )
}

fn total(all: BTreeMap<String, Errors>) -> Errors {
    let mut total = Errors::default();
    for (_, errors) in all {
        total.alone.extend(errors.alone);
        total.moved.extend(errors.moved);
        total.others.extend(errors.others);
        total.chance.extend(errors.chance);
    }
    total
}

/// Formulas against simulation for 300 meshes from a seed on.
fn yardstick(first: u64) {
    let all = judge(first..first + 300, 400_000);
    for (label, errors) in &all {
        eprintln!("{}", row(label, errors));
    }
    let total = total(all);
    eprintln!("{}", row("all", &total));
    // A little below what was measured, see docs/twin.md: it must not get worse unnoticed.
    assert!(within(&total.moved, 0.15) >= 0.85);
    assert!(within(&total.others, 0.15) >= 0.9);
    assert!(signs(&total.moved).0 >= 0.95);
}

#[test]
#[ignore = "about a quarter of an hour; `cargo test --release -p foremesh-core --test twin -- --ignored --nocapture`"]
fn the_formulas_against_the_simulation() {
    yardstick(0);
}

/// Formulas are chosen by the first seeds; these tell whether they hold for meshes that nobody looked at.
#[test]
#[ignore = "about a quarter of an hour; as above"]
fn the_formulas_against_the_simulation_of_other_meshes() {
    yardstick(1000);
}

#[test]
fn a_few_cases_agree() {
    // Those of which a short simulation says enough.
    let short = |seed: &u64| {
        let case = Case::random(*seed);
        case.kind == "exponential" && case.highest_use() < 0.85
    };
    let total = total(judge((0..60).filter(short), 30_000));
    let row = row("few", &total);
    assert!(total.moved.len() >= 5, "{row}");
    assert!(within(&total.moved, 0.25) >= 0.8, "{row}");
    assert!(within(&total.others, 0.25) >= 0.8, "{row}");
    assert!(signs(&total.moved).0 >= 0.8, "{row}");
}
