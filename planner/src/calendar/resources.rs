//! Calendars of a cluster: which are in force, and why the others are not.
//!
//! A calendar moves nothing by itself. So what it said when it was accepted last stays in force while it says nonsense, as with
//! files and feeds.
use super::files::ReadCalendar;
use crate::{kubernetes::acceptance::Acceptance, policies::Confined};
use foremesh_calendar::{CalendarDocument, CalendarSpec, EventCalendar, KIND, Metadata, validate};
use foremesh_core::{
    calendar::Scope,
    document::{API_VERSION, SpecProblem},
    policy::ServiceGlob,
    time::Timestamp,
};
use foremesh_kubernetes::resources::Stored;
use std::{
    collections::{BTreeMap, BTreeSet},
    path::PathBuf,
    sync::Arc,
};

const DAY_MS: i64 = 86_400_000;
/// How far the next event is looked for, first near and then far.
const LOOKED_FOR_MS: [i64; 2] = [31 * DAY_MS, 366 * DAY_MS];

/// What calendars of a cluster are judged by.
#[derive(Clone, Debug)]
pub struct Judging {
    /// The planner's own namespace, whose calendars may have effects on anything; none when it is not known.
    pub namespace: Option<String>,
    /// Domain of the cluster.
    pub domain: String,
}

/// What becomes of a stored calendar.
#[derive(Clone, Debug)]
pub struct JudgedCalendar {
    /// As it is stored.
    pub stored: Arc<Stored>,
    /// In force, or why not.
    pub acceptance: Acceptance,
    /// Events that it has.
    pub events: usize,
    /// What takes place next of it, and when.
    pub next: Option<(String, Timestamp)>,
}

/// The name that a stored calendar goes by.
pub(super) fn name_of(stored: &Stored) -> String {
    format!("{}/{}", stored.namespace, stored.name)
}

/// A stored calendar, checked, with its number of events; `taken` are the names of those of files.
pub(super) fn read(
    stored: &Stored,
    judging: &Judging,
    taken: &BTreeSet<String>,
) -> Result<(ReadCalendar, usize), Acceptance> {
    let name = name_of(stored);
    if taken.contains(&name) {
        let message = format!(
            "a file of the planner has a calendar of the name `{name}`; give one of them another name"
        );
        return Err(Acceptance::no("NameTaken", message));
    }
    let mut spec: CalendarSpec = serde_json::from_value(stored.spec.clone())
        .map_err(|error| Acceptance::no("Unreadable", format!("spec cannot be read: {error}")))?;
    let confined = (judging.namespace.as_ref() != Some(&stored.namespace))
        .then_some(Confined { namespace: &stored.namespace, domain: &judging.domain });
    let mut problems = sources(&spec, confined.is_some());
    if let Some(confined) = confined {
        problems.extend(confine(&mut spec, &confined));
    }
    let events = spec.events.len();
    let document = CalendarDocument {
        api_version: API_VERSION.to_owned(),
        kind: KIND.to_owned(),
        metadata: Metadata { name: name.clone(), labels: BTreeMap::new(), annotations: BTreeMap::new() },
        spec,
    };
    match validate(&document) {
        Ok(calendar) if problems.is_empty() => {
            let place = format!("EventCalendar `{name}`");
            Ok((ReadCalendar { place, base: PathBuf::new(), calendar }, events))
        }
        Ok(_) => Err(Acceptance::problems(&problems)),
        Err(more) => {
            problems.extend(more);
            Err(Acceptance::problems(&problems))
        }
    }
}

/// Where whoever writes a resource may not make the planner read from: its files, and, but for whoever writes in the planner's
/// own namespace, addresses that only the planner can reach.
fn sources(spec: &CalendarSpec, confined: bool) -> Vec<SpecProblem> {
    let mut problems = Vec::new();
    for (index, event) in spec.events.iter().enumerate() {
        let Some(ical) = &event.when.ical else { continue };
        let mut refuse = |field: &str, value: &str, limit: &str, remedy: &str| {
            problems.push(SpecProblem {
                path: format!("spec.events[{index}].when.ical.{field}"),
                value: format!("`{value}`"),
                limit: limit.to_owned(),
                remedy: remedy.to_owned(),
            });
        };
        if let Some(file) = &ical.file {
            refuse("file", file, "a custom resource has no files", "use `url` or `text`");
        }
        if let Some(url) = ical.url.as_ref().filter(|_| confined) {
            let limit = "only calendars of the planner's namespace may have it read from addresses";
            refuse("url", url, limit, "use `text`, or write the calendar in the planner's namespace");
        }
    }
    problems
}

/// Makes the scope of each event one of the namespace.
fn confine(spec: &mut CalendarSpec, to: &Confined<'_>) -> Vec<SpecProblem> {
    let mut problems = Vec::new();
    for (index, event) in spec.events.iter_mut().enumerate() {
        let path = format!("spec.events[{index}].scope");
        let Scope { services, nodes, workloads, .. } = &mut event.scope;
        if !nodes.is_empty() {
            problems.push(SpecProblem {
                path: format!("{path}.nodes"),
                value: "given".to_owned(),
                limit: format!("what is written in namespace `{}` has no effect on nodes", to.namespace),
                remedy: "leave it out, or write the calendar in the planner's namespace".to_owned(),
            });
        }
        if services.is_empty() && workloads.is_empty() {
            (*services, *workloads) = (vec![ServiceGlob::new("*")], vec![ServiceGlob::new("*")]);
        }
        let mut each = |list: &str, globs: &mut Vec<ServiceGlob>, one: Pattern<'_>| {
            // An empty one stays, and is a problem of its own.
            for (at, glob) in globs.iter_mut().enumerate().filter(|(_, glob)| !glob.as_str().is_empty()) {
                match one(&format!("{path}.{list}[{at}]"), glob.as_str()) {
                    Ok(pattern) => *glob = ServiceGlob::new(pattern),
                    Err(problem) => problems.push(problem),
                }
            }
        };
        each("services", services, &|path, pattern| to.service(path, pattern));
        each("workloads", workloads, &|path, pattern| to.workload(path, pattern));
    }
    problems
}

type Pattern<'a> = &'a dyn Fn(&str, &str) -> Result<String, SpecProblem>;

/// What takes place next, and when.
pub(super) fn next(calendar: &EventCalendar, now: Timestamp) -> Option<(String, Timestamp)> {
    LOOKED_FOR_MS.iter().find_map(|ahead| {
        let found = calendar.all_occurrences(now, now.plus_ms(*ahead));
        found.into_iter().find(|one| one.start >= now).map(|one| (one.event, one.start))
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use foremesh_core::calendar::Subject;
    use serde_json::{Value, json};

    fn judging() -> Judging {
        Judging { namespace: Some("foremesh".to_owned()), domain: "cluster.local".to_owned() }
    }

    fn stored(namespace: &str, event: Value) -> Stored {
        let mut event = event;
        event["name"] = json!("sale");
        Stored {
            namespace: namespace.to_owned(),
            name: "c".to_owned(),
            spec: json!({"events": [event]}),
            ..Stored::default()
        }
    }

    fn daily(scope: Value) -> Value {
        json!({"when": {"cron": "0 12 * * *"}, "duration": "1h", "scope": scope})
    }

    #[test]
    fn events_have_effects_in_their_namespace_unless_it_is_the_planners() {
        let subjects = [
            ("cart of shop", Subject::service("cart.shop.svc.cluster.local", "throughput_rps")),
            ("cart of bank", Subject::service("cart.bank.svc.cluster.local", "throughput_rps")),
            (
                "workload",
                Subject { workload: Some("shop/cart"), metric: "cpu_used_millicores", ..Subject::default() },
            ),
            ("node", Subject::node("node-1", "cpu_used_millicores")),
        ];
        for (namespace, scope, want) in [
            ("shop", json!({}), vec!["cart of shop", "workload"]),
            ("shop", json!({"services": ["cart"]}), vec!["cart of shop"]),
            ("shop", json!({"workloads": ["c*"]}), vec!["workload"]),
            ("foremesh", json!({}), vec!["cart of shop", "cart of bank", "workload", "node"]),
            ("foremesh", json!({"services": ["cart.bank*"]}), vec!["cart of bank"]),
        ] {
            let (read, events) =
                read(&stored(namespace, daily(scope.clone())), &judging(), &BTreeSet::new()).unwrap();
            let (from, to) = (Timestamp::from_unix_ms(0), Timestamp::from_unix_ms(DAY_MS));
            let found: Vec<&str> = subjects
                .iter()
                .filter(|(_, subject)| !read.calendar.occurrences(subject, from, to).is_empty())
                .map(|(name, _)| *name)
                .collect();
            assert_eq!((found, events), (want, 1), "{scope} in {namespace}");
            assert_eq!(
                next(&read.calendar, from),
                Some(("sale".to_owned(), Timestamp::from_unix_ms(DAY_MS / 2)))
            );
        }
    }

    #[test]
    fn what_is_not_accepted_says_why() {
        let feed = |ical: Value| json!({"when": {"ical": ical}});
        for (namespace, event, reason, message) in [
            ("shop", daily(json!({"nodes": ["n"]})), "Invalid", "spec.events[0].scope.nodes is given, but"),
            (
                "shop",
                daily(json!({"services": ["pay.bank"]})),
                "Invalid",
                "spec.events[0].scope.services[0] is",
            ),
            (
                "shop",
                daily(json!({"services": [""]})),
                "Invalid",
                "spec.events[0].scope.services[0] is empty",
            ),
            ("shop", feed(json!({"url": "http://10.0.0.1"})), "Invalid", "spec.events[0].when.ical.url is"),
            ("foremesh", feed(json!({"file": "/etc/passwd"})), "Invalid", "spec.events[0].when.ical.file is"),
            (
                "shop",
                json!({"when": {"cron": "0 12 * * *"}}),
                "Invalid",
                "spec.events[0].duration is missing",
            ),
            (
                "shop",
                json!({"when": {"corn": "0 12 * * *"}}),
                "Unreadable",
                "spec cannot be read: unknown field `corn`",
            ),
        ] {
            let refused = read(&stored(namespace, event), &judging(), &BTreeSet::new()).unwrap_err();
            assert_eq!(refused.reason, reason, "{}", refused.message);
            assert!(refused.message.starts_with(message), "{}", refused.message);
        }
        let taken = BTreeSet::from(["shop/c".to_owned()]);
        assert_eq!(
            read(&stored("shop", daily(json!({}))), &judging(), &taken).unwrap_err().reason,
            "NameTaken"
        );
        assert!(
            read(&stored("foremesh", feed(json!({"url": "http://10.0.0.1"}))), &judging(), &taken).is_ok()
        );
    }
}
