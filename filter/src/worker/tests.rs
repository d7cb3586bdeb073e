use super::*;
use crate::fake::FakeHost;
use foremesh_summary::{Limits, WindowSummary, decode};
use proptest::prelude::*;
use std::collections::BTreeMap;

const ROOT: u32 = 1;

fn worker(host: &FakeHost) -> Worker {
    let mut worker = Worker::new(host);
    worker.on_configure(host, ROOT);
    worker
}

/// The summaries that were sent, each checked as the planner does.
fn sent(host: &FakeHost) -> Vec<WindowSummary> {
    host.sent.borrow().iter().map(|sent| decode(&sent.body, &Limits::default()).unwrap()).collect()
}

#[test]
fn a_window_is_recorded_frozen_and_sent() {
    let host = FakeHost::new();
    *host.configuration.borrow_mut() = r#"{"planner":"p","interval_ms":1000,"proxy":{"node":"h1"}}"#.into();
    let mut worker = worker(&host);
    assert_eq!(host.tick_ms.get(), 500);
    for code in [200, 404, 500] {
        host.stream("r", code);
        worker.on_log(&host);
    }
    host.pass_ms(1000);
    worker.on_tick(&host, ROOT);
    let [summary] = &sent(&host)[..] else { panic!("one summary") };
    let proxy = summary.proxy.clone().unwrap();
    assert_eq!((proxy.workload.as_str(), proxy.pod.as_str(), proxy.node.as_str()), ("shop", "node-1", "h1"));
    assert_eq!((summary.sequence, summary.cumulative, summary.routes.len()), (1, 3, 1));
    assert_eq!(
        (summary.end_unix_ms - summary.start_unix_ms, host.sent.borrow()[0].cluster.as_str()),
        (1000, "p")
    );
}

#[test]
fn the_identity_of_a_sidecar_comes_from_the_node_metadata() {
    let host = FakeHost::new();
    for (name, value) in [
        ("WORKLOAD_NAME", "cart"),
        ("NAMESPACE", "shop"),
        ("CLUSTER_ID", "Kubernetes"),
        ("MESH_ID", "cluster.local"),
        ("NAME", "cart-abc"),
        ("NODE_NAME", "n1"),
    ] {
        host.set(&format!("xds.node.metadata.{name}"), value.as_bytes());
    }
    host.set("xds.node.locality.zone", b"z1");
    let proxy = identity::read(&host, &crate::config::Overrides::default());
    let all = [
        &proxy.mesh,
        &proxy.cluster,
        &proxy.namespace,
        &proxy.workload,
        &proxy.pod,
        &proxy.node,
        &proxy.zone,
    ];
    assert_eq!(all, ["cluster.local", "Kubernetes", "shop", "cart", "cart-abc", "n1", "z1"]);
    let nothing = identity::read(&FakeHost::default(), &crate::config::Overrides::default());
    assert_eq!((nothing.workload.as_str(), nothing.pod.as_str()), ("unknown", "unknown"));
}

#[test]
fn a_bad_configuration_is_reported_in_the_next_push() {
    let host = FakeHost::new();
    *host.configuration.borrow_mut() = r#"{"max_keys":"many"}"#.into();
    let mut worker = worker(&host);
    host.stream("r", 200);
    worker.on_log(&host);
    host.pass_ms(2000);
    worker.on_tick(&host, ROOT);
    let want = "max_keys is \"many\", must be a whole number from 1 to 4000: 512 is used";
    assert_eq!(sent(&host)[0].config_error, want);
    assert_eq!(host.logs.borrow()[0], format!("plugin configuration: {want}"));
}

#[test]
fn a_proxy_without_expressions_still_observes() {
    let host = FakeHost::new();
    host.cannot_compile.set(true);
    host.set("response.code", &200_u64.to_le_bytes());
    let mut worker = worker(&host);
    worker.on_log(&host);
    assert_eq!((worker.recorder().cumulative(), worker.recorder().fallbacks()), (1, 1));
    assert!(host.logs.borrow()[0].contains("cannot compile"));
}

#[test]
fn the_list_is_compiled_once_and_again_only_when_it_changes() {
    let host = FakeHost::new();
    let mut worker = worker(&host);
    worker.on_configure(&host, 2);
    assert_eq!((host.compiled.borrow().len(), host.forgotten.get()), (1, 0));
    *host.configuration.borrow_mut() = r#"{"peer":true}"#.into();
    worker.on_configure(&host, 3);
    assert_eq!((host.compiled.borrow().len(), host.forgotten.get()), (2, 1));
    assert!(host.compiled.borrow()[1].contains("downstream_peer"));
}

#[test]
fn workers_that_start_together_have_epochs_of_their_own() {
    let host = FakeHost::new();
    let epochs = [1, 2, 3].map(|random| {
        host.random.set(random);
        Worker::new(&host).recorder().epoch()
    });
    assert!(epochs[0] != epochs[1] && epochs[1] != epochs[2]);
    assert_eq!(epochs[0] >> 22, 1_700_000_000_000);
    assert_eq!(new_epoch(0, 0), 1, "never 0");
}

#[test]
fn a_change_of_the_configuration_neither_flushes_nor_loses() {
    let host = FakeHost::new();
    let mut worker = worker(&host);
    host.stream("r", 200);
    worker.on_log(&host);
    worker.on_configure(&host, 2);
    assert!(worker.on_done(&host, ROOT), "the old root context can go");
    assert!(host.sent.borrow().is_empty(), "nothing was flushed");
    worker.on_log(&host);
    host.pass_ms(2000);
    worker.on_tick(&host, ROOT);
    assert!(host.sent.borrow().is_empty(), "a root context that is done does not act");
    worker.on_tick(&host, 2);
    assert_eq!(sent(&host).iter().map(|s| (s.sequence, s.cumulative)).collect::<Vec<_>>(), [(1, 2)]);
}

#[test]
fn the_last_root_context_flushes_and_stays_until_all_is_answered() {
    let host = FakeHost::new();
    let mut worker = worker(&host);
    host.stream("r", 200);
    worker.on_log(&host);
    host.pass_ms(2000);
    worker.on_tick(&host, ROOT);
    worker.on_log(&host);
    assert!(!worker.on_done(&host, ROOT), "two bodies are on their way");
    assert_eq!(sent(&host).iter().map(|s| s.sequence).collect::<Vec<_>>(), [1, 2]);
    worker.on_answer(&host, ROOT, 2, Some(200));
    assert_eq!(host.released.get(), 0);
    worker.on_answer(&host, ROOT, 1, Some(200));
    assert_eq!((host.released.get(), worker.push().pending()), (1, 0));
}

#[test]
fn an_old_root_context_with_a_call_under_way_stays_for_its_answer() {
    let host = FakeHost::new();
    let mut worker = worker(&host);
    host.stream("r", 200);
    worker.on_log(&host);
    host.pass_ms(2000);
    worker.on_tick(&host, ROOT);
    worker.on_configure(&host, 2);
    assert!(!worker.on_done(&host, ROOT));
    worker.on_answer(&host, ROOT, 1, None);
    assert_eq!((host.released.get(), worker.push().pending()), (1, 1));
    host.pass_ms(2000);
    worker.on_tick(&host, 2);
    let bodies = host.sent.borrow();
    assert_eq!((bodies.len(), &bodies[0].body), (2, &bodies[1].body), "resent unchanged by the new one");
}

#[test]
fn large_bodies_are_compressed_until_one_is_refused() {
    let host = FakeHost::new();
    *host.configuration.borrow_mut() = r#"{"host_compression_above_bytes":10}"#.into();
    let mut worker = worker(&host);
    host.stream("r", 200);
    worker.on_log(&host);
    host.pass_ms(2000);
    worker.on_tick(&host, ROOT);
    worker.on_answer(&host, ROOT, 1, Some(400));
    let bodies = host.sent.borrow();
    assert_eq!(bodies.iter().map(|sent| sent.compressed).collect::<Vec<_>>(), [true, false]);
    assert_eq!(bodies[0].body, [b"zlib:", bodies[1].body.as_slice()].concat());
}

#[test]
fn a_refused_summary_is_seen_as_a_gap_in_the_cumulative_count() {
    let host = FakeHost::new();
    let mut worker = worker(&host);
    for (token, status) in [(1, 400), (2, 200)] {
        host.stream("r", 200);
        worker.on_log(&host);
        host.pass_ms(2000);
        worker.on_tick(&host, ROOT);
        worker.on_answer(&host, ROOT, token, Some(status));
    }
    let second = &sent(&host)[1];
    assert_eq!((second.sequence, second.cumulative, second.failed_pushes), (2, 2, 1));
    assert!(host.logs.borrow()[0].contains("status 400"));
}

/// What can happen to a worker.
#[derive(Clone, Debug)]
enum Event {
    Streams(u8),
    Tick(u16),
    /// The oldest call under way gets an answer; with `taken` the planner had it whatever the answer says.
    Answer {
        status: Option<u16>,
        taken: bool,
    },
    /// The oldest call under way never gets an answer, if its root context is gone; a proxy answers all others.
    Silence {
        taken: bool,
    },
    Configure,
    CannotPost(bool),
    ClockBack(u16),
}

fn events() -> impl Strategy<Value = Vec<Event>> {
    let status = prop_oneof![4 => Just(Some(200)), 1 => Just(Some(503)), 1 => Just(None)];
    let event = prop_oneof![
        4 => (1_u8..20).prop_map(Event::Streams),
        6 => (100_u16..3000).prop_map(Event::Tick),
        4 => (status, any::<bool>()).prop_map(|(status, taken)| Event::Answer { status, taken }),
        1 => any::<bool>().prop_map(|taken| Event::Silence { taken }),
        1 => Just(Event::Configure),
        1 => any::<bool>().prop_map(Event::CannotPost),
        1 => any::<u16>().prop_map(Event::ClockBack),
    ];
    prop::collection::vec(event, 0..120)
}

/// A worker, its proxy and a planner that keeps the first copy of each summary.
struct World {
    host: FakeHost,
    worker: Worker,
    root: u32,
    streams: u64,
    /// Calls sent but not answered: token and the root context that sent them.
    under_way: Vec<(u32, u32)>,
    seen: usize,
    planner: BTreeMap<u64, Vec<u8>>,
}

impl World {
    fn new() -> Self {
        let host = FakeHost::new();
        let worker = worker(&host);
        let planner = BTreeMap::new();
        Self { host, worker, root: ROOT, streams: 0, under_way: Vec::new(), seen: 0, planner }
    }

    fn collect(&mut self) {
        let sent = self.host.sent.borrow();
        self.under_way.extend(sent[self.seen..].iter().map(|sent| (sent.token, self.root)));
        self.seen = sent.len();
    }

    fn take(&mut self, token: u32) {
        let body = self.host.sent.borrow()[token as usize - 1].body.clone();
        let summary = decode(&body, &Limits::default()).unwrap();
        let first = self.planner.entry(summary.sequence).or_insert_with(|| body.clone());
        assert_eq!(*first, body, "a summary was resent changed");
    }

    fn run(&mut self, event: &Event) {
        match *event {
            Event::Streams(count) => {
                for at in 0..count {
                    self.host.stream(["a", "b", "c"][usize::from(at) % 3], 200);
                    self.worker.on_log(&self.host);
                    self.streams += 1;
                }
            }
            Event::Tick(ms) => {
                self.host.pass_ms(ms.into());
                self.worker.on_tick(&self.host, self.root);
            }
            Event::Answer { status, taken } => {
                if let Some((token, root)) = self.pop() {
                    if taken || status == Some(200) {
                        self.take(token);
                    }
                    self.worker.on_answer(&self.host, root, token, status);
                }
            }
            Event::Silence { taken } => {
                if let Some((token, root)) = self.pop() {
                    if taken {
                        self.take(token);
                    }
                    if root == self.root {
                        self.worker.on_answer(&self.host, root, token, None);
                    }
                }
            }
            Event::Configure => {
                self.worker.on_configure(&self.host, self.root + 1);
                self.worker.on_done(&self.host, self.root);
                self.root += 1;
            }
            Event::CannotPost(cannot) => self.host.cannot_post.set(cannot),
            Event::ClockBack(ms) => self.host.now_us.set(self.host.now_us.get() - u64::from(ms) * 1000),
        }
        self.collect();
        assert!(self.worker.push().pending() <= 1, "stop and wait");
    }

    fn pop(&mut self) -> Option<(u32, u32)> {
        (!self.under_way.is_empty()).then(|| self.under_way.remove(0))
    }

    /// Lets everything arrive: by ticks, or by the end of the last root context.
    fn settle(&mut self, by_end: bool) {
        self.host.cannot_post.set(false);
        if by_end {
            self.worker.on_done(&self.host, self.root);
            self.collect();
        }
        for _ in 0..100 {
            while let Some((token, root)) = self.pop() {
                self.take(token);
                self.worker.on_answer(&self.host, root, token, Some(200));
            }
            if !by_end {
                self.host.pass_ms(1000);
                self.worker.on_tick(&self.host, self.root);
                self.collect();
            }
        }
    }
}

proptest! {
    #[test]
    fn no_sequence_of_events_loses_or_doubles_an_observation(events in events(), by_end in any::<bool>()) {
        let mut world = World::new();
        for event in &events {
            world.run(event);
        }
        world.settle(by_end);
        let mut total = 0;
        for (at, (sequence, body)) in world.planner.iter().enumerate() {
            let summary = decode(body, &Limits::default()).unwrap();
            prop_assert_eq!(*sequence, at as u64 + 1, "sequences have no gap");
            total += summary.routes.iter().map(foremesh_summary::RouteWindow::observations).sum::<u64>();
            prop_assert_eq!(summary.cumulative, total);
        }
        prop_assert_eq!(total, world.streams);
    }
}
