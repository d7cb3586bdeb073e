//! What watches have told, counted by namespace, so that whoever has read something knows when to read it again.
use std::{
    collections::HashMap,
    fmt,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};
use tokio::{sync::watch, time::sleep};

/// Changes come in twos and threes: what is read after the first of them would be read again after the next.
const GATHERED: Duration = Duration::from_millis(100);

/// Counts what is told. Clones are the same.
#[derive(Clone, Debug)]
pub(crate) struct Told(Arc<Counted>);

#[derive(Debug)]
struct Counted {
    counts: Mutex<Counts>,
    woken: watch::Sender<()>,
}

#[derive(Debug, Default)]
struct Counts {
    everywhere: u64,
    within: HashMap<Box<str>, u64>,
}

impl Default for Told {
    fn default() -> Self {
        Self(Arc::new(Counted { counts: Mutex::default(), woken: watch::Sender::new(()) }))
    }
}

impl Told {
    /// Something is different in a namespace.
    pub(crate) fn within(&self, namespace: &str) {
        let mut counts = self.0.counts.lock().unwrap_or_else(PoisonError::into_inner);
        match counts.within.get_mut(namespace) {
            Some(count) => *count += 1,
            None => {
                counts.within.insert(namespace.into(), 1);
            }
        }
        drop(counts);
        self.0.woken.send_replace(());
    }

    /// Something is different that may matter in any namespace.
    pub(crate) fn everywhere(&self) {
        self.0.counts.lock().unwrap_or_else(PoisonError::into_inner).everywhere += 1;
        self.0.woken.send_replace(());
    }

    fn count(&self, namespace: &str) -> u64 {
        let counts = self.0.counts.lock().unwrap_or_else(PoisonError::into_inner);
        counts.everywhere + counts.within.get(namespace).copied().unwrap_or(0)
    }
}

/// How much was told of a namespace up to a moment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Mark(u64);

/// Tells whether anything has changed in a namespace that decides on a move there: its Deployments, pods, services and
/// autoscalers, and the routes and rules of the mesh. It never tells what: that is read.
///
/// A watch is a little behind, so nothing new is no proof that nothing has changed. It only says that reading again is
/// hardly worth it.
#[derive(Clone)]
pub struct News {
    told: Told,
    is_live: Arc<dyn Fn() -> bool + Send + Sync>,
}

impl fmt::Debug for News {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("News").field("told", &self.told).finish_non_exhaustive()
    }
}

impl News {
    /// Of watches that work as long as `is_live` says so.
    pub(crate) fn new(told: Told, is_live: impl Fn() -> bool + Send + Sync + 'static) -> Self {
        Self { told, is_live: Arc::new(is_live) }
    }

    /// What was told up to now; to be asked for before what it is about is read. `None` when one of the watches is not known
    /// to work: then nothing can be said.
    pub fn mark(&self, namespace: &str) -> Option<Mark> {
        (self.is_live)().then(|| Mark(self.told.count(namespace)))
    }

    /// Returns when more is told than up to `mark`, and after `at_most` in any case. Without a mark: after `else_after`.
    pub async fn more(&self, namespace: &str, mark: Option<Mark>, at_most: Duration, else_after: Duration) {
        let Some(mark) = mark else { return sleep(else_after).await };
        let told = async {
            let mut woken = self.told.0.woken.subscribe();
            while self.told.count(namespace) == mark.0 {
                if woken.changed().await.is_err() {
                    return;
                }
            }
            sleep(GATHERED).await;
        };
        // When it takes longer, that is no error.
        let _ = tokio::time::timeout(at_most, told).await;
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use std::sync::atomic::{AtomicBool, Ordering};
    use tokio::time::Instant;

    /// News that a test tells.
    pub(crate) fn news() -> (News, Told, Arc<AtomicBool>) {
        let (told, live) = (Told::default(), Arc::new(AtomicBool::new(true)));
        let is_live = Arc::clone(&live);
        (News::new(told.clone(), move || is_live.load(Ordering::SeqCst)), told, live)
    }

    #[test]
    fn a_mark_stands_until_something_of_its_namespace_or_of_all_is_told_or_a_watch_fails() {
        let (news, told, live) = news();
        let mark = news.mark("shop").unwrap();
        told.within("other");
        assert_eq!(news.mark("shop"), Some(mark));
        told.within("shop");
        let later = news.mark("shop").unwrap();
        assert_ne!(later, mark);
        told.everywhere();
        assert_ne!(news.mark("shop"), Some(later));
        live.store(false, Ordering::SeqCst);
        assert_eq!(news.mark("shop"), None);
    }

    #[tokio::test(start_paused = true)]
    async fn more_is_waited_for_and_not_for_ever() {
        let (news, told, _) = news();
        let (long, short) = (Duration::from_secs(2), Duration::from_millis(300));
        let took = async |mark| {
            let began = Instant::now();
            news.more("shop", mark, long, short).await;
            began.elapsed()
        };
        let mark = news.mark("shop");
        assert!(took(mark).await.abs_diff(long) < Duration::from_millis(5), "nothing is told");
        assert!(took(None).await.abs_diff(short) < Duration::from_millis(5), "nothing can be told");
        told.within("shop");
        assert!(took(mark).await.abs_diff(GATHERED) < Duration::from_millis(5), "it was told before");
        let mark = news.mark("shop");
        let telling = async {
            sleep(Duration::from_secs(1)).await;
            told.within("other");
            sleep(Duration::from_millis(500)).await;
            told.within("shop");
        };
        let (took, ()) = tokio::join!(took(mark), telling);
        assert!(took.abs_diff(Duration::from_millis(1600)) < Duration::from_millis(5), "{took:?}");
    }
}
