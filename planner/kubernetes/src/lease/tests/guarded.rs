//! Work that goes on only while the lease is held.
use crate::lease::{Leadership, Monotonic, NotLeader};
use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, AtomicUsize, Ordering},
    },
    time::Duration,
};
use tokio::time::sleep;

fn by_hand() -> (Arc<AtomicU64>, Leadership) {
    let now = Arc::new(AtomicU64::new(100));
    let shown = Arc::clone(&now);
    let monotonic: Monotonic = Arc::new(move || Duration::from_secs(shown.load(Ordering::SeqCst)));
    (now, Leadership::new(monotonic))
}

const UNTIL: Duration = Duration::from_secs(110);

#[tokio::test(start_paused = true)]
async fn work_does_not_begin_without_the_lease() {
    let (_, leadership) = by_hand();
    let begun = AtomicUsize::new(0);
    let work = async {
        begun.fetch_add(1, Ordering::SeqCst);
    };
    assert!(leadership.guard(work).await.is_err());
    leadership.drop_it(NotLeader::Other("x".to_owned()));
    let refused = leadership.guard(async {}).await.unwrap_err();
    assert_eq!(refused.to_string(), "this planner is not the leader, `x` is");
    assert_eq!(begun.load(Ordering::SeqCst), 0);
    leadership.hold(UNTIL, "uid", 0);
    assert_eq!(leadership.guard(async { 7 }).await, Ok(7));
}

#[tokio::test(start_paused = true)]
async fn work_that_waits_is_dropped_when_the_lease_ends() {
    let (now, leadership) = by_hand();
    leadership.hold(UNTIL, "uid", 0);
    let steps = Arc::new(AtomicUsize::new(0));
    let counted = Arc::clone(&steps);
    let guarded = leadership.clone();
    let work = tokio::spawn(async move {
        let steps = async {
            loop {
                counted.fetch_add(1, Ordering::SeqCst);
                sleep(Duration::from_secs(3)).await;
            }
        };
        guarded.guard::<()>(steps).await
    });
    sleep(Duration::from_secs(4)).await;
    assert_eq!(steps.load(Ordering::SeqCst), 2);
    // The process stood still: its clock went on, and the next step is due in the same moment as the look at it.
    now.store(110, Ordering::SeqCst);
    sleep(Duration::from_secs(60)).await;
    let lapsed = work.await.unwrap().unwrap_err();
    assert_eq!(lapsed, NotLeader::Unheld("its lease was not renewed in time".to_owned()));
    assert_eq!(steps.load(Ordering::SeqCst), 2, "no step was made after the end");
}

#[tokio::test(start_paused = true)]
async fn work_of_one_term_does_not_go_on_in_the_next() {
    let (now, leadership) = by_hand();
    leadership.hold(UNTIL, "uid", 0);
    leadership.hold(UNTIL + Duration::from_secs(2), "uid", 0);
    assert_eq!(leadership.term().unwrap().number, 1, "a renewal goes on with the term");
    let work = leadership.guard(async {
        sleep(Duration::from_secs(1)).await;
        now.store(115, Ordering::SeqCst);
        leadership.hold(UNTIL + Duration::from_secs(15), "uid", 0);
        sleep(Duration::from_secs(1)).await;
    });
    assert!(work.await.is_err(), "it had ended in between");
    assert_eq!(leadership.term().unwrap().number, 2);
    leadership.hold(UNTIL + Duration::from_secs(15), "uid", 2);
    assert_eq!(leadership.term().unwrap().number, 3, "another one had it in between");
    leadership.failed("the API server is away".to_owned());
    assert!(leadership.term().is_ok(), "one failure does not end it");
}
