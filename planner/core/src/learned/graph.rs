//! Who calls whom, from counts.
use super::{Call, CallGraph};
use crate::ids::ServiceId;
use std::collections::BTreeMap;

/// Requests of a caller without which its calls are not told from chance.
const FEWEST: u64 = 100;

/// By how much the median of what is waited for may pass the caller's own and still be waited for: both are measured.
const SLACK: f64 = 1.25;

/// Calls from one service to another within one window.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CallCount {
    /// The service that calls.
    pub caller: ServiceId,
    /// The service that is called.
    pub callee: ServiceId,
    /// Calls, those made again included.
    pub calls: u64,
    /// Of these, calls made again after a failure.
    pub retries: u64,
}

/// What a service did within the same windows.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Served {
    /// Its requests.
    pub requests: u64,
    /// Their median time in milliseconds, when it was measured.
    pub median_ms: Option<f64>,
}

impl CallGraph {
    /// From all windows together. Calls of services that were hardly called themselves are left out: a job that runs
    /// by itself calls, but no request waits for it.
    ///
    /// Counts do not say whether a caller waits. It cannot be waiting for what takes longer than itself; anything else
    /// it is taken to wait for, and calibration takes up what it does not.
    pub fn fit(counts: &[CallCount], served: &BTreeMap<ServiceId, Served>) -> Self {
        let mut sums: BTreeMap<(&ServiceId, &ServiceId), (u64, u64)> = BTreeMap::new();
        for count in counts.iter().filter(|count| count.caller != count.callee) {
            let (calls, retries) = sums.entry((&count.caller, &count.callee)).or_default();
            *calls += count.calls;
            *retries += count.retries.min(count.calls);
        }
        let mut graph: BTreeMap<ServiceId, Vec<Call>> = BTreeMap::new();
        for ((caller, callee), (calls, retries)) in sums {
            let Some(by) = served.get(caller).filter(|by| by.requests >= FEWEST) else { continue };
            let first = calls - retries;
            if first == 0 {
                continue;
            }
            let per_request = first as f64 / by.requests as f64;
            let each = served.get(callee).and_then(|served| served.median_ms);
            let waits = match (each, by.median_ms) {
                // Less than one call for each request says nothing of the median.
                (Some(each), Some(own)) if per_request >= 1.0 => per_request.floor() * each <= own * SLACK,
                _ => true,
            };
            let retries = retries as f64 / first as f64;
            let call = Call { callee: callee.clone(), per_request, retries, waits };
            graph.entry(caller.clone()).or_default().push(call);
        }
        Self(graph)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn count(caller: &str, callee: &str, calls: u64, retries: u64) -> CallCount {
        CallCount { caller: caller.into(), callee: callee.into(), calls, retries }
    }

    #[test]
    fn calls_are_counted_for_each_request_of_the_caller() {
        let served = BTreeMap::from([
            ("web".into(), Served { requests: 1000, median_ms: Some(20.0) }),
            ("cart".into(), Served { requests: 2100, median_ms: Some(5.0) }),
            ("mail".into(), Served { requests: 1000, median_ms: Some(90.0) }),
            ("cron".into(), Served { requests: 3, median_ms: None }),
        ]);
        let counts = [
            count("web", "cart", 1000, 50),
            count("web", "cart", 1100, 50),
            count("web", "mail", 1000, 0),
            count("web", "web", 10, 0),
            count("cron", "mail", 500, 0),
        ];
        let graph = CallGraph::fit(&counts, &served);
        let calls = &graph.0[&ServiceId::new("web")];
        assert_eq!(calls.len(), 2);
        assert_eq!(calls[0], Call { callee: "cart".into(), per_request: 2.0, retries: 0.05, waits: true });
        assert!(!calls[1].waits, "nobody waits 90 ms within 20 ms");
        assert_eq!(graph.0.len(), 1);
    }
}
