//! Watches: each keeps what is needed of one kind of object, and knows how fresh it is.
pub(crate) mod answers;
mod heard;
pub(crate) mod news;
mod store;

pub(crate) use heard::Heard;
pub(crate) use news::Told;

use crate::{
    Clock,
    error::{ClusterError, in_full, remedy},
    objects::{Keep, Kind, Manifest},
};
use foremesh_core::time::Timestamp;
use futures::StreamExt;
use kube::{
    Api, Client,
    runtime::{
        WatchStreamExt,
        watcher::{self, Config, watcher},
    },
};
use std::{pin::pin, sync::Arc, time::Duration};
use store::{Failure, Store};
use tokio::task::JoinSet;

/// Seconds after which a watch is ended and taken up again where it was. So an idle watch is heard of that often, and a
/// connection that died in silence is found.
const WATCH_SECONDS: u32 = 30;

/// Longest time for which a watch may not be heard of and still counts as one that works: it ends by itself, and has as long
/// again to be taken up.
const LIVE_FOR: u64 = 2;

/// Time until it is looked again for a kind that the server does not know.
const ABSENT_AGAIN: Duration = Duration::from_secs(60);

/// Longest time without an object before a streamed list is complete. A server that does not know them may answer as if it
/// did, and one with an old etcd waits for what etcd never says; neither ever says that the list is complete.
const STREAMED_LIST_QUIET: Duration = Duration::from_secs(5);

/// Time until a list is read again of which something could not be read.
const LIST_AGAIN: Duration = Duration::from_secs(30);

/// A watch of one kind in all namespaces.
#[derive(Debug)]
pub(crate) struct Watch<T> {
    store: Arc<Store<T>>,
    kind: Kind,
    since: Timestamp,
    seconds: u32,
}

/// How a watch is made.
#[derive(Clone, Debug)]
pub(crate) struct How {
    /// Labels of the objects that are watched; of all when empty.
    pub(crate) labels: String,
    /// After how long it is ended and taken up again where it was.
    pub(crate) seconds: u32,
    /// Who is told of changes.
    pub(crate) told: Option<Told>,
}

impl Default for How {
    fn default() -> Self {
        Self { labels: String::new(), seconds: WATCH_SECONDS, told: None }
    }
}

/// What a watch holds.
#[derive(Debug)]
pub(crate) struct Held<T> {
    pub(crate) objects: Vec<Arc<T>>,
    /// When the API server was last heard of it.
    pub(crate) at: Timestamp,
}

impl<T: Keep> Watch<T> {
    /// Starts a watch, as one of these tasks.
    pub(crate) fn start(client: &Client, heard: &Heard, clock: &Clock, tasks: &mut JoinSet<()>) -> Self {
        Self::start_as(client, heard, clock, tasks, How::default())
    }

    /// The same in another way.
    pub(crate) fn start_as(
        client: &Client,
        heard: &Heard,
        clock: &Clock,
        tasks: &mut JoinSet<()>,
        how: How,
    ) -> Self {
        let store = Arc::new(Store::telling(how.told));
        let api = Api::all_with(client.clone(), &T::KIND);
        let mut config = Config::default().timeout(how.seconds);
        if !how.labels.is_empty() {
            config = config.labels(&how.labels);
        }
        tasks.spawn(follow(api, config, Arc::clone(&store), heard.clone(), Arc::clone(clock)));
        Self { store, kind: T::KIND, since: clock(), seconds: how.seconds }
    }

    /// Whether the server did not know the kind when it was asked last, and never has.
    pub(crate) fn is_absent(&self) -> bool {
        self.store.is_absent()
    }

    /// Whether it is complete, does not fail, and was heard of not long ago.
    pub(crate) fn is_live(&self, heard: &Heard, now: Timestamp) -> bool {
        let (listed, last_failed, lost) = self.store.state_of();
        let Some(last) = heard.last(&self.kind.path()) else { return false };
        let failing = last_failed.is_some_and(|failed| last <= failed);
        let within = i64::try_from(u64::from(self.seconds) * LIVE_FOR * 1000).unwrap_or(i64::MAX);
        listed && !lost && !failing && now.ms_since(last) <= within
    }

    /// All that it holds, however old that is.
    pub(crate) fn all(&self) -> Vec<Arc<T>> {
        self.store.held().objects.unwrap_or_default()
    }

    /// One object as it was when it was last heard of, however long ago that is.
    pub(crate) fn get(&self, namespace: &str, name: &str) -> Option<Arc<T>> {
        self.store.get(namespace, name)
    }

    /// What it holds, if that is complete and fresh.
    ///
    /// # Errors
    /// Names the watch, what is wrong, and since when.
    pub(crate) fn held(
        &self,
        heard: &Heard,
        now: Timestamp,
        stale_after: Duration,
    ) -> Result<Held<T>, ClusterError> {
        let error = |what: String, failure: Option<Failure>| {
            let object = format!("watch of {}", self.kind.plural);
            match failure {
                Some(Failure { since, error, remedy, .. }) => {
                    let seconds = now.ms_since(since) / 1000;
                    ClusterError::new(
                        object,
                        format!("{what}, and it fails since {seconds} s: {error}"),
                        remedy,
                    )
                }
                None => {
                    ClusterError::new(object, what, "check that the API server answers and is not overloaded")
                }
            }
        };
        let held = self.store.held();
        let last = heard.last(&self.kind.path());
        // A quiet watch that was taken up again has no event that would end its failure.
        let failure = held.failure.filter(|failure| last.is_none_or(|last| last <= failure.last));
        let (Some(objects), Some(at)) = (held.objects, last) else {
            let seconds = now.ms_since(self.since) / 1000;
            return Err(error(format!("its first list is not complete after {seconds} s"), failure));
        };
        if let Some(lost) = held.lost {
            let object = format!("watch of {}", self.kind.plural);
            return Err(ClusterError::new(
                object,
                lost,
                "use a version of Kubernetes that Foremesh knows, or report it",
            ));
        }
        let age_ms = now.ms_since(at);
        if i128::from(age_ms) > i128::try_from(stale_after.as_millis()).unwrap_or(i128::MAX) {
            return Err(error(format!("nothing was heard of it for {} s", age_ms / 1000), failure));
        }
        Ok(Held { objects, at })
    }
}

/// Follows one kind for ever. The list is streamed where the server can: it then never holds all of it at once.
async fn follow<T: Keep>(
    api: Api<Manifest<T::Spec, T::Status>>,
    config: Config,
    store: Arc<Store<T>>,
    heard: Heard,
    clock: Clock,
) {
    let failed = |error: &watcher::Error| note(&store, error, clock(), heard.last(&T::KIND.path()));
    let mut streamed = true;
    loop {
        let ended = if streamed {
            let wait = async {
                let mut had = store.coming();
                loop {
                    tokio::time::sleep(STREAMED_LIST_QUIET).await;
                    if store.is_listed() {
                        // It works: the other branch goes on.
                        std::future::pending::<()>().await;
                    }
                    let has = store.coming();
                    if has == had {
                        return;
                    }
                    had = has;
                }
            };
            tokio::select! {
                ended = events(api.clone(), config.clone().streaming_lists(), &store, failed, true) => ended,
                () = wait => Ended::NotStreamed,
            }
        } else {
            events(api.clone(), config.clone(), &store, failed, false).await
        };
        match ended {
            Ended::NotStreamed => {
                tracing::debug!(
                    kind = T::KIND.plural,
                    "the server does not stream lists; they are read in pages"
                );
                streamed = false;
            }
            Ended::Unread => tokio::time::sleep(LIST_AGAIN).await,
            Ended::Absent => {
                store.set_absent();
                tokio::time::sleep(ABSENT_AGAIN).await;
            }
        }
    }
}

/// Why a watch must be begun anew.
enum Ended {
    /// The server does not stream lists.
    NotStreamed,
    /// A change was missed, which only a new list brings back.
    Unread,
    /// The server does not know the kind.
    Absent,
}

/// Takes in events until the watch must be begun anew.
async fn events<T: Keep>(
    api: Api<Manifest<T::Spec, T::Status>>,
    config: Config,
    store: &Store<T>,
    failed: impl Fn(&watcher::Error),
    streamed: bool,
) -> Ended {
    let mut events = pin!(watcher(api, config).default_backoff());
    while let Some(event) = events.next().await {
        match event {
            Ok(event) => store.take(event),
            Err(error) => {
                if streamed && refuses_streamed_lists(&error) {
                    return Ended::NotStreamed;
                }
                failed(&error);
                // An API server that has just started does not know for a moment what it knew before.
                if is_absent(&error) && !store.is_listed() {
                    return Ended::Absent;
                }
                if is_unread(&error) {
                    return Ended::Unread;
                }
            }
        }
    }
    // A watcher never ends by itself.
    Ended::Unread
}

/// An event could not be read. The watcher would go on after it, and what is held would be wrong without a word. What
/// cannot be read as an event is tried as a status, of which all fields may be missing, so it comes as an error of the
/// API server as well.
fn is_unread(error: &watcher::Error) -> bool {
    matches!(error, watcher::Error::WatchFailed(source) if !matches!(source, kube::Error::ReadEvents(_)))
}

fn is_absent(error: &watcher::Error) -> bool {
    matches!(
        error,
        watcher::Error::InitialListFailed(kube::Error::Api(status))
        | watcher::Error::WatchStartFailed(kube::Error::Api(status))
        if status.code == 404
    )
}

fn note<T: Keep>(store: &Store<T>, error: &watcher::Error, now: Timestamp, heard: Option<Timestamp>) {
    let text = in_full(error);
    let remedy = match error {
        watcher::Error::InitialListFailed(source)
        | watcher::Error::WatchStartFailed(source)
        | watcher::Error::WatchFailed(source) => remedy(source, T::KIND.plural),
        _ => "check that the API server answers and is not overloaded".to_owned(),
    };
    tracing::debug!(kind = T::KIND.plural, error = text, "watch failed; it is taken up again");
    store.fail(Failure { since: now, last: now, error: text, remedy }, is_unread(error), heard);
}

/// Servers that do not know streamed lists, or have them turned off, call the request invalid.
fn refuses_streamed_lists(error: &watcher::Error) -> bool {
    matches!(
        error,
        watcher::Error::WatchStartFailed(kube::Error::Api(status)) if matches!(status.code, 400 | 422)
    )
}
