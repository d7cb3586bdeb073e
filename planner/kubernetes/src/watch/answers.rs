//! Answers to what rollouts ask again and again, kept while nothing is heard that could change them.
//!
//! An answer is always what was read of the API server. It is given again as long as the watches that would tell of a change
//! work and have told nothing, and only for some seconds, because a watch may be silent for another reason. Whoever is about
//! to do something clears them first.
use super::news::{Mark, News};
use std::{
    collections::BTreeMap,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};
use tokio::time::Instant;

/// Longest time for which an answer is given again.
const GIVEN_FOR: Duration = Duration::from_secs(5);

/// Answers by what was asked.
#[derive(Debug)]
pub struct Answers<Q, A> {
    news: News,
    kept: Mutex<BTreeMap<Q, Slot<A>>>,
    given: Arc<AtomicU64>,
}

/// Whoever asks while the same is being asked waits for that answer.
type Slot<A> = Arc<tokio::sync::Mutex<Option<Kept<A>>>>;

#[derive(Debug)]
struct Kept<A> {
    answer: A,
    mark: Mark,
    at: Instant,
}

impl<Q: Ord + Clone, A: Clone> Answers<Q, A> {
    /// None yet. `given` counts those that are given again.
    pub const fn new(news: News, given: Arc<AtomicU64>) -> Self {
        Self { news, kept: Mutex::new(BTreeMap::new()), given }
    }

    /// The answer that was kept, or else what `ask` gives; that is kept when it `is_lasting`, which is when what may change
    /// it in this namespace would be told.
    ///
    /// # Errors
    /// What `ask` ends with; that is never kept.
    pub async fn get<E>(
        &self,
        question: &Q,
        namespace: &str,
        ask: impl Future<Output = Result<A, E>>,
        is_lasting: impl FnOnce(&A) -> bool,
    ) -> Result<A, E> {
        let slot = self.slot(question);
        let mut kept = slot.lock().await;
        // Before anything is read: what changes meanwhile is then told of later.
        let mark = self.news.mark(namespace);
        if let Some(kept) = kept.as_ref()
            && Some(kept.mark) == mark
            && kept.at.elapsed() < GIVEN_FOR
        {
            self.given.fetch_add(1, Ordering::SeqCst);
            return Ok(kept.answer.clone());
        }
        *kept = None;
        let at = Instant::now();
        let answer = ask.await?;
        *kept = mark.filter(|_| is_lasting(&answer)).map(|mark| Kept { answer: answer.clone(), mark, at });
        Ok(answer)
    }

    /// Keeps nothing any more, not even what is being asked at this moment.
    pub fn clear(&self) {
        self.kept.lock().unwrap_or_else(PoisonError::into_inner).clear();
    }

    fn slot(&self, question: &Q) -> Slot<A> {
        Arc::clone(
            self.kept.lock().unwrap_or_else(PoisonError::into_inner).entry(question.clone()).or_default(),
        )
    }
}

#[cfg(test)]
mod tests {
    use super::{super::news::tests::news, *};
    use std::convert::Infallible;

    #[tokio::test(start_paused = true)]
    async fn an_answer_is_given_again_until_something_is_told_or_it_is_old_or_forgotten() {
        let (news, told, live) = news();
        let given = Arc::new(AtomicU64::new(0));
        let answers: Answers<&str, u32> = Answers::new(news, Arc::clone(&given));
        let asks = AtomicU64::new(0);
        let get = async |question: &'static str, lasting: bool| {
            let ask = async {
                asks.fetch_add(1, Ordering::SeqCst);
                Ok::<_, Infallible>(7)
            };
            assert_eq!(answers.get(&question, "shop", ask, |_| lasting).await, Ok(7));
            asks.swap(0, Ordering::SeqCst)
        };
        assert_eq!((get("a", true).await, get("a", true).await, get("b", true).await), (1, 0, 1));
        assert_eq!(given.load(Ordering::SeqCst), 1);
        told.within("other");
        assert_eq!(get("a", true).await, 0);
        told.within("shop");
        assert_eq!((get("a", true).await, get("a", true).await), (1, 0));
        tokio::time::sleep(GIVEN_FOR).await;
        assert_eq!((get("a", true).await, get("a", true).await), (1, 0), "watches may be silent");
        answers.clear();
        assert_eq!(get("a", false).await, 1);
        assert_eq!(get("a", true).await, 1, "one that may change without a word is not kept");
        live.store(false, Ordering::SeqCst);
        assert_eq!((get("a", true).await, get("a", true).await), (1, 1), "a watch does not work");
        live.store(true, Ordering::SeqCst);
        assert_eq!(get("a", true).await, 1, "what was read while it did not is not kept");
    }

    /// Otherwise what is told between the reading and the keeping would be lost.
    #[tokio::test(start_paused = true)]
    async fn what_is_told_while_it_is_asked_counts() {
        let (news, told, _) = news();
        let answers: Answers<&str, u32> = Answers::new(news, Arc::default());
        let ask = async {
            told.within("shop");
            Ok::<_, Infallible>(1)
        };
        assert_eq!(answers.get(&"a", "shop", ask, |_| true).await, Ok(1));
        assert_eq!(answers.get(&"a", "shop", async { Ok::<_, Infallible>(2) }, |_| true).await, Ok(2));
    }

    #[tokio::test(start_paused = true)]
    async fn who_asks_the_same_at_the_same_time_waits_for_one_answer_and_a_cleared_one_is_not_kept() {
        let (news, ..) = news();
        let answers: Answers<&str, u32> = Answers::new(news, Arc::default());
        let slow = async |answer| {
            tokio::time::sleep(Duration::from_secs(1)).await;
            Ok::<_, Infallible>(answer)
        };
        let get = async |answer| answers.get(&"a", "shop", slow(answer), |_| true).await.unwrap();
        assert_eq!(tokio::join!(get(1), get(2)), (1, 1));
        answers.clear();
        let cleared = async {
            tokio::time::sleep(Duration::from_millis(500)).await;
            answers.clear();
        };
        assert_eq!(tokio::join!(get(3), cleared), (3, ()));
        assert_eq!(get(4).await, 4);
    }
}
