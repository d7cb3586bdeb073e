use super::*;

const START: u64 = 1_700_000_000_000;

fn push() -> Push {
    let mut push = Push::new(2000, 42);
    push.phase_ms = 0;
    push
}

/// A push whose body was just sent with token 1.
fn in_flight() -> Push {
    let mut push = push();
    push.frozen(vec![1]);
    push.sent(0, 7, Some(1), START);
    push
}

#[test]
fn a_window_is_frozen_when_it_is_over() {
    let mut push = push();
    assert_eq!(push.due(START + 1000, START, 5, 5), Todo::Wait);
    assert_eq!(push.due(START + 2000, START, 9, 9), Todo::Freeze);
}

#[test]
fn the_first_window_of_two_workers_ends_at_different_times() {
    let [a, b] = [1, 2].map(|seed| Push::new(2000, seed).phase_ms);
    assert!(a != b && a < 2000 && b < 2000, "{a} {b}");
}

#[test]
fn a_window_is_frozen_early_when_traffic_has_stopped() {
    let mut push = push();
    assert_eq!(push.due(START + 500, START, 5, 5), Todo::Wait);
    // A second root context ticks at the same moment; that is no silence.
    assert_eq!(push.due(START + 501, START, 5, 5), Todo::Wait);
    assert_eq!(push.due(START + 1500, START, 6, 6), Todo::Wait, "one more came");
    let mut push = self::push();
    push.due(START + 200, START, 5, 5);
    assert_eq!(push.due(START + 1200, START, 5, 5), Todo::Freeze);
}

#[test]
fn an_idle_window_is_skipped_and_not_sent() {
    let mut push = push();
    assert_eq!(push.due(START + 1999, START, 0, 5), Todo::Wait);
    assert_eq!(push.due(START + 2000, START, 0, 5), Todo::Skip);
}

#[test]
fn one_body_at_a_time_until_it_is_acknowledged() {
    let mut push = in_flight();
    assert_eq!(push.due(START + 2500, START, 100, 100), Todo::Wait);
    assert_eq!(push.answered(1, Some(200), false, START + 2600), Some(Outcome::Acknowledged));
    assert_eq!(push.due(START + 2700, START, 100, 100), Todo::Freeze);
    assert_eq!(push.answered(1, Some(200), false, START + 2800), None, "an answer counts once");
}

#[test]
fn every_failure_keeps_the_body_and_backs_off_longer() {
    for status in [Some(503), Some(404), Some(429), Some(302), None] {
        let mut push = in_flight();
        let mut now = START;
        for (n, base) in [1000, 2000, 4000, 8000, 16_000, 16_000].into_iter().enumerate() {
            let token = n as u32 + 1;
            assert_eq!(push.answered(token, status, false, now), Some(Outcome::Failed));
            assert_eq!(push.unsent().next().map(|(_, body)| body), Some(&[1][..]));
            assert_eq!(push.due(now + base * 3 / 4 - 1, START, 0, 0), Todo::Wait, "{n}");
            now += base * 5 / 4;
            assert_eq!(push.due(now, START, 0, 0), Todo::Send, "{n}");
            push.sent(0, 7, Some(token + 1), now);
        }
        assert_eq!(push.failed(), 6);
    }
}

#[test]
fn a_call_that_cannot_be_started_is_a_failure() {
    let mut push = push();
    push.frozen(vec![1]);
    push.sent(0, 7, None, START);
    assert_eq!((push.failed(), push.pending()), (1, 1));
    assert_eq!(push.due(START + 500, START, 0, 0), Todo::Wait);
    assert_eq!(push.due(START + 1250, START, 0, 0), Todo::Send);
}

#[test]
fn an_answer_that_never_comes_is_a_failure_after_three_seconds() {
    let mut push = in_flight();
    assert_eq!(push.due(START + 2999, START, 0, 0), Todo::Wait);
    assert_eq!(push.due(START + 3000, START, 0, 0), Todo::Wait, "the back-off begins");
    assert_eq!((push.failed(), push.due(START + 4250, START, 0, 0)), (1, Todo::Send));
}

#[test]
fn a_body_that_the_planner_refuses_is_given_up_and_counted() {
    for status in [400, 413, 415, 422] {
        let mut push = in_flight();
        assert_eq!(push.answered(1, Some(status), false, START), Some(Outcome::Refused));
        assert_eq!((push.pending(), push.failed(), push.refused()), (0, 1, 1));
    }
}

#[test]
fn a_refused_compressed_body_is_sent_plain_from_then_on() {
    let mut push = in_flight();
    assert_eq!(push.answered(1, Some(415), true, START), Some(Outcome::Uncompress));
    assert_eq!((push.pending(), push.may_compress()), (1, false));
    push.sent(0, 7, Some(2), START);
    assert_eq!(push.answered(2, Some(400), false, START), Some(Outcome::Refused));
}

#[test]
fn a_clock_that_goes_back_stops_nothing() {
    let mut push = in_flight();
    push.due(START - 3_600_000, START, 1, 1);
    assert_eq!(push.failed(), 1, "the answer is not waited for");
    assert_eq!(push.due(START - 7_200_000, START, 1, 1), Todo::Send);
}

#[test]
fn the_tick_is_half_a_window_but_at_most_a_second() {
    for (interval, tick) in [(500, 250), (2000, 1000), (60_000, 1000)] {
        assert_eq!(Push::new(interval, 1).tick_ms(), tick);
    }
}
