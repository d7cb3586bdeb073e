//! What is written, given what is there.
use super::{super::*, FORTH, after, at, back};
use crate::resources::relocation::object::wanted;
use foremesh_core::{
    ids::RolloutId,
    rollout::{RolloutRecord, Stage, State},
};

const KEEP: Keep = Keep { for_ms: 3_600_000, at_most: 2 };

fn known(record: &RolloutRecord) -> Known {
    let turns_back = record.state.is_past_return() || matches!(record.state, State::RollingBack { .. });
    Known {
        rollout: record.id.clone(),
        wanted: wanted(record, "foremesh").unwrap(),
        over: record.state.is_last(),
        can_abort: !turns_back,
        owed: false,
    }
}

/// A resource that says what it should.
fn found(record: &RolloutRecord) -> Found {
    let wanted = wanted(record, "foremesh").unwrap();
    Found {
        namespace: wanted.namespace,
        name: wanted.name,
        uid: "uid".to_owned(),
        rollout: record.id.clone(),
        generation: 1,
        is_deleted: false,
        is_held: !record.state.is_last(),
        abort: false,
        status: Some(RelocationStatus { observed_generation: 1, ..wanted.status }),
    }
}

/// The writes in a word each.
fn words(known: &[Known], found: &[Found]) -> Vec<String> {
    decide(known, found, KEEP, at(200))
        .iter()
        .map(|write| match write {
            Write::Make(known) => format!("make {}", known.wanted.name),
            Write::Say(found, _, status) => format!("say {} of {}", status.step, found.name),
            Write::LetGo(found) => format!("let {} go", found.name),
            Write::Delete(found) => format!("delete {}", found.name),
            Write::Abort(known, why) => format!("abort {}, because {why}", known.rollout),
        })
        .collect()
}

/// What it is, the journal, the cluster, and what is written.
type Case<'a> = (&'a str, Vec<Known>, Vec<Found>, Vec<&'a str>);

#[test]
fn what_is_written_follows_from_what_is_there() {
    let going = after("r.0", &FORTH[..4]);
    let before = after("r.0", &FORTH[..3]);
    let over = after("r.0", &FORTH);
    let turning = after("r.0", &[State::Surging, back(Stage::Shift)]);
    let owed = Known { owed: true, ..known(&over) };
    let aborted = Found { abort: true, generation: 2, ..found(&going) };
    let deleted = |of: &RolloutRecord| Found { is_deleted: true, ..found(of) };
    let silent = Found { status: None, ..found(&going) };
    let stuck = Found { is_held: true, ..found(&over) };
    let (set, gone) = (
        "abort r.0, because `spec.abort` of Relocation shop/r.0 was set",
        "abort r.0, because Relocation shop/r.0 is to be deleted",
    );
    let cases: Vec<Case<'_>> = vec![
        ("nothing", vec![], vec![], vec![]),
        ("it is missing", vec![known(&going)], vec![], vec!["make r.0"]),
        ("it says what it should", vec![known(&going)], vec![found(&going)], vec![]),
        ("it is late", vec![known(&going)], vec![found(&before)], vec!["say Ramping(0) of r.0"]),
        ("it says nothing", vec![known(&going)], vec![silent], vec!["say Ramping(0) of r.0"]),
        ("it ends", vec![known(&over)], vec![found(&going)], vec!["say Succeeded of r.0", "let r.0 go"]),
        ("it was not let go", vec![known(&over)], vec![stuck.clone()], vec!["let r.0 go"]),
        ("it was not let go and is forgotten", vec![], vec![stuck], vec!["let r.0 go"]),
        ("it is over", vec![], vec![found(&over)], vec![]),
        ("it is over and was deleted", vec![known(&over)], vec![], vec![]),
        ("it was deleted as it ended", vec![owed], vec![], vec!["make r.0"]),
        (
            "an abort is wanted",
            vec![known(&going)],
            vec![aborted.clone()],
            vec!["say Ramping(0) of r.0", set],
        ),
        (
            "an abort is wanted of one that turns back",
            vec![known(&turning)],
            vec![Found { abort: true, ..found(&turning) }],
            vec![],
        ),
        ("it is to be deleted", vec![known(&going)], vec![deleted(&going)], vec![gone]),
        ("it is to be deleted and turns back", vec![known(&turning)], vec![deleted(&turning)], vec![]),
        (
            "it is to be deleted and has ended",
            vec![known(&over)],
            vec![deleted(&going)],
            vec!["say Succeeded of r.0", "let r.0 go"],
        ),
        ("nobody knows it", vec![], vec![found(&going)], vec!["say Failed of r.0", "let r.0 go"]),
        (
            "nobody knows it and it is to be deleted",
            vec![],
            vec![deleted(&going)],
            vec!["say Failed of r.0", "let r.0 go"],
        ),
    ];
    for (case, known, found, expected) in cases {
        assert_eq!(words(&known, &found), expected, "{case}");
    }
    // Once it has been seen, an abort changes nothing more.
    let seen = Known { can_abort: false, ..known(&going) };
    let told = Found {
        status: found(&going).status.map(|s| RelocationStatus { observed_generation: 2, ..s }),
        ..aborted
    };
    assert_eq!(words(&[seen], &[told]), [""; 0]);
}

#[test]
fn what_nobody_knows_says_that_nobody_knows() {
    let (record, found) = (after("r.0", &FORTH[..4]), [found(&after("r.0", &FORTH[..4]))]);
    let writes = decide(&[], &found, KEEP, at(200));
    let Write::Say(_, None, status) = &writes[0] else { panic!("{writes:?}") };
    assert_eq!(status.state, "Failed");
    assert!(status.why.starts_with("unknown: the planner that leads knows nothing of it"), "{}", status.why);
    assert_eq!(status.since, "2023-11-14T22:16:40Z");
    assert_eq!(status.transitions as usize, record.history.len());
    assert_eq!(status.history.last().unwrap().from, "Ramping(0)");
    let conditions: Vec<_> =
        status.conditions.iter().map(|of| (of.kind.as_str(), of.status.as_str())).collect();
    assert_eq!(conditions, [("Progressing", "False"), ("Succeeded", "Unknown"), ("RolledBack", "Unknown")]);
}

#[test]
fn what_is_over_stays_for_a_while_and_not_all_of_it() {
    let over = |id: &str, ended_s: i64| {
        let mut found = found(&after(id, &FORTH));
        found.rollout = RolloutId::from(id);
        if let Some(status) = &mut found.status {
            status.since = object::time(at(ended_s));
        }
        found
    };
    let old = over("old", 200 - 3_601);
    let just = over("just", 200 - 3_600);
    assert_eq!(words(&[], &[old.clone(), just.clone()]), ["delete old"]);
    let many = [
        over("a", 10),
        over("b", 30),
        over("c", 20),
        Found { namespace: "other".to_owned(), ..over("d", 1) },
    ];
    assert_eq!(words(&[], &many), ["delete a"], "two stay in each namespace, the newest");
    let going = after("going", &FORTH[..4]);
    assert_eq!(
        words(&[known(&going)], &[over("a", 10), over("b", 30), found(&going)]),
        [""; 0],
        "what goes on does not count"
    );
    assert_eq!(words(&[], &[Found { is_deleted: true, ..old }]), [""; 0], "it is being deleted");
}
