//! What is written, given what was read and when.
use crate::lease::{
    LeaseSettings,
    decide::{Next, Record, Seen, held_until, next},
};
use std::time::Duration;

const fn s(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

fn settings() -> LeaseSettings {
    LeaseSettings::new("foremesh", s(15))
}

fn held(holder: &str, duration: Option<u64>) -> Record {
    Record {
        holder: Some(holder.to_owned()).filter(|holder| !holder.is_empty()),
        duration: duration.map(s),
        transitions: 4,
        version: "7".to_owned(),
    }
}

#[test]
fn what_is_written_follows_from_what_was_read_and_when() {
    let follow = |until| Next::Follow { holder: "other".to_owned(), until: s(until) };
    let cases = [
        ("there is none", None, 100, 100, Next::Wait { until: s(115) }),
        ("there is none for a moment", None, 100, 114, Next::Wait { until: s(115) }),
        ("there is none for long", None, 100, 115, Next::Take { transitions: 0 }),
        ("it was given back", Some(held("", Some(1))), 100, 100, Next::Take { transitions: 5 }),
        ("it is mine", Some(held("me", Some(15))), 100, 101, Next::Renew),
        ("it is mine and was not renewed for long", Some(held("me", Some(15))), 100, 200, Next::Renew),
        ("another one has it", Some(held("other", Some(15))), 100, 100, follow(115)),
        ("another one had it a moment ago", Some(held("other", Some(15))), 100, 114, follow(115)),
        ("another one had it", Some(held("other", Some(15))), 100, 115, Next::Take { transitions: 5 }),
        ("another one has it for longer", Some(held("other", Some(60))), 100, 115, follow(160)),
        ("another one does not say for how long", Some(held("other", None)), 100, 114, follow(115)),
    ];
    for (case, record, since, now, expected) in cases {
        let seen = Seen { record, since: s(since) };
        assert_eq!(next("me", &seen, &settings(), s(now)), expected, "{case}");
    }
}

#[test]
fn a_lease_is_as_old_as_its_last_change_was_seen_here() {
    let first = Seen::again(None, Some(held("other", Some(15))), s(100));
    let same = Seen::again(Some(first.clone()), Some(held("other", Some(15))), s(110));
    assert_eq!(same.since, s(100));
    let renewed = Record { version: "8".to_owned(), ..held("other", Some(15)) };
    assert_eq!(Seen::again(Some(same.clone()), Some(renewed), s(112)).since, s(112));
    assert_eq!(Seen::again(Some(same), None, s(113)).since, s(113));
}

#[test]
fn the_holder_stops_a_third_of_the_time_before_others_begin() {
    let settings = settings();
    // Asked at 100, so no other one can have seen it before that.
    let others = Seen { record: Some(held("me", Some(15))), since: s(100) };
    assert_eq!(held_until(s(100), &settings), s(110));
    assert!(matches!(next("other", &others, &settings, s(114)), Next::Follow { .. }));
    assert!(matches!(next("other", &others, &settings, s(115)), Next::Take { .. }));
    assert_eq!(settings.renew_every, s(2));
    // Renewal, two requests that are not answered, and a try again fit between a renewal and giving up.
    assert!(settings.renew_every + settings.request_within * 2 <= s(10));
}
