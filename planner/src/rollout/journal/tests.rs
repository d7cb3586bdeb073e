use super::*;
use foremesh_core::{
    ids::ReplicaId,
    plan::{PairWeights, Traffic},
};
use proptest::prelude::*;
use serde_json::json;

const SERVICES: [&str; 2] = ["shop", "cart"];

fn at(ms: i64) -> Timestamp {
    Timestamp::from_unix_ms(ms)
}

/// Rollout `number` of a service, which entered its state then; over or not.
fn rollout(number: usize, service: &str, entered_ms: i64, over: bool) -> RolloutRecord {
    let state = if over { json!({"name": "succeeded"}) } else { json!({"name": "trial"}) };
    serde_json::from_value(json!({
        "id": format!("plan-{number}.0"), "plan": format!("plan-{number}"), "generation": number, "after": null,
        "move": {
            "workload": service, "service": service, "replica": format!("{service}@a"), "from": "a", "to": "b",
            "reason": {
                "policy": "p", "rule": "slow", "quantile": 0.99, "objective_ms": 250.0, "breach_at": 9,
                "breach_probability": 0.9, "stay_ms": 400.0, "move_ms": 40.0, "model": "last_value", "lead_ms": 5,
            },
            "ramp_percent": [50, 100],
        },
        "trial": {"trial": "waived", "by": "ops", "reason": "no staging mesh", "at": 5},
        "prediction": null, "target": null, "state": state, "entered_at": entered_ms, "deadline": entered_ms + 9,
        "attempt": 0,
        "history": [{"at": entered_ms, "from": {"name": "pending"}, "to": state, "why": "it holds"}],
    }))
    .unwrap()
}

fn ids(records: &[RolloutRecord]) -> Vec<&str> {
    records.iter().map(|record| record.id.as_str()).collect()
}

/// A journal with these rollouts; every change of the ones that are over is in the audit.
async fn journal(folder: &Path, records: &[RolloutRecord]) -> Journal {
    let journal = Journal::open(&folder.join("rollouts.db")).unwrap();
    for record in records {
        journal.accept(vec![record.clone()], record.generation).await.unwrap();
        if record.state.is_last() {
            journal.save_reported(&record.id, record.history.len()).await.unwrap();
        }
    }
    journal
}

#[tokio::test]
async fn a_journal_of_the_first_version_is_brought_up_to_date() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("rollouts.db");
    let old = Connection::open(&path).unwrap();
    old.execute_batch(MIGRATIONS[0]).unwrap();
    old.pragma_update(None, "user_version", 1).unwrap();
    for (number, over) in [(1, true), (2, false)] {
        let record = rollout(number, "shop", 50, over);
        old.execute(
            "INSERT INTO rollouts (id, workload, state, is_over, entered_at_ms, reported, record)
             VALUES (?1, 'shop', ?2, ?3, 50, 0, ?4)",
            params![
                record.id.as_str(),
                record.state.to_string(),
                over,
                serde_json::to_string(&record).unwrap()
            ],
        )
        .unwrap();
    }
    drop(old);
    let journal = Journal::open(&path).unwrap();
    assert_eq!(ids(&journal.for_service(&"shop".into(), at(0)).await.unwrap()), ["plan-1.0", "plan-2.0"]);
    assert_eq!(journal.unfinished().await.unwrap().len(), 2, "the audit has neither's change of state");
    let counts = journal.counts().await.unwrap();
    assert_eq!(counts, [("Succeeded".to_owned(), 1), ("Trial".to_owned(), 1)]);
}

/// What the planner before weights wrote is a move with all that the replica has, and is written again as it was.
#[tokio::test]
async fn a_record_without_weights_is_read_as_a_whole_move() {
    let folder = tempfile::tempdir().unwrap();
    let journal = journal(folder.path(), &[rollout(1, "shop", 50, false)]).await;
    let old = r#"{"id":"plan-1.0","plan":"plan-1","generation":1,"after":null,"move":{"workload":"shop","service":"shop","replica":"shop@a","from":"a","to":"b","reason":{"policy":"p","rule":"slow","quantile":0.99,"objective_ms":250.0,"breach_at":9,"breach_probability":0.9,"stay_ms":400.0,"move_ms":40.0,"model":"last_value","lead_ms":5},"ramp_percent":[50,100]},"trial":{"trial":"waived","by":"ops","reason":"no staging mesh","at":5},"prediction":null,"target":"shop@b","state":{"name":"ramping","step":0},"entered_at":50,"deadline":59,"attempt":0,"history":[{"at":50,"from":{"name":"surging"},"to":{"name":"ramping","step":0},"why":"it is ready"}]}"#;
    let update = "UPDATE rollouts SET record = ?1";
    journal.open.lock().unwrap().connection.execute(update, [old]).unwrap();
    let record = journal.get(&RolloutId::new("plan-1.0")).await.unwrap().unwrap().record;
    assert!(record.relocation.traffic.is_whole() && !record.relocation.is_shift());
    assert_eq!(record.relocation.traffic.at(50), PairWeights { source: 50, target: 50 });
    assert_eq!(serde_json::to_string(&record).unwrap(), old);
}

#[tokio::test]
async fn weights_and_the_target_of_a_shift_are_kept() {
    let folder = tempfile::tempdir().unwrap();
    let mut shift = rollout(1, "shop", 50, false);
    shift.relocation.traffic = Traffic::shifted(PairWeights { source: 100, target: 80 }, 25);
    shift.relocation.shift_to = Some(ReplicaId::new("shop@b"));
    shift.target.clone_from(&shift.relocation.shift_to);
    drop(journal(folder.path(), std::slice::from_ref(&shift)).await);
    let again = Journal::open(&folder.path().join("rollouts.db")).unwrap();
    assert_eq!(again.get(&shift.id).await.unwrap().unwrap().record, shift);
}

#[tokio::test]
async fn pages_go_on_where_the_last_one_ended() {
    let folder = tempfile::tempdir().unwrap();
    let records: Vec<_> =
        (1..=7).map(|number| rollout(number, SERVICES[number % 2], 10 * number as i64, true)).collect();
    let journal = journal(folder.path(), &records).await;
    let page = |service: Option<&str>, before: Option<&str>, limit| {
        let query =
            RolloutQuery { service: service.map(Into::into), before: before.map(RolloutId::new), limit };
        let journal = &journal;
        async move { journal.page(query).await.unwrap() }
    };
    assert_eq!(ids(&page(None, None, 3).await), ["plan-7.0", "plan-6.0", "plan-5.0"]);
    assert_eq!(ids(&page(None, Some("plan-5.0"), 2).await), ["plan-4.0", "plan-3.0"]);
    assert_eq!(ids(&page(Some("shop"), Some("plan-6.0"), 9).await), ["plan-4.0", "plan-2.0"]);
    assert_eq!(ids(&page(Some("cart"), None, 1).await), ["plan-7.0"]);
    assert!(page(None, Some("plan-99.0"), 9).await.is_empty());
    assert_eq!(ids(&journal.for_service(&"shop".into(), at(30)).await.unwrap()), ["plan-4.0", "plan-6.0"]);
}

#[tokio::test]
async fn only_what_is_over_reported_and_old_is_forgotten_in_bounded_pieces() {
    let folder = tempfile::tempdir().unwrap();
    let mut records: Vec<_> =
        (1..=5).map(|number| rollout(number, "shop", 10 * number as i64, true)).collect();
    records.push(rollout(6, "shop", 5, false));
    let journal = journal(folder.path(), &records).await;
    let unreported = rollout(7, "shop", 5, true);
    journal.accept(vec![unreported], 7).await.unwrap();
    let abort = AbortRequest { who: "ops".to_owned(), why: "test".to_owned(), at: at(5) };
    for id in ["plan-1.0", "plan-5.0"] {
        journal.save_abort(&RolloutId::new(id), &abort).await.unwrap();
    }
    drop(journal.since(at(0)).await.unwrap());
    let mut pieces = Vec::new();
    while pieces.last() != Some(&0) {
        pieces.push(journal.forget(at(40), 2).await.unwrap());
    }
    assert_eq!(pieces, [2, 1, 0]);
    let left = ["plan-4.0", "plan-5.0", "plan-6.0", "plan-7.0"];
    let page = journal.page(RolloutQuery { limit: 9, ..RolloutQuery::default() }).await.unwrap();
    assert_eq!(ids(&page).into_iter().rev().collect::<Vec<_>>(), left);
    assert_eq!(journal.abort(&RolloutId::new("plan-1.0")).await.unwrap(), None);
    assert_eq!(journal.abort(&RolloutId::new("plan-5.0")).await.unwrap(), Some(abort));
    assert_eq!(journal.newest_generation().await.unwrap(), 7, "numbers are not used again");
}

/// What is asked in each pass and by each request must not read the whole journal.
#[tokio::test]
async fn questions_are_answered_by_an_index() {
    let folder = tempfile::tempdir().unwrap();
    let journal = journal(folder.path(), &[rollout(1, "shop", 50, true)]).await;
    let open = journal.open.lock().unwrap();
    for (filter, indexes) in [
        (UNSETTLED, &["rollouts_unsettled"][..]),
        (SINCE, &["rollouts_going", "rollouts_entered"]),
        (OF_SERVICE, &["rollouts_service"]),
    ] {
        let filled = filter.replace("?1", "'5'").replace("?2", "5");
        let query = format!("EXPLAIN QUERY PLAN SELECT record FROM rollouts {filled}");
        let mut statement = open.connection.prepare(&query).unwrap();
        let plan: Vec<String> =
            statement.query_map([], |row| row.get(3)).unwrap().collect::<Result<_, _>>().unwrap();
        let of_all = |line: &String| line.starts_with("SCAN rollouts") && !line.contains("INDEX");
        assert!(!plan.iter().any(of_all), "{filter} goes by {plan:?}");
        for index in indexes {
            assert!(plan.iter().any(|line| line.contains(index)), "{filter} goes by {plan:?}");
        }
    }
}

/// Number of the rollout, when it enters its state, whether it is over, and since when is asked then.
type Change = (usize, i64, bool, i64);

async fn memory_and_file_agree(changes: Vec<Change>) {
    let folder = tempfile::tempdir().unwrap();
    let journal = Journal::open(&folder.path().join("rollouts.db")).unwrap();
    let mut accepted = std::collections::HashSet::new();
    for (number, entered_ms, over, since_ms) in changes {
        let record = rollout(number, SERVICES[number % 2], entered_ms, over);
        if accepted.insert(number) {
            journal.accept(vec![record.clone()], record.generation).await.unwrap();
        } else {
            journal.save(&record).await.unwrap();
        }
        let other = Journal::open(&folder.path().join("rollouts.db")).unwrap();
        let since = at(since_ms);
        assert_eq!(journal.since(since).await.unwrap(), other.since(since).await.unwrap());
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 24, ..ProptestConfig::default() })]
    #[test]
    fn what_is_kept_in_memory_is_what_the_file_would_say(
        changes in prop::collection::vec((1_usize..6, 0_i64..100, any::<bool>(), 0_i64..100), 1..12)
    ) {
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        runtime.block_on(memory_and_file_agree(changes));
    }
}
