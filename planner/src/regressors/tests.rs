mod prometheus;

use super::*;
use crate::{clock::ManualClock, settings::Span};
use foremesh_core::calendar::Subject;

const MINUTE: i64 = 60_000;
const NOW: i64 = 1_795_510_800_000;

struct Rig {
    directory: tempfile::TempDir,
    clock: ManualClock,
    declared: Vec<RegressorSettings>,
}

impl Rig {
    fn new(declared: &str) -> Self {
        Self {
            directory: tempfile::tempdir().unwrap(),
            clock: ManualClock::new(Timestamp::from_unix_ms(NOW)),
            declared: yaml_serde::from_str(declared).unwrap(),
        }
    }

    fn open(&self) -> Regressors {
        let path = self.directory.path().join("regressors.db");
        Regressors::open(&self.declared, &path, Step::MINUTE, Clock::Manual(self.clock.clone())).unwrap()
    }
}

fn push(points: &[(i64, f64)]) -> Push {
    let points = points.iter().map(|(at, value)| (Timestamp::from_unix_ms(NOW + at), *value)).collect();
    Push { points, ..Push::default() }
}

#[tokio::test]
async fn what_was_pushed_is_there_after_a_restart_and_the_newest_write_wins() {
    let rig = Rig::new("[]");
    let regressors = rig.open();
    let plan = Push {
        unit: Some("eur".into()),
        hold: Some(Span::from_secs(300)),
        scope: Some(serde_json::from_str(r#"{"services": ["shop*"]}"#).unwrap()),
        ..push(&[(-5 * MINUTE, 1.0), (0, 2.0), (5 * MINUTE, 3.0)])
    };
    assert_eq!(regressors.push("spend", plan).await.unwrap(), Accepted { points: 3, replaced: 0 });
    rig.clock.set(Timestamp::from_unix_ms(NOW + MINUTE));
    let correction = push(&[(0, 9.0), (5 * MINUTE, 3.0)]);
    assert_eq!(regressors.push("spend", correction).await.unwrap(), Accepted { points: 2, replaced: 1 });
    let before = regressors.current();
    drop(regressors);

    let after = rig.open().current();
    assert_eq!(after.get("spend"), before.get("spend"));
    let found = after.get("spend").unwrap();
    assert_eq!((found.unit.as_deref(), found.hold_ms), (Some("eur"), 300_000));

    let now = Timestamp::from_unix_ms(NOW + 2 * MINUTE);
    let shop = Subject::service("shop", "throughput_rps");
    let grid = after.on_grid(&shop, now.plus_ms(-4 * MINUTE), now, Step::MINUTE, 9);
    assert_eq!(grid.len(), 1);
    assert_eq!(grid[0].past.values(), [1.0, 1.0, 9.0, 9.0]);
    let future: Vec<String> = grid[0].future.iter().map(ToString::to_string).collect();
    assert_eq!(
        future,
        ["9", "9", "9", "3", "3", "3", "3", "3", "NaN"],
        "the plan ends, and nothing is made up"
    );
    assert_eq!(grid[0].known_future(), None, "a part that is not known must be forecast");
    assert_eq!(grid[0].age_ms, Some(MINUTE));
    assert_eq!(grid[0].known_until, Some(Timestamp::from_unix_ms(NOW + 10 * MINUTE)));
    assert!(after.on_grid(&Subject::service("cart", "throughput_rps"), now, now, Step::MINUTE, 1).is_empty());
}

#[tokio::test]
async fn a_deleted_one_is_gone_after_a_restart_too() {
    let rig = Rig::new("[{name: declared, hold: 1h}]");
    let regressors = rig.open();
    for name in ["spend", "declared"] {
        regressors.push(name, push(&[(0, 1.0)])).await.unwrap();
        regressors.remove(name).await.unwrap();
    }
    for regressors in [regressors, rig.open()] {
        let set = regressors.current();
        assert_eq!(set.all().map(|r| r.name.as_str()).collect::<Vec<_>>(), ["declared"]);
        assert!(set.get("declared").unwrap().points().is_empty());
        let text = regressors.remove("spend").await.unwrap_err().to_string();
        assert_eq!(text, "there is no regressor `spend`; /api/v1/regressors lists them all");
    }
}

#[tokio::test]
async fn pushes_against_the_settings_are_refused() {
    let rig = Rig::new(
        "[{name: queue, promql: sum(queue), url: 'http://prometheus:9090'}, {name: spend, scope: {services: [shop]}}]",
    );
    let regressors = rig.open();
    let scoped = Push { scope: Some(Scope::default()), ..push(&[(0, 1.0)]) };
    let unheld = Push { hold: Some(Span::from_secs(0)), ..push(&[(0, 1.0)]) };
    for (name, push, want) in [
        (
            "queue",
            push(&[(0, 1.0)]),
            "regressor `queue` is read by PromQL, as the settings say, and cannot be pushed",
        ),
        ("spend", scoped, "the settings declare `scope` of regressor `spend`"),
        ("a b", push(&[(0, 1.0)]), "`a b` cannot be a regressor's name"),
        ("other", unheld, "`hold` is 0"),
    ] {
        let text = regressors.push(name, push).await.unwrap_err().to_string();
        assert!(text.starts_with(want), "{text}");
    }
    assert!(regressors.remove("queue").await.is_err());
    assert!(regressors.current().all().all(|r| r.points().is_empty()), "nothing was stored");
}

#[tokio::test]
async fn only_the_newest_points_are_kept() {
    let rig = Rig::new("[]");
    let regressors = rig.open();
    let many = |from: i64| {
        let points: Vec<(i64, f64)> = (from..from + 60_000).map(|at| (at, at as f64)).collect();
        push(&points)
    };
    for from in [0, 60_000] {
        regressors.push("long", many(from)).await.unwrap();
    }
    for set in [regressors.current(), rig.open().current()] {
        let points = set.get("long").unwrap().points();
        assert_eq!(points.len(), MAX_POINTS);
        assert_eq!(points.first_key_value().unwrap().0, &Timestamp::from_unix_ms(NOW + 20_000));
    }
}
