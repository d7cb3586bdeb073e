//! A move that is tried first: whatever the staging mesh does, production waits for a pass and nothing is left.
use super::*;
use crate::platform::{PlatformError, StagingMesh};
use foremesh_core::trial::{Answer, Pair, Trial, TrialLimits, TrialOrder, TrialSamples};
use std::sync::{Arc, Mutex};
use tokio::sync::Notify;

/// What becomes of a trial.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Comes {
    /// The target is as good as the source.
    Good,
    /// One of ten requests fails on the target.
    Bad,
    /// The same, after a while.
    BadLater,
    /// Too few requests.
    Few,
    /// It cannot be made.
    Error,
    /// It never ends.
    Hangs,
    /// The planner is killed in it.
    Kills,
}

#[derive(Debug, Default)]
struct Seen {
    /// What the trials to come become of; the last one stays.
    comes: Vec<Comes>,
    tries: usize,
    /// So many clears fail.
    stuck: usize,
    /// Copies are there.
    copies: bool,
    /// One is being made now.
    trying: bool,
}

/// A trial that is being made, however it ends.
struct Trying(Arc<Mutex<Seen>>);

impl Drop for Trying {
    fn drop(&mut self) {
        self.0.lock().unwrap().trying = false;
    }
}

#[derive(Clone, Debug)]
struct Mesh {
    seen: Arc<Mutex<Seen>>,
    crashed: Arc<Notify>,
    begun: Arc<Notify>,
}

fn refused(problem: &str) -> PlatformError {
    let (object, remedy) = ("trial".to_owned(), "none".to_owned());
    PlatformError::Refused { object, problem: problem.to_owned(), remedy }
}

#[async_trait]
impl StagingMesh for Mesh {
    fn limits(&self) -> TrialLimits {
        TrialLimits::default()
    }

    async fn try_move(&self, _: &RolloutId, order: &TrialOrder) -> Result<TrialSamples, PlatformError> {
        let comes = {
            let mut seen = self.seen.lock().unwrap();
            assert!(!seen.trying, "two trials at once");
            (seen.copies, seen.trying, seen.tries) = (true, true, seen.tries + 1);
            if seen.comes.len() > 1 { seen.comes.remove(0) } else { seen.comes[0] }
        };
        let _trying = Trying(Arc::clone(&self.seen));
        self.begun.notify_one();
        match comes {
            Comes::Error => return Err(refused("no room for a copy")),
            Comes::Hangs => tokio::time::sleep(Duration::from_secs(86_400)).await,
            Comes::Kills => {
                self.crashed.notify_one();
                std::future::pending::<()>().await;
            }
            Comes::BadLater => tokio::time::sleep(Duration::from_secs(50)).await,
            Comes::Good | Comes::Bad | Comes::Few => {}
        }
        let count = if comes == Comes::Few { 10 } else { order.pairs };
        let pair = |at: u64| Pair {
            source: Answer { ok: true, latency_ms: 10.0 },
            target: Answer {
                ok: ![Comes::Bad, Comes::BadLater].contains(&comes) || !at.is_multiple_of(10),
                latency_ms: 11.0,
            },
        };
        Ok(TrialSamples {
            pairs: (0..count).map(pair).collect(),
            late: 0,
            seconds: 30.0,
            source_node: "h1".to_owned(),
            notes: Vec::new(),
        })
    }

    async fn clear(&self, _: &RolloutId) -> Result<(), PlatformError> {
        let mut seen = self.seen.lock().unwrap();
        if seen.stuck > 0 {
            seen.stuck -= 1;
            return Err(refused("the namespace is stuck"));
        }
        seen.copies = false;
        Ok(())
    }

    async fn sweep(&self) -> Result<(), PlatformError> {
        self.seen.lock().unwrap().copies = false;
        Ok(())
    }
}

fn owing(generation: u64) -> TestedPlan {
    owing_of(generation, "cart")
}

fn owing_of(generation: u64, workload: &str) -> TestedPlan {
    let order = json!({
        "workload": "cart", "service": "cart", "source": "h1", "target": "h2",
        "requests": [{"path": "/", "method": "GET", "weight": 1}], "callees": "none", "copy_secrets": false,
        "rate_rps": 50.0, "peak_rps": 50.0, "pairs": 2000, "most_pairs": 2000, "warm_up_ms": 1000,
        "start_within_ms": 30000, "quantile": 0.99, "objective_ms": 50.0, "error_margin": 0.02,
        "latency_factor": 1.2, "seed": 1
    });
    let mut plan = serde_json::to_value(tested(generation, &[workload])).unwrap();
    plan["trial"] = json!({"trial": "owed", "order": order});
    serde_json::from_value(plan).unwrap()
}

async fn bench(comes: &[Comes], stuck: usize) -> (Bench, Mesh) {
    let mut bench = Bench::new(settings()).await;
    let seen = Seen { comes: comes.to_vec(), stuck, ..Seen::default() };
    let mesh = Mesh {
        seen: Arc::new(Mutex::new(seen)),
        crashed: Arc::clone(&bench.fake.crashed),
        begun: Arc::new(Notify::new()),
    };
    bench.fake.staging = Some(Arc::new(mesh.clone()));
    bench.restart().await;
    bench.crashes = 0;
    (bench, mesh)
}

/// Name, what the trials come to, failing teardowns; the end, how many trials there were, and why.
type Case = (&'static str, &'static [Comes], usize, &'static str, usize, &'static str);

#[tokio::test(start_paused = true)]
async fn whatever_comes_of_it_nothing_is_left_and_only_a_pass_goes_on() {
    use Comes::{Bad, Error, Few, Good, Hangs, Kills};
    let cases: [Case; 9] = [
        ("a good target", &[Good], 0, "Succeeded", 1, ""),
        (
            "a failing target",
            &[Bad],
            0,
            "Aborted",
            1,
            "the trial failed: the target failed 10.0 % more requests",
        ),
        ("too little", &[Few], 0, "Aborted", 1, "the trial was inconclusive, which is not a pass"),
        (
            "no room",
            &[Error],
            0,
            "Aborted",
            3,
            "could not be tried, so nothing was done: trial: no room for a copy",
        ),
        ("room at last", &[Error, Good], 0, "Succeeded", 2, ""),
        ("it hangs", &[Hangs, Good], 0, "Succeeded", 2, ""),
        ("the planner is killed in it", &[Kills, Good], 0, "Succeeded", 2, ""),
        ("the planner is killed in one that fails", &[Kills, Bad], 0, "Aborted", 2, "the trial failed"),
        ("its teardown is slow", &[Good], 2, "Succeeded", 1, ""),
    ];
    for (name, comes, stuck, end, tries, why) in cases {
        let (mut bench, mesh) = bench(comes, stuck).await;
        bench.rollouts.start(&owing(1)).await.unwrap();
        let record = bench.run_to_end().await.remove(0);
        assert_eq!(record.state.to_string(), end, "case: {name}: {}", record.why());
        assert!(record.why().contains(why), "case: {name}: {}", record.why());
        let seen = mesh.seen.lock().unwrap();
        assert!(!seen.copies, "case: {name}: copies are left");
        assert_eq!(seen.tries, tries, "case: {name}");
        let touched =
            bench.fake.world().calls.iter().any(|(_, call)| ["prepare", "place target"].contains(call));
        assert_eq!(touched, end == "Succeeded", "case: {name}: {:?}", bench.fake.world().calls);
        assert_eq!(record.trial.permits(), end == "Succeeded", "case: {name}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_pass_beside_copies_that_stay_is_none() {
    let (mut bench, _) = bench(&[Comes::Good], 100).await;
    bench.rollouts.start(&owing(1)).await.unwrap();
    let record = bench.run_to_end().await.remove(0);
    assert_eq!(record.state.to_string(), "Aborted");
    assert!(
        record.why().contains("could not be torn down: trial: the namespace is stuck"),
        "{}",
        record.why()
    );
    assert!(matches!(record.trial, Trial::Owed { .. }));
}

#[tokio::test(start_paused = true)]
async fn an_operator_stops_it_in_the_middle() {
    let (mut bench, mesh) = bench(&[Comes::Hangs], 0).await;
    let id = bench.rollouts.start(&owing(1)).await.unwrap().remove(0);
    let rollouts = bench.rollouts.clone();
    let stop = async {
        mesh.begun.notified().await;
        rollouts.abort(&id, "ana", "not now").await.unwrap();
    };
    let (mut records, ()) = tokio::join!(bench.run_to_end(), stop);
    let record = records.remove(0);
    assert_eq!(record.state.to_string(), "Aborted");
    assert_eq!(record.why(), "ana asked to stop: not now");
    let seen = mesh.seen.lock().unwrap();
    assert!(!seen.copies && seen.tries == 1, "{seen:?}");
}

#[tokio::test(start_paused = true)]
async fn a_planner_without_a_staging_mesh_does_not_go_on() {
    let (mut bench, _) = bench(&[Comes::Good], 0).await;
    bench.rollouts.start(&owing(1)).await.unwrap();
    bench.fake.staging = None;
    bench.restart().await;
    let record = bench.run_to_end().await.remove(0);
    assert!(record.why().contains("there is no staging mesh any more"), "{}", record.why());
}

#[tokio::test(start_paused = true)]
async fn two_moves_are_tried_one_after_the_other() {
    let (mut bench, mesh) = bench(&[Comes::BadLater], 0).await;
    for (generation, workload) in [(1, "cart"), (2, "web"), (3, "auth"), (4, "stock")] {
        bench.rollouts.start(&owing_of(generation, workload)).await.unwrap();
    }
    let records = bench.run_to_end().await;
    assert_eq!(records.len(), 4);
    for record in &records {
        // Waiting for the others is no fault of its own.
        assert!(record.why().contains("the trial failed"), "{}", record.why());
    }
    assert_eq!(mesh.seen.lock().unwrap().tries, 4);
}
