//! Several candidates and one API server, each with a clock and a way of its own, in played time.
use super::link::{Link, Way};
use crate::{
    Clock,
    lease::{Elector, Leadership, LeaseSettings, Monotonic, NotLeader},
    moving::played::Stored,
};
use foremesh_core::time::Timestamp;
use std::{
    sync::{Arc, Mutex},
    time::Duration,
};
use tokio::{
    sync::oneshot,
    task::JoinHandle,
    time::{Instant, sleep, timeout},
};

const PATH: &str = "/apis/coordination.k8s.io/v1/namespaces/foremesh/leases/foremesh-planner";
const LEASE: Duration = Duration::from_secs(15);

/// A clock that runs at its own rate and can be stopped, with a zero of its own.
fn clock_of(zero_s: u64, rate: f64) -> Monotonic {
    let begun = Instant::now();
    Arc::new(move || Duration::from_secs(zero_s) + begun.elapsed().mul_f64(rate))
}

/// Wall clocks are hours apart, because nothing must depend on them.
fn wall(hours: i64) -> Clock {
    Arc::new(move || Timestamp::from_unix_ms(1_700_000_000_000 + hours * 3_600_000))
}

struct Candidate {
    link: Link,
    leadership: Leadership,
    stop: Option<oneshot::Sender<()>>,
    task: JoinHandle<()>,
}

impl Candidate {
    fn begin(server: &Stored, me: &str, zero_s: u64, rate: f64) -> Self {
        let link = Link::to(server);
        let settings = LeaseSettings::new("foremesh", LEASE);
        let (monotonic, wall) = (clock_of(zero_s, rate), wall(zero_s.cast_signed()));
        let elector = Elector::new(link.client(), settings, me.to_owned(), monotonic, wall);
        let leadership = elector.leadership();
        let (stop, stopped) = oneshot::channel::<()>();
        let task = tokio::spawn(elector.run(async {
            let _ = stopped.await;
        }));
        Self { link, leadership, stop: Some(stop), task }
    }

    fn leads(&self) -> bool {
        self.leadership.term().is_ok()
    }

    /// As by kill -9.
    fn kill(&self) {
        self.task.abort();
    }

    async fn stop(mut self) {
        let _ = self.stop.take().unwrap().send(());
        self.task.await.unwrap();
    }
}

/// Waits for it, and returns how long that took.
async fn until(what: &str, is_so: impl Fn() -> bool) -> Duration {
    let begun = Instant::now();
    let waited = timeout(Duration::from_secs(60), async {
        while !is_so() {
            sleep(Duration::from_millis(10)).await;
        }
    });
    waited.await.unwrap_or_else(|_| panic!("{what} did not come within a minute"));
    begun.elapsed()
}

/// A server at which one leads, and another one waits.
async fn two(server: &Stored) -> (Candidate, Candidate) {
    let first = Candidate::begin(server, "first", 7, 1.0);
    until("a first leader", || first.leads()).await;
    let second = Candidate::begin(server, "second", 5_000, 1.0);
    sleep(Duration::from_secs(20)).await;
    assert!(first.leads() && !second.leads());
    assert_eq!(second.leadership.term(), Err(NotLeader::Other("first".to_owned())));
    (first, second)
}

#[tokio::test(start_paused = true)]
async fn one_leads_at_a_time_and_says_so_in_the_lease() {
    let server = Stored::default();
    let (first, _second) = two(&server).await;
    let lease = server.object(PATH).unwrap();
    assert_eq!(lease["spec"]["holderIdentity"], "first");
    assert_eq!(lease["spec"]["leaseDurationSeconds"], 15);
    assert_eq!(lease["spec"]["leaseTransitions"], 0);
    assert_eq!(lease["metadata"]["labels"]["app.kubernetes.io/managed-by"], "foremesh");
    assert!(lease["spec"]["renewTime"].as_str().unwrap().starts_with("2023-11-15T05:13:20.0"), "{lease}");
    assert_eq!(first.leadership.term().unwrap().number, 1);
}

#[tokio::test(start_paused = true)]
async fn a_leader_renews_without_reading_until_a_write_fails() {
    let server = Stored::default();
    let first = Candidate::begin(&server, "first", 7, 1.0);
    until("a first leader", || first.leads()).await;
    let reads = |asked: Vec<String>| asked.iter().filter(|asked| asked.starts_with("GET")).count();
    server.asked();
    sleep(Duration::from_secs(20)).await;
    let asked = server.asked();
    assert!(asked.len() >= 9, "{asked:?}");
    assert_eq!(reads(asked), 0);
    // Somebody else writes it, as with an annotation.
    server.store(PATH, server.object(PATH).unwrap());
    sleep(Duration::from_secs(4)).await;
    assert_eq!(reads(server.asked()), 1);
    assert_eq!(first.leadership.term().unwrap().number, 1, "it led all the time");
}

#[tokio::test(start_paused = true)]
async fn a_killed_leader_is_followed_within_seventeen_seconds() {
    let server = Stored::default();
    let (first, second) = two(&server).await;
    first.kill();
    let took = until("the next leader", || second.leads()).await;
    assert!(took > Duration::from_secs(12) && took <= Duration::from_secs(17), "{took:?}");
    assert_eq!(second.leadership.term().unwrap().transitions, 1);
    assert_eq!(server.object(PATH).unwrap()["spec"]["holderIdentity"], "second");
}

#[tokio::test(start_paused = true)]
async fn one_that_ends_in_order_is_followed_at_once() {
    let server = Stored::default();
    let (first, second) = two(&server).await;
    let leadership = first.leadership.clone();
    first.stop().await;
    assert_eq!(
        leadership.term().unwrap_err().to_string(),
        "this planner is not the leader: it is being stopped"
    );
    let took = until("the next leader", || second.leads()).await;
    assert!(took <= Duration::from_secs(3), "{took:?}");
}

#[tokio::test(start_paused = true)]
async fn one_that_is_cut_off_stops_before_another_one_begins() {
    for way in [Way::Mute, Way::Refused, Way::Unanswered] {
        let server = Stored::default();
        let (first, second) = two(&server).await;
        first.link.goes(way);
        let stopped = until("the end of the first", || !first.leads()).await;
        assert!(!second.leads(), "{way:?}");
        assert!(stopped <= Duration::from_secs(10), "{way:?}: {stopped:?}");
        if way == Way::Unanswered {
            // Its renewals arrive, so nobody takes its place; it does not act, because it does not know.
            sleep(Duration::from_secs(60)).await;
            assert!(!first.leads() && !second.leads());
        } else {
            let took = until("the next leader", || second.leads()).await;
            assert!(took >= Duration::from_secs(4), "{way:?}: {took:?} after the first one stopped");
        }
        first.link.goes(Way::Up);
        sleep(Duration::from_secs(5)).await;
        assert_eq!(first.leads(), way == Way::Unanswered, "{way:?}: it follows who leads, or leads again");
    }
}

#[tokio::test(start_paused = true)]
async fn renewals_that_are_lost_now_and_then_change_nothing() {
    let server = Stored::default();
    let (first, second) = two(&server).await;
    for _ in 0..20 {
        first.link.goes(Way::Mute);
        sleep(Duration::from_secs(4)).await;
        first.link.goes(Way::Up);
        sleep(Duration::from_secs(4)).await;
        assert!(first.leads() && !second.leads());
    }
    assert_eq!(first.leadership.term().unwrap().number, 1, "it never stopped to lead");
}

#[tokio::test(start_paused = true)]
async fn one_that_is_paused_finds_itself_without_the_lease() {
    let server = Stored::default();
    let link = Link::to(&server);
    let settings = LeaseSettings::new("foremesh", LEASE);
    let monotonic = clock_of(0, 1.0);
    let mut paused = Elector::new(link.client(), settings, "paused".to_owned(), monotonic, wall(0));
    let leadership = paused.leadership();
    while leadership.term().is_err() {
        let pause = paused.turn().await;
        sleep(pause).await;
    }
    let other = Candidate::begin(&server, "other", 900, 1.0);
    paused.turn().await;
    // Nothing of this process runs for a while, and then everything at once: no turn has been made when it is asked.
    sleep(Duration::from_secs(10)).await;
    assert!(leadership.term().is_err());
    assert!(!other.leads());
    until("the other one", || other.leads()).await;
    paused.turn().await;
    assert_eq!(leadership.term(), Err(NotLeader::Other("other".to_owned())));
}

#[tokio::test(start_paused = true)]
async fn a_lease_that_was_deleted_makes_no_two_leaders() {
    let server = Stored::default();
    let (first, second) = two(&server).await;
    // Right after the first one has renewed, so that it will not look for a while.
    server.remove(PATH);
    let gone = Instant::now();
    while gone.elapsed() < Duration::from_secs(14) {
        assert!(!second.leads());
        sleep(Duration::from_millis(10)).await;
    }
    until("a leader", || first.leads() || second.leads()).await;
    assert!(!(first.leads() && second.leads()));
}

#[tokio::test(start_paused = true)]
async fn a_refusal_says_what_is_missing() {
    let server = Stored::default();
    server.refuse(Some((403, "Forbidden")));
    let one = Candidate::begin(&server, "one", 0, 1.0);
    sleep(Duration::from_secs(1)).await;
    assert_eq!(
        one.leadership.term().unwrap_err().to_string(),
        "this planner is not the leader: Lease foremesh/foremesh-planner: as the test wants: Forbidden; let the \
         planner's account get, create and update leases in namespace foremesh"
    );
    server.refuse(None);
    until("the right", || one.leads()).await;
}

/// A generator of which only the seed is needed to see the same run again.
struct Draws(u64);

impl Draws {
    fn next(&mut self, below: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0 % below
    }
}

#[tokio::test(start_paused = true)]
async fn never_do_two_lead_whatever_breaks() {
    for seed in 1..=20_u64 {
        let server = Stored::default();
        let mut draws = Draws(seed.wrapping_mul(0x9E37_79B9_7F4A_7C15));
        let history = Arc::new(Mutex::new(Vec::new()));
        // Clocks that run 2 % apart.
        let mut all: Vec<_> = [("a", 0, 1.01), ("b", 70, 0.99), ("c", 4_000, 1.0)]
            .map(|(me, zero, rate)| Candidate::begin(&server, me, zero, rate))
            .into();
        let (mut next, mut leaders) = (3, 0_u32);
        for round in 0..100 {
            let which = draws.next(3) as usize;
            let what = draws.next(7);
            history.lock().unwrap().push((round, which, what));
            match what {
                0 => all[which].link.goes(Way::Mute),
                1 => all[which].link.goes(Way::Refused),
                2 => all[which].link.goes(Way::Unanswered),
                3 => {
                    all[which].kill();
                    all[which] = Candidate::begin(&server, &format!("n{next}"), next * 100, 1.0);
                    next += 1;
                }
                _ => all[which].link.goes(Way::Up),
            }
            let length = draws.next(12_000);
            let begun = Instant::now();
            while begun.elapsed() < Duration::from_millis(length) {
                let leading = all.iter().filter(|candidate| candidate.leads()).count();
                assert!(leading <= 1, "seed {seed}: {leading} lead after {:?}", history.lock().unwrap());
                leaders += u32::from(leading == 1);
                sleep(Duration::from_millis(50)).await;
            }
        }
        assert!(leaders > 500, "seed {seed}: hardly ever anybody led");
        for candidate in &all {
            candidate.link.goes(Way::Up);
        }
        until("a leader when all is well again", || all.iter().any(Candidate::leads)).await;
        all.iter().for_each(Candidate::kill);
    }
}
