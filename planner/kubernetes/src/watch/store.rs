//! What a watch holds.
use super::news::Told;
use crate::objects::{Keep, Manifest, Meta};
use foremesh_core::time::Timestamp;
use kube::runtime::watcher::Event;
use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

/// Objects of one kind, ordered by namespace and name, so that equal clusters give equal snapshots. A list replaces all of
/// them at once when it is complete.
#[derive(Debug)]
pub(super) struct Store<T> {
    state: Mutex<State<T>>,
    /// Who is told of changes.
    told: Option<Told>,
}

#[derive(Debug)]
struct State<T> {
    objects: BTreeMap<Box<str>, Arc<T>>,
    /// Of a list that is not complete yet.
    coming: BTreeMap<Box<str>, Arc<T>>,
    listed: bool,
    /// Why what is held is wrong until the next list of which all could be read.
    lost: Option<String>,
    /// All of the list that is not complete yet, or that was complete last, could be read.
    clean: bool,
    /// The server does not know the kind.
    absent: bool,
    failure: Option<Failure>,
}

/// What went wrong with a watch.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Failure {
    /// When it began.
    pub(super) since: Timestamp,
    /// When it went wrong the last time.
    pub(super) last: Timestamp,
    pub(super) error: String,
    pub(super) remedy: String,
}

/// All that a store knows.
#[derive(Debug)]
pub(super) struct Held<T> {
    /// `None` before the first complete list.
    pub(super) objects: Option<Vec<Arc<T>>>,
    pub(super) lost: Option<String>,
    /// What went wrong since the last event.
    pub(super) failure: Option<Failure>,
}

impl<T> Default for Store<T> {
    fn default() -> Self {
        Self::telling(None)
    }
}

impl<T> Store<T> {
    /// An empty one that tells of changes.
    pub(super) fn telling(told: Option<Told>) -> Self {
        let state = State {
            objects: BTreeMap::new(),
            coming: BTreeMap::new(),
            listed: false,
            lost: None,
            clean: true,
            absent: false,
            failure: None,
        };
        Self { state: Mutex::new(state), told }
    }
}

impl<T: Keep> Store<T> {
    fn state(&self) -> MutexGuard<'_, State<T>> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Tells of a change of one object, or of all of them.
    fn tell(&self, of: Option<&str>) {
        match (&self.told, of) {
            (None, _) => {}
            (Some(told), Some(namespace)) if !T::MATTERS_EVERYWHERE => told.within(namespace),
            (Some(told), _) => told.everywhere(),
        }
    }

    /// Takes in an event.
    pub(super) fn take(&self, event: Event<Manifest<T::Spec, T::Status>>) {
        let keep = |manifest| {
            let object = T::keep(manifest);
            let Meta { namespace, name, .. } = object.meta();
            (format!("{namespace}/{name}").into_boxed_str(), Arc::new(object))
        };
        let namespace = |key: &str| key.split('/').next().unwrap_or_default().to_owned();
        // What is needed is taken out before the lock is.
        match event {
            Event::Init => {
                let mut state = self.state();
                state.coming = BTreeMap::new();
                state.clean = true;
            }
            Event::InitApply(manifest) => {
                let (key, object) = keep(manifest);
                self.state().coming.insert(key, object);
            }
            Event::InitDone => {
                let mut state = self.state();
                state.objects = std::mem::take(&mut state.coming);
                state.listed = true;
                state.absent = false;
                state.lost = state.lost.take().filter(|_| !state.clean);
                state.failure = None;
                drop(state);
                self.tell(None);
            }
            Event::Apply(manifest) => {
                let (key, object) = keep(manifest);
                let of = namespace(&key);
                let mut state = self.state();
                state.objects.insert(key, object);
                state.failure = None;
                drop(state);
                self.tell(Some(&of));
            }
            Event::Delete(manifest) => {
                let (key, _) = keep(manifest);
                let mut state = self.state();
                state.objects.remove(&key);
                state.failure = None;
                drop(state);
                self.tell(Some(&namespace(&key)));
            }
        }
    }

    /// Notes what went wrong. `unread` says that a change was missed by it, `heard` when the server last answered.
    pub(super) fn fail(&self, failure: Failure, unread: bool, heard: Option<Timestamp>) {
        let mut state = self.state();
        if unread {
            state.clean = false;
            state.lost = Some(format!("an object of it could not be read ({})", failure.error));
        }
        // It fails since it began to, unless it has worked meanwhile.
        let before = state.failure.as_ref().filter(|before| heard.is_none_or(|heard| heard <= before.last));
        let since = before.map_or(failure.since, |before| before.since);
        state.failure = Some(Failure { since, ..failure });
    }

    /// Notes that the server does not know the kind.
    pub(super) fn set_absent(&self) {
        self.state().absent = true;
    }

    /// Whether a list is complete, when it went wrong last, and whether something of it is lost.
    pub(super) fn state_of(&self) -> (bool, Option<Timestamp>, bool) {
        let state = self.state();
        (state.listed, state.failure.as_ref().map(|failure| failure.last), state.lost.is_some())
    }

    /// Whether the server does not know the kind.
    pub(super) fn is_absent(&self) -> bool {
        self.state().absent
    }

    /// One object, whatever the state of the watch.
    pub(super) fn get(&self, namespace: &str, name: &str) -> Option<Arc<T>> {
        self.state().objects.get(format!("{namespace}/{name}").as_str()).cloned()
    }

    /// Objects so far of a list that is not complete yet.
    pub(super) fn coming(&self) -> usize {
        self.state().coming.len()
    }

    pub(super) fn is_listed(&self) -> bool {
        self.state().listed
    }

    pub(super) fn held(&self) -> Held<T> {
        let state = self.state();
        Held {
            objects: state.listed.then(|| state.objects.values().cloned().collect()),
            lost: state.lost.clone(),
            failure: state.failure.clone(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::objects::Service;
    use serde_json::json;

    fn service(name: &str) -> Manifest<<Service as Keep>::Spec, <Service as Keep>::Status> {
        serde_json::from_value(json!({"metadata": {"name": name, "uid": name}, "spec": {}})).unwrap()
    }

    fn names(store: &Store<Service>) -> Option<Vec<String>> {
        Some(store.held().objects?.iter().map(|service| service.meta.name.clone()).collect())
    }

    fn failure(at: i64) -> Failure {
        let (since, error) = (Timestamp::from_unix_ms(at), format!("error {at}"));
        Failure { since, last: since, error, remedy: String::new() }
    }

    #[test]
    fn a_list_counts_when_it_is_complete_and_replaces_what_was_held() {
        let store = Store::<Service>::default();
        store.take(Event::Init);
        store.take(Event::InitApply(service("a")));
        assert_eq!(names(&store), None, "half a list is no list");
        store.take(Event::InitDone);
        for name in ["d", "b", "c", "b"] {
            store.take(Event::Apply(service(name)));
        }
        assert_eq!(names(&store).unwrap(), ["a", "b", "c", "d"], "in the order of their names");
        store.take(Event::Delete(service("c")));
        store.take(Event::Delete(service("d")));
        store.take(Event::Delete(service("a")));
        assert_eq!(names(&store).unwrap(), ["b"]);
        store.take(Event::Init);
        store.take(Event::InitApply(service("c")));
        assert_eq!(names(&store).unwrap(), ["b"], "the last complete list stands until the next is complete");
        store.take(Event::InitDone);
        assert_eq!(names(&store).unwrap(), ["c"]);
    }

    #[test]
    fn a_failure_lasts_from_its_first_error_to_the_next_event() {
        let store = Store::<Service>::default();
        store.take(Event::Init);
        store.take(Event::InitDone);
        let at = Timestamp::from_unix_ms;
        for (failed, heard, since) in
            [(10, None, 10), (20, Some(5), 10), (30, Some(25), 30), (40, Some(25), 30)]
        {
            store.fail(failure(failed), false, heard.map(at));
            let held = store.held().failure.unwrap();
            assert_eq!(
                (held.since, held.last, held.error),
                (at(since), at(failed), format!("error {failed}"))
            );
        }
        store.take(Event::Apply(service("a")));
        assert_eq!(store.held().failure, None);
    }

    #[test]
    fn an_object_that_could_not_be_read_is_lost_until_the_next_list() {
        let store = Store::<Service>::default();
        store.take(Event::Init);
        store.take(Event::InitDone);
        store.fail(failure(1), true, None);
        store.take(Event::Apply(service("a")));
        assert_eq!(store.held().lost.unwrap(), "an object of it could not be read (error 1)");
        store.take(Event::Init);
        store.fail(failure(2), true, None);
        store.take(Event::InitDone);
        assert_eq!(store.held().lost.unwrap(), "an object of it could not be read (error 2)");
        store.take(Event::Init);
        store.take(Event::InitDone);
        assert_eq!(store.held().lost, None);
    }
}
