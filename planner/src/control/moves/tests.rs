use super::*;
use foremesh_core::{
    aftermath::{Benefit, MovedBack},
    policy::cooldown,
};
use serde_json::json;

/// A rollout that went through these states, a minute in each.
fn rollout(states: &[&str]) -> RolloutRecord {
    let state = |name: &str| match name {
        "ramping" => json!({"name": name, "step": 0}),
        "settling" => json!({"name": name, "retiring": false}),
        "rolling_back" => json!({"name": name, "from": "surging", "stage": "stop", "aborted": false}),
        name => json!({"name": name}),
    };
    let changes = states.windows(2).enumerate();
    let history: Vec<_> = changes
        .map(|(at, pair)| {
            json!({"at": 60_000 * (at + 1), "from": state(pair[0]), "to": state(pair[1]), "why": "because"})
        })
        .collect();
    serde_json::from_value(json!({
        "id": "plan-1.0", "plan": "plan-1", "generation": 1, "after": null,
        "move": {
            "workload": "cart", "service": "cart", "replica": "cart@a", "from": "a", "to": "b",
            "reason": {
                "policy": "p", "rule": "slow", "quantile": 0.99, "objective_ms": 250.0, "breach_at": 9,
                "breach_probability": 0.9, "stay_ms": 400.0, "move_ms": 40.0, "model": "last_value", "lead_ms": 5,
            },
            "ramp_percent": [50, 100], "then": ["cart@c"],
        },
        "trial": {"trial": "waived", "by": "ops", "reason": "no staging mesh", "at": 5},
        "prediction": null, "target": null, "state": state(states.last().unwrap()), "entered_at": 0, "deadline": 9,
        "attempt": 0, "history": history,
    }))
    .unwrap()
}

#[test]
fn what_was_begun_counts_and_says_how_it_ended() {
    /// Name, states, and of the past move whether it failed, whether others follow it, and when it ended, in minutes.
    type Case = (&'static str, &'static [&'static str], Option<(bool, bool, i64)>);
    let cases: &[Case] = &[
        ("called off before its turn", &["pending", "aborted"], None),
        ("called off by the trial", &["pending", "trial", "aborted"], None),
        ("not over", &["pending", "trial", "reserving", "surging"], None),
        (
            "never ready",
            &["pending", "trial", "reserving", "surging", "rolling_back", "rolled_back"],
            Some((true, false, 5)),
        ),
        (
            "worse than the source",
            &["pending", "trial", "reserving", "surging", "ramping", "rolling_back", "rolled_back"],
            Some((true, false, 6)),
        ),
        ("stopped by an operator", &["pending", "trial", "reserving", "aborted"], Some((false, false, 3))),
        (
            "a shift that was judged",
            &["pending", "trial", "ramping", "settling", "succeeded"],
            Some((false, true, 4)),
        ),
        ("a shift in one step", &["pending", "trial", "settling", "succeeded"], Some((false, true, 3))),
        (
            "a shift that went back",
            &["pending", "trial", "ramping", "rolling_back", "rolled_back"],
            Some((true, false, 4)),
        ),
        ("no way back", &["pending", "trial", "reserving", "surging", "failed"], Some((true, false, 4))),
        (
            "arrived",
            &["pending", "trial", "reserving", "surging", "ramping", "draining", "settling", "succeeded"],
            Some((false, true, 7)),
        ),
    ];
    for (name, states, want) in cases {
        let past = past_moves(&[rollout(states)]);
        let got =
            past.first().map(|past| (past.failed, !past.then.is_empty(), past.ended_at.unix_ms() / 60_000));
        assert_eq!(got, *want, "case: {name}");
    }
}

#[test]
fn only_moves_tell_how_long_a_move_takes() {
    let moved = rollout(&[
        "pending",
        "trial",
        "reserving",
        "surging",
        "ramping",
        "draining",
        "settling",
        "succeeded",
    ]);
    let want = BTreeMap::from([(WorkloadId::from("cart"), 5 * 60_000)]);
    assert_eq!(durations(std::slice::from_ref(&moved), 60_000), want, "from the wait to draining");
    let mut shift = rollout(&["pending", "trial", "ramping", "settling", "succeeded"]);
    shift.relocation.shift_to = Some("cart@b".into());
    assert_eq!(durations(std::slice::from_ref(&shift), 60_000), BTreeMap::new());
    assert_eq!(durations(&[moved, shift], 60_000), want, "the newer shift does not count");
}

#[test]
fn a_shift_cuts_the_history_like_a_move() {
    /// States, and from when to when the traffic was shared, in minutes.
    type Case = (&'static [&'static str], Option<(i64, i64)>);
    let cases: &[Case] = &[
        (&["pending", "trial", "aborted"], None),
        (&["pending", "trial", "ramping", "settling", "succeeded"], Some((2, 4))),
        (&["pending", "trial", "settling", "succeeded"], Some((2, 3))),
        (&["pending", "trial", "ramping", "rolling_back", "rolled_back"], Some((2, 4))),
    ];
    let minutes = |minutes: i64| Timestamp::from_unix_ms(60_000 * minutes);
    let cart = ServiceId::from("cart");
    for (states, want) in cases {
        let shift = [rollout(states)];
        let want = want.map(|(from, to)| (minutes(from), minutes(to)));
        let got = moves_of(&shift, &cart).first().map(|moved| (moved.from, moved.to));
        assert_eq!(got, want, "{states:?}");
        assert_eq!(last_change(&shift, &cart), want.map(|(_, to)| to), "{states:?}");
    }
}

/// A trial that does not let a move through counts for the cooldown, or the move would be tried with every pass; one that
/// failed keeps other moves away from its target.
#[test]
fn a_trial_counts() {
    let report = |verdict: &str| {
        let end = json!({"requests": 800, "server_errors": 0, "latency_ms": 10.0});
        json!({"trial": "tried", "report": {
            "verdict": verdict, "why": "numbers", "at": 5, "rate_rps": 10.0, "peak_rps": 10.0, "seconds": 80.0,
            "quantile": 0.95, "objective_ms": 50.0, "source": end, "target": end, "source_node": "a",
            "slowness": null, "more_errors_at_most": 0.0
        }})
    };
    for (verdict, failed) in [("fail", true), ("inconclusive", false)] {
        let mut record = rollout(&["pending", "trial", "aborted"]);
        record.trial = serde_json::from_value(report(verdict)).unwrap();
        let past = past_moves(&[record]);
        assert_eq!(past.iter().map(|past| past.failed).collect::<Vec<_>>(), [failed], "{verdict}");
    }
    let mut untried = rollout(&["pending", "aborted"]);
    untried.trial = serde_json::from_value(report("fail")).unwrap();
    assert!(past_moves(&[untried]).is_empty(), "nothing was done");
}

const ARRIVED: [&str; 8] =
    ["pending", "trial", "reserving", "surging", "ramping", "draining", "settling", "succeeded"];

#[test]
fn a_regretted_move_counts_as_one_that_failed() {
    for (verdict, failed) in
        [(Worth::WorthIt, false), (Worth::CannotBeKnown, false), (Worth::NotWorthIt, true)]
    {
        let mut record = rollout(&ARRIVED);
        let (at, why) = (Timestamp::from_unix_ms(9), String::new());
        record.benefit = Some(Benefit { at, verdict, why, compared: None });
        assert_eq!(past_moves(&[record])[0].failed, failed, "{verdict:?}");
    }
}

/// Something else took the move back: it is not made again at once, but the workload rests as after a second move.
#[test]
fn what_others_took_back_is_not_fought() {
    const MINUTE: i64 = 60_000;
    let mut record = rollout(&ARRIVED);
    let (over, now) = (record.history.last().unwrap().at, Timestamp::from_unix_ms(60 * MINUTE));
    let rests = |record: &RolloutRecord, now| {
        let moves = past_moves(std::slice::from_ref(record));
        cooldown(&"cart".into(), &"cart@a".into(), &moves, 15 * MINUTE, now).err()
    };
    assert_eq!(rests(&record, now), None, "it has rested after its own move");
    record.moved_back = Some(MovedBack { at: now, to: "a".into() });
    let past = past_moves(std::slice::from_ref(&record));
    assert_eq!((past.len(), past[1].from.as_str(), past[1].to.as_str()), (2, "b", "a"));
    let rest = rests(&record, now.plus_ms(MINUTE)).expect("it rests");
    assert_eq!((rest.moves_in_24h, rest.remaining_ms), (2, 29 * MINUTE));
    assert_eq!(rests(&record, now.plus_ms(31 * MINUTE)), None);
    // What was measured on the other node says nothing of this one.
    assert_eq!(last_change(std::slice::from_ref(&record), &"cart".into()), Some(now));
    assert!(over < now);
}
