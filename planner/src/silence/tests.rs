use super::*;
use foremesh_core::topology::Workload;

const LIMIT_MS: i64 = 10_000;
const NOW: Timestamp = Timestamp::from_unix_ms(1_000_000);

fn stream(workload: &str, epoch: u64, first_ago_ms: i64, last_ago_ms: i64) -> ProxyStream {
    ProxyStream {
        proxy: Proxy { workload: workload.to_owned(), pod: format!("{workload}-1"), ..Proxy::default() },
        epoch,
        first_seen: NOW.plus_ms(-first_ago_ms),
        last_seen: NOW.plus_ms(-last_ago_ms),
        newest_sequence: 1,
        missing: 0,
        summaries: 1,
        observations: 1,
        cumulative: 1,
        lost: 0,
        before_first: 0,
        duplicates: 0,
        overflow: 0,
        failed_pushes: 0,
        fallbacks: 0,
        config_error: String::new(),
        ahead: 0,
    }
}

fn key(direction: Direction, caller: &str, callee: &str) -> SeriesKey {
    SeriesKey {
        direction,
        caller: caller.to_owned(),
        callee: callee.to_owned(),
        route: String::new(),
        node: String::new(),
        zone: String::new(),
    }
}

/// Name, streams, what had traffic, and who is silent.
type Case<'a> = (&'a str, &'a [ProxyStream], Vec<SeriesKey>, &'a [&'a str]);

#[test]
fn silence_is_a_fault_only_against_a_witness() {
    let shop_silent = [stream("shop", 1, 90_000, 30_000), stream("edge", 2, 90_000, 0)];
    let edge_silent = [stream("shop", 1, 90_000, 0), stream("edge", 2, 90_000, 30_000)];
    let calls = key(Direction::Outbound, "edge", "shop");
    let called = key(Direction::Inbound, "", "shop");
    let cases: &[Case<'_>] = &[
        ("no traffic, no fault", &shop_silent, vec![], &[]),
        ("its caller saw calls", &shop_silent, vec![calls.clone()], &["shop"]),
        ("the callee saw its calls", &edge_silent, vec![called.clone()], &["edge"]),
        ("others have traffic", &shop_silent, vec![key(Direction::Outbound, "edge", "cart")], &[]),
        ("nobody is silent", &[stream("shop", 1, 90_000, 10_000)], vec![calls.clone()], &[]),
    ];
    for (name, streams, recent, want) in cases {
        let evidence = Evidence {
            streams,
            known: &[calls.clone(), called.clone()],
            recent: &recent.iter().cloned().collect(),
            snapshot: &Snapshot::empty(NOW),
            now: NOW,
            limit_ms: LIMIT_MS,
        };
        let found: Vec<String> =
            silent_proxies(&evidence).into_iter().map(|silent| silent.workload).collect();
        assert_eq!(&found, want, "case: {name}");
    }
}

#[test]
fn a_worker_is_silent_beside_its_sibling_but_not_after_a_restart() {
    for (name, streams, want) in [
        (
            "sibling lives on",
            [stream("shop", 1, 90_000, 30_000), stream("shop", 2, 90_000, 0)],
            vec![Some(1)],
        ),
        (
            "silent since its first summary",
            [stream("shop", 1, 90_000, 90_000), stream("shop", 2, 90_000, 0)],
            vec![Some(1)],
        ),
        ("restarted", [stream("shop", 1, 90_000, 30_000), stream("shop", 2, 29_000, 0)], vec![]),
    ] {
        let evidence = Evidence {
            streams: &streams,
            known: &[],
            recent: &BTreeSet::new(),
            snapshot: &Snapshot::empty(NOW),
            now: NOW,
            limit_ms: LIMIT_MS,
        };
        let found: Vec<Option<u64>> =
            silent_proxies(&evidence).into_iter().map(|silent| silent.worker).collect();
        assert_eq!(found, want, "case: {name}");
    }
}

#[test]
fn the_report_says_how_it_is_known_and_what_to_do() {
    let evidence = Evidence {
        streams: &[stream("shop", 1, 90_000, 30_000)],
        known: &[],
        recent: &BTreeSet::from([key(Direction::Outbound, "edge", "shop")]),
        snapshot: &Snapshot::empty(NOW),
        now: NOW,
        limit_ms: LIMIT_MS,
    };
    assert_eq!(
        silent_proxies(&evidence)[0].detail,
        "nothing was received for 30 s but `edge` reports calls to it; its filter may have been switched off after a \
         fault: see the proxy's log and its `wasm` statistics, and change its configuration to start the filter again"
    );
}

/// `shop` as it is told by a platform: where its replicas run, and whether it is in a namespace.
fn placed(namespace: Option<&str>, replicas: &[(&str, &str)]) -> Snapshot {
    let mut snapshot = Snapshot::empty(NOW);
    let id = namespace.map_or("shop".to_owned(), |namespace| format!("{namespace}/shop"));
    let replica = |(name, node): &(&str, &str)| (ReplicaId::new(*name), Replica::new((*node).into(), true));
    let service = namespace.map_or("shop".to_owned(), |namespace| format!("shop.{namespace}.svc"));
    let workload = Workload {
        namespace: namespace.map(str::to_owned),
        replicas: replicas.iter().map(replica).collect(),
        ..Workload::new(service.as_str().into())
    };
    snapshot.workloads.insert(id.as_str().into(), workload);
    snapshot
}

#[test]
fn what_is_gone_is_not_silent() {
    let cases = [
        ("plain, still there", placed(None, &[("shop@a", "a")]), "shop", "shop", true),
        ("plain, moved away", placed(None, &[("shop@b", "b")]), "shop", "shop", false),
        ("nobody knows it", Snapshot::empty(NOW), "shop", "shop", true),
        ("pod still there", placed(Some("eu"), &[("p", "a")]), "eu/shop", "shop.eu.svc", true),
        ("another pod on its node", placed(Some("eu"), &[("q", "a")]), "eu/shop", "shop.eu.svc", false),
        ("a namesake is called", placed(Some("eu"), &[("p", "a")]), "eu/shop", "shop.us.svc", false),
    ];
    for (name, snapshot, workload, called, want) in cases {
        let mut silent = stream(workload, 1, 90_000, 30_000);
        silent.proxy.node = "a".to_owned();
        silent.proxy.pod = "p".to_owned();
        let evidence = Evidence {
            streams: &[silent],
            known: &[],
            recent: &BTreeSet::from([key(Direction::Outbound, "edge", called)]),
            snapshot: &snapshot,
            now: NOW,
            limit_ms: LIMIT_MS,
        };
        assert_eq!(silent_proxies(&evidence).len() == 1, want, "case: {name}");
    }
}
