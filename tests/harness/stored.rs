//! What the planner has stored, and whether it is exactly what was sent.
use foremesh::store::{Counts, ProxyStream, RangeQuery, SeriesStore};
use foremesh_core::time::Timestamp;
use std::collections::{BTreeMap, BTreeSet};

/// A day; no summary is placed further from now.
const DAY_MS: i64 = 86_400_000;

/// Everything in the store at one moment.
#[derive(Clone, Debug, PartialEq)]
pub struct Stored {
    /// Sum over the steps of each level, from the base.
    pub levels: Vec<Counts>,
    /// Sum over the base steps by route name.
    pub routes: BTreeMap<String, Counts>,
    /// Latencies in the histograms of the base steps: one for each observation that finished.
    pub latencies: u64,
    /// What is known of each worker.
    pub streams: Vec<ProxyStream>,
}

impl Stored {
    /// Reads a store.
    pub async fn read(store: &dyn SeriesStore, now: Timestamp) -> Self {
        store.flush(now).await.expect("the store can be flushed");
        let (mut levels, mut routes, mut latencies) = (Vec::new(), BTreeMap::<String, Counts>::new(), 0);
        for (level, _) in store.levels().iter() {
            let (from, to) = (now.plus_ms(-DAY_MS), now.plus_ms(DAY_MS));
            let query = RangeQuery { level, from, to, ..RangeQuery::default() };
            let mut sum = Counts::default();
            for step in store.range(query).await.expect("the store can be read") {
                sum.add(&step.counts);
                if level == 0 {
                    routes.entry(step.key.route.clone()).or_default().add(&step.counts);
                    latencies += step.latency.count();
                }
            }
            levels.push(sum);
        }
        let streams = store.streams().await.expect("the streams can be listed");
        Self { levels, routes, latencies, streams }
    }

    /// All observations, by how they ended.
    pub fn counts(&self) -> Counts {
        self.levels[0]
    }

    /// All observations in the base steps.
    pub fn observations(&self) -> u64 {
        self.counts().all()
    }

    /// What the workers say that they have observed.
    pub fn cumulative(&self) -> u64 {
        self.sum(|stream| stream.cumulative)
    }

    /// Summaries that were received again.
    pub fn duplicates(&self) -> u64 {
        self.sum(|stream| stream.duplicates)
    }

    /// Pushes that got no acknowledgement, by the newest summary of each worker.
    pub fn failed_pushes(&self) -> u64 {
        self.sum(|stream| stream.failed_pushes)
    }

    /// The epochs of all workers that ever sent.
    pub fn epochs(&self) -> BTreeSet<u64> {
        self.streams.iter().map(|stream| stream.epoch).collect()
    }

    /// Asserts that nothing was lost and nothing doubled, in every place that counts: the steps of all levels, the
    /// histograms, what was received of each worker, and what each worker says that it observed.
    ///
    /// # Panics
    /// When any of them is not `sent`.
    pub fn assert_exact(&self, sent: u64) {
        let say = |what: &str| format!("{what} of {sent} observations sent; {}", self.describe());
        for (level, counts) in self.levels.iter().enumerate() {
            assert_eq!(counts.all(), sent, "{}", say(&format!("steps of level {level}")));
        }
        assert_eq!(self.latencies, self.counts().finished(), "{}", say("histograms"));
        assert_eq!(self.sum(|stream| stream.observations), sent, "{}", say("summaries"));
        assert_eq!(self.cumulative(), sent, "{}", say("the workers' own count"));
        assert_eq!(self.sum(|stream| stream.lost), 0, "{}", say("lost"));
        assert_eq!(self.sum(|stream| stream.missing), 0, "{}", say("missing sequences"));
        assert_eq!(self.sum(|stream| stream.before_first), 0, "{}", say("acknowledged elsewhere"));
        assert_eq!(self.sum(|stream| stream.overflow), 0, "{}", say("over the key limit"));
    }

    /// One line on where the counts stand.
    pub fn describe(&self) -> String {
        let steps: Vec<u64> = self.levels.iter().map(Counts::all).collect();
        let streams: Vec<String> = self
            .streams
            .iter()
            .map(|s| {
                format!(
                    "{}/{:x}: {} observed, {} received in {} summaries, {} lost, {} missing, {} duplicates, {} failed",
                    s.proxy.pod,
                    s.epoch,
                    s.cumulative,
                    s.observations,
                    s.summaries,
                    s.lost,
                    s.missing,
                    s.duplicates,
                    s.failed_pushes
                )
            })
            .collect();
        format!("steps hold {steps:?}; workers: [{}]", streams.join("; "))
    }

    fn sum(&self, of: impl Fn(&ProxyStream) -> u64) -> u64 {
        self.streams.iter().map(of).sum()
    }
}
