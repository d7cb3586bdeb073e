//! What one stream wants, has, and is owed. One response is on its way at a time: the next one goes out when the proxy has
//! answered, with all that changed meanwhile, so a slow proxy gets fewer and newer responses and nothing piles up for it.
use crate::endpoints::table::{Resource, Table};
use std::{
    collections::{BTreeSet, HashSet},
    sync::Arc,
};
use tokio::time::Instant;

/// Most clusters of one stream.
pub(super) const MAX_NAMES: usize = 10_000;
/// Longest name of a cluster.
pub(super) const MAX_NAME_BYTES: usize = 1_024;
/// A response is ended once it has so many bytes, so that no message is too long for anybody.
const RESPONSE_BYTES: usize = 1 << 20;

/// One stream.
#[derive(Debug, Default)]
pub(super) struct Session {
    wanted: HashSet<String>,
    /// What must be sent whether it changed or not.
    due: BTreeSet<String>,
    /// The last change that was looked at.
    seen: u64,
    nonce: u64,
    in_flight: Option<InFlight>,
    /// Whether the last answer took what was sent.
    accepted: bool,
}

#[derive(Debug)]
struct InFlight {
    /// When the oldest change in it was made; none when the proxy has asked for all of it.
    since: Option<Instant>,
    clusters: Vec<String>,
}

/// What a proxy said to a response.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Answer {
    /// It has taken what was sent, of which the oldest change was made then.
    Accepted(Option<Instant>),
    /// It goes on with the endpoints that it had for these clusters. They are sent again when they change.
    Refused(Vec<String>),
    /// It has answered this one before with yes: it asks anew for what it wants.
    Again,
    /// It is no answer, or one to a response of long ago.
    None,
}

/// What a proxy asks for is more than it may.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum TooMuch {
    #[error("more than {MAX_NAMES} clusters on one stream; use several streams")]
    Names,
    #[error("the name of a cluster has more than {MAX_NAME_BYTES} bytes; give it a shorter one")]
    Name,
}

/// A response to be sent.
#[derive(Debug)]
pub(super) struct Push {
    pub(super) nonce: String,
    pub(super) resources: Vec<Arc<Resource>>,
}

impl Push {
    /// The version of the whole: that of its newest part.
    pub(super) fn version(&self) -> String {
        self.resources.iter().map(|resource| resource.change).max().unwrap_or(0).to_string()
    }
}

impl Session {
    /// Reads the answer to a response.
    pub(super) fn answer(&mut self, nonce: &str, refused: bool) -> Answer {
        if nonce.parse() != Ok(self.nonce) || self.nonce == 0 {
            return Answer::None;
        }
        match self.in_flight.take() {
            Some(sent) => {
                self.accepted = !refused;
                if refused { Answer::Refused(sent.clusters) } else { Answer::Accepted(sent.since) }
            }
            None if self.accepted && !refused => Answer::Again,
            None => Answer::None,
        }
    }

    /// The proxy wants these clusters and no others. Whether that is a change.
    pub(super) fn want_only(&mut self, names: Vec<String>) -> Result<bool, TooMuch> {
        // An answer says all names again, and they are nearly always the same.
        if names.len() == self.wanted.len() && names.iter().all(|name| self.wanted.contains(name)) {
            return Ok(false);
        }
        let names: HashSet<String> = names.into_iter().collect();
        within_limits(&names)?;
        if names == self.wanted {
            return Ok(false);
        }
        self.due.retain(|name| names.contains(name));
        self.due.extend(names.difference(&self.wanted).cloned());
        self.wanted = names;
        Ok(true)
    }

    /// The proxy wants these clusters too; one that it had already is sent again.
    pub(super) fn want_more(&mut self, names: Vec<String>) -> Result<(), TooMuch> {
        self.due.extend(names.iter().cloned());
        self.wanted.extend(names);
        within_limits(&self.wanted)
    }

    /// The proxy does not want these clusters any more.
    pub(super) fn forget(&mut self, names: &[String]) {
        for name in names {
            self.wanted.remove(name);
            self.due.remove(name);
        }
    }

    /// Everything wanted is to be sent again.
    pub(super) fn repeat(&mut self) {
        self.due.extend(self.wanted.iter().cloned());
    }

    /// Whether nothing can be sent before the proxy has answered.
    pub(super) fn awaits_answer(&self) -> bool {
        self.in_flight.is_some()
    }

    /// What is to be sent now.
    pub(super) fn next(&mut self, table: &Table) -> Option<Push> {
        if self.awaits_answer() {
            return None;
        }
        let asked = self.due.clone();
        let resources = table.take(&mut self.seen, &self.wanted, &mut self.due, RESPONSE_BYTES);
        if resources.is_empty() {
            return None;
        }
        let changed = resources.iter().filter(|resource| !asked.contains(&resource.said.cluster));
        let since = changed.map(|resource| resource.at).min();
        let clusters = resources.iter().map(|resource| resource.said.cluster.clone()).collect();
        self.in_flight = Some(InFlight { since, clusters });
        self.nonce += 1;
        Some(Push { nonce: self.nonce.to_string(), resources })
    }
}

fn within_limits(names: &HashSet<String>) -> Result<(), TooMuch> {
    if names.len() > MAX_NAMES {
        return Err(TooMuch::Names);
    }
    if names.iter().any(|name| name.len() > MAX_NAME_BYTES) { Err(TooMuch::Name) } else { Ok(()) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::endpoints::{Endpoint, Endpoints};
    use foremesh_core::ids::ServiceId;

    /// The nonce, and the weight of each cluster.
    type Sent = (String, Vec<(String, u32)>);

    fn put(table: &Table, service: &str, weight: u32) {
        let endpoint = Endpoint { weight, ..Endpoint::default() };
        let endpoints = [("10.0.0.1:80".parse().unwrap(), endpoint)].into();
        let said = Endpoints { version: 1, cluster: service.to_owned(), endpoints };
        table.publish(&ServiceId::from(service), &said);
    }

    fn names(of: &[&str]) -> Vec<String> {
        of.iter().map(|name| (*name).to_owned()).collect()
    }

    fn sent(session: &mut Session, table: &Table) -> Option<Sent> {
        session.next(table).map(|push| {
            let weight = |resource: &Arc<Resource>| {
                let weight = resource.said.endpoints.values().next().unwrap().weight;
                (resource.said.cluster.clone(), weight)
            };
            (push.nonce.clone(), push.resources.iter().map(weight).collect())
        })
    }

    fn is(nonce: &str, clusters: &[(&str, u32)]) -> Sent {
        let clusters = clusters.iter().map(|(name, weight)| ((*name).to_owned(), *weight));
        (nonce.to_owned(), clusters.collect())
    }

    #[test]
    fn only_what_changed_is_sent_and_one_response_at_a_time() {
        let (table, mut session) = (Table::default(), Session::default());
        put(&table, "a", 1);
        put(&table, "b", 1);
        put(&table, "c", 1);
        assert_eq!(sent(&mut session, &table), None, "nobody has asked");
        assert_eq!(session.want_only(names(&["a", "b", "unknown"])), Ok(true));
        assert_eq!(sent(&mut session, &table), Some(is("1", &[("a", 1), ("b", 1)])));
        put(&table, "b", 2);
        put(&table, "c", 2);
        put(&table, "b", 3);
        assert_eq!(sent(&mut session, &table), None, "the first one is not answered");
        assert_eq!(session.answer("1", false), Answer::Accepted(None));
        assert_eq!(sent(&mut session, &table), Some(is("2", &[("b", 3)])));
        assert!(matches!(session.answer("2", false), Answer::Accepted(Some(_))));
        put(&table, "b", 3);
        assert_eq!(sent(&mut session, &table), None, "the same again is no change");
        put(&table, "unknown", 5);
        assert_eq!(sent(&mut session, &table), Some(is("3", &[("unknown", 5)])), "it was held open");
    }

    #[test]
    fn a_refused_response_is_not_sent_again() {
        let (table, mut session) = (Table::default(), Session::default());
        put(&table, "a", 1);
        session.want_only(names(&["a"])).unwrap();
        assert_eq!(sent(&mut session, &table), Some(is("1", &[("a", 1)])));
        assert_eq!(session.answer("1", true), Answer::Refused(names(&["a"])));
        for _ in 0..3 {
            assert_eq!(session.answer("1", true), Answer::None);
            assert_eq!(session.want_only(names(&["a"])), Ok(false));
            assert_eq!(sent(&mut session, &table), None);
        }
        put(&table, "a", 2);
        assert_eq!(sent(&mut session, &table), Some(is("2", &[("a", 2)])), "a change is tried");
    }

    #[test]
    fn answers_of_long_ago_are_none() {
        let (table, mut session) = (Table::default(), Session::default());
        put(&table, "a", 1);
        session.want_only(names(&["a"])).unwrap();
        for nonce in ["", "0", "1", "7", "x"] {
            assert_eq!(session.answer(nonce, false), Answer::None, "nothing was sent");
        }
        sent(&mut session, &table).unwrap();
        for nonce in ["", "0", "2", "x"] {
            assert_eq!(session.answer(nonce, true), Answer::None);
            assert!(session.awaits_answer());
        }
        assert_eq!(session.answer("1", false), Answer::Accepted(None));
        assert_eq!(session.answer("1", false), Answer::Again);
        session.repeat();
        assert_eq!(
            sent(&mut session, &table),
            Some(is("2", &[("a", 1)])),
            "a cluster that is warmed anew asks again"
        );
    }

    #[test]
    fn names_come_and_go() {
        let (table, mut session) = (Table::default(), Session::default());
        for name in ["a", "b"] {
            put(&table, name, 1);
        }
        session.want_more(names(&["a"])).unwrap();
        assert_eq!(sent(&mut session, &table), Some(is("1", &[("a", 1)])));
        session.answer("1", false);
        session.forget(&names(&["a"]));
        put(&table, "a", 2);
        assert_eq!(sent(&mut session, &table), None, "nobody wants it");
        session.want_more(names(&["a", "b"])).unwrap();
        assert_eq!(sent(&mut session, &table), Some(is("2", &[("a", 2), ("b", 1)])));
        session.answer("2", false);
        session.want_more(names(&["b"])).unwrap();
        assert_eq!(sent(&mut session, &table), Some(is("3", &[("b", 1)])), "asked for again");
    }

    #[test]
    fn endpoints_are_never_taken_away() {
        let (table, mut session) = (Table::default(), Session::default());
        put(&table, "a", 1);
        session.want_only(names(&["a"])).unwrap();
        sent(&mut session, &table).unwrap();
        session.answer("1", false);
        put(&table, "a", 0);
        assert_eq!(sent(&mut session, &table), None);
        let none = Endpoints { version: 9, cluster: "a".to_owned(), endpoints: [].into() };
        table.publish(&ServiceId::from("a"), &none);
        assert_eq!(sent(&mut session, &table), None);
        session.repeat();
        assert_eq!(sent(&mut session, &table), Some(is("2", &[("a", 1)])));
    }

    #[test]
    fn a_stream_has_bounds_and_so_has_a_response() {
        let (table, mut session) = (Table::default(), Session::default());
        let many = |count: usize| (0..count).map(|n| n.to_string()).collect::<Vec<_>>();
        assert_eq!(session.want_only(many(MAX_NAMES + 1)), Err(TooMuch::Names));
        assert_eq!(session.want_only(vec!["x".repeat(MAX_NAME_BYTES + 1)]), Err(TooMuch::Name));
        assert_eq!(session.want_only(many(MAX_NAMES)), Ok(true));
        assert_eq!(session.want_more(names(&["one more"])), Err(TooMuch::Names));
        let mut session = Session::default();
        let long: Vec<String> = (0..2_000).map(|n| format!("{n:0>1000}")).collect();
        for name in &long {
            put(&table, name, 1);
        }
        session.want_only(long).unwrap();
        let mut got = HashSet::new();
        for nonce in 1.. {
            let Some((_, clusters)) = sent(&mut session, &table) else { break };
            assert!(clusters.len() < 1_100, "{}", clusters.len());
            got.extend(clusters.into_iter().map(|(name, _)| name));
            session.answer(&nonce.to_string(), false);
        }
        assert_eq!(got.len(), 2_000, "in several responses");
    }
}
