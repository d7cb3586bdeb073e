//! Which summaries of each proxy worker were received: each is counted once, and what is missing is known.
//!
//! A stream is one epoch of one proxy. Received are all sequences up to the highest but those in the gaps; the gaps
//! are kept as ranges, so a jump costs one entry however long it is.
use foremesh_core::time::Timestamp;
use foremesh_summary::wire::{Proxy, WindowSummary};
use std::collections::{BTreeMap, HashMap, HashSet};

/// Gaps that are remembered for a stream. A proxy sends one summary at a time and makes none; this is for senders
/// that reorder, and 256 ranges are far more than any in flight.
const MAX_GAPS: usize = 256;

/// What is known of one worker of one proxy.
#[derive(Clone, Debug, PartialEq)]
pub struct ProxyStream {
    /// Who sends, as the newest summary says.
    pub proxy: Proxy,
    /// The life of the worker's recorder.
    pub epoch: u64,
    /// When its first summary arrived, by the planner's clock.
    pub first_seen: Timestamp,
    /// When its last summary arrived, duplicates included, by the planner's clock.
    pub last_seen: Timestamp,
    /// Highest sequence received.
    pub newest_sequence: u64,
    /// Summaries below the highest sequence that were not received.
    pub missing: u64,
    /// Summaries received and counted.
    pub summaries: u64,
    /// Observations in them.
    pub observations: u64,
    /// Observations that the sender had made in all at its newest summary.
    pub cumulative: u64,
    /// Observations that the sender made after its first contact with this store and that were not received: what was
    /// lost, or is still under way out of order.
    pub lost: u64,
    /// Observations from before the first contact: acknowledged by another store, or by this one before it forgot
    /// the stream.
    pub before_first: u64,
    /// Summaries that were received again.
    pub duplicates: u64,
    /// Observations counted in the overflow route, as the newest summary says.
    pub overflow: u64,
    /// Pushes without an acknowledgement, as the newest summary says.
    pub failed_pushes: u64,
    /// Observations whose attributes were read one by one, as the newest summary says.
    pub fallbacks: u64,
    /// What is wrong with the filter's configuration, as the newest summary says; empty when nothing is.
    pub config_error: String,
    /// Summaries whose window was in the future by the planner's clock, and was moved to when they arrived.
    pub ahead: u64,
}

/// The names that make a proxy the same one: its node and zone are what it says of itself, not who it is.
pub(crate) fn identity(proxy: &Proxy) -> [&str; 5] {
    [&proxy.mesh, &proxy.cluster, &proxy.namespace, &proxy.workload, &proxy.pod]
}

/// Whether a sequence is new.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Seen {
    New,
    Duplicate,
    /// At or below this floor, received and lost ones are not told apart.
    Forgotten(u64),
}

/// Which sequences were received.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Sequences {
    pub(crate) highest: u64,
    pub(crate) floor: u64,
    /// First and last sequence of each range that was not received.
    gaps: BTreeMap<u64, u64>,
}

impl Sequences {
    pub(crate) fn seen(&self, sequence: u64) -> Seen {
        if sequence > self.highest {
            Seen::New
        } else if sequence <= self.floor {
            Seen::Forgotten(self.floor)
        } else if self.gap(sequence).is_some() {
            Seen::New
        } else {
            Seen::Duplicate
        }
    }

    fn gap(&self, sequence: u64) -> Option<(u64, u64)> {
        let (&first, &last) = self.gaps.range(..=sequence).next_back()?;
        (sequence <= last).then_some((first, last))
    }

    pub(crate) fn receive(&mut self, sequence: u64) {
        if sequence > self.highest {
            if sequence - self.highest > 1 {
                self.gaps.insert(self.highest + 1, sequence - 1);
            }
            self.highest = sequence;
        } else if let Some((first, last)) = self.gap(sequence) {
            self.gaps.remove(&first);
            if first < sequence {
                self.gaps.insert(first, sequence - 1);
            }
            if sequence < last {
                self.gaps.insert(sequence + 1, last);
            }
        }
        while self.gaps.len() > MAX_GAPS {
            if let Some((_, last)) = self.gaps.pop_first() {
                self.floor = last;
            }
        }
    }

    /// Sequences from `start` up to the highest that were not received.
    fn missing_from(&self, start: u64) -> u64 {
        let missing = |(&first, &last): (&u64, &u64)| (last + 1).saturating_sub(first.max(start));
        self.gaps.iter().map(missing).fold(0, u64::saturating_add)
    }

    /// The gaps as text, such as `3-5,9-9`.
    pub(crate) fn gaps_text(&self) -> String {
        self.gaps.iter().map(|(first, last)| format!("{first}-{last}")).collect::<Vec<_>>().join(",")
    }

    /// Reads what [`Self::gaps_text`] wrote.
    pub(crate) fn from_parts(highest: u64, floor: u64, gaps: &str) -> Option<Self> {
        let range = |text: &str| {
            let (first, last) = text.split_once('-')?;
            Some((first.parse().ok()?, last.parse().ok()?))
        };
        let gaps = gaps.split(',').filter(|text| !text.is_empty()).map(range).collect::<Option<_>>()?;
        Some(Self { highest, floor, gaps })
    }
}

/// One stream with its bookkeeping.
#[derive(Clone, Debug)]
pub(crate) struct Stream {
    pub(crate) sequences: Sequences,
    /// Sequence of the first contact.
    pub(crate) first_sequence: u64,
    /// All but `lost`, `missing` and `newest_sequence`, which follow from the rest when asked.
    pub(crate) known: ProxyStream,
}

impl Stream {
    fn new(message: &WindowSummary, proxy: &Proxy, received: Timestamp) -> Self {
        Self {
            sequences: Sequences::default(),
            first_sequence: message.sequence,
            known: ProxyStream {
                proxy: proxy.clone(),
                epoch: message.epoch,
                first_seen: received,
                last_seen: received,
                newest_sequence: 0,
                missing: 0,
                summaries: 0,
                observations: 0,
                cumulative: 0,
                lost: 0,
                before_first: message.cumulative.saturating_sub(observations(message)),
                duplicates: 0,
                overflow: 0,
                failed_pushes: 0,
                fallbacks: 0,
                config_error: String::new(),
                ahead: 0,
            },
        }
    }

    fn receive(&mut self, message: &WindowSummary, proxy: &Proxy, received: Timestamp) {
        let count = observations(message);
        let known = &mut self.known;
        if message.sequence > self.sequences.highest {
            known.proxy.clone_from(proxy);
            known.cumulative = message.cumulative;
            known.overflow = message.overflow;
            known.failed_pushes = message.failed_pushes;
            known.fallbacks = message.fallbacks;
            known.config_error.clone_from(&message.config_error);
        }
        if message.sequence < self.first_sequence {
            known.before_first = known.before_first.saturating_sub(count);
        }
        self.sequences.receive(message.sequence);
        known.summaries += 1;
        known.observations = known.observations.saturating_add(count);
        known.last_seen = known.last_seen.max(received);
    }

    /// Observations that are missing now.
    pub(crate) fn lost(&self) -> u64 {
        let known = &self.known;
        known.cumulative.saturating_sub(known.observations).saturating_sub(known.before_first)
    }

    pub(crate) fn view(&self) -> ProxyStream {
        ProxyStream {
            newest_sequence: self.sequences.highest,
            missing: self.sequences.missing_from(self.first_sequence),
            lost: self.lost(),
            ..self.known.clone()
        }
    }
}

/// Observations of a summary.
pub(crate) fn observations(message: &WindowSummary) -> u64 {
    message.routes.iter().fold(0, |sum: u64, route| sum.saturating_add(route.observations()))
}

/// Proxy identity and epoch as one key; names hold no control characters, so the separator is safe.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) struct StreamKey(String, u64);

impl StreamKey {
    pub(crate) fn new(proxy: &Proxy, epoch: u64) -> Self {
        Self(identity(proxy).join("\0"), epoch)
    }
}

/// All streams.
#[derive(Debug, Default)]
pub(crate) struct Streams {
    held: HashMap<StreamKey, Stream>,
    changed: HashSet<StreamKey>,
    /// Sum of `lost` over the held streams, kept up to date so that a metric costs nothing.
    lost: u64,
    /// `lost` of the streams that were forgotten.
    lost_before: u64,
}

impl Streams {
    pub(crate) fn seen(&self, key: &StreamKey, sequence: u64) -> Seen {
        self.held.get(key).map_or(Seen::New, |stream| stream.sequences.seen(sequence))
    }

    /// Takes a new summary; its window was moved when `ahead`.
    pub(crate) fn receive(
        &mut self,
        key: StreamKey,
        message: &WindowSummary,
        proxy: &Proxy,
        received: Timestamp,
        ahead: bool,
    ) {
        let stream = self.held.entry(key.clone()).or_insert_with(|| Stream::new(message, proxy, received));
        let before = stream.lost();
        stream.receive(message, proxy, received);
        stream.known.ahead += u64::from(ahead);
        self.lost = self.lost.saturating_add(stream.lost()).saturating_sub(before);
        self.changed.insert(key);
    }

    pub(crate) fn duplicate(&mut self, key: StreamKey, received: Timestamp) {
        if let Some(stream) = self.held.get_mut(&key) {
            stream.known.duplicates += 1;
            stream.known.last_seen = stream.known.last_seen.max(received);
            self.changed.insert(key);
        }
    }

    /// Puts back what was read from the file.
    pub(crate) fn restore(&mut self, stream: Stream) {
        self.lost = self.lost.saturating_add(stream.lost());
        self.held.insert(StreamKey::new(&stream.known.proxy, stream.known.epoch), stream);
    }

    pub(crate) fn any_changed(&self) -> bool {
        !self.changed.is_empty()
    }

    /// Streams that differ from the file.
    pub(crate) fn changed(&self) -> impl Iterator<Item = &Stream> {
        self.changed.iter().filter_map(|key| self.held.get(key))
    }

    /// The file has them all now.
    pub(crate) fn saved(&mut self) {
        self.changed.clear();
    }

    /// Streams to forget: silent since before `oldest`, then the longest silent above `max`.
    pub(crate) fn over_retention(&self, oldest: Timestamp, max: usize) -> Vec<StreamKey> {
        let mut forget: Vec<StreamKey> = Vec::new();
        let mut keep: Vec<(Timestamp, &StreamKey)> = Vec::new();
        for (key, stream) in &self.held {
            if stream.known.last_seen < oldest {
                forget.push(key.clone());
            } else {
                keep.push((stream.known.last_seen, key));
            }
        }
        if keep.len() > max {
            keep.sort_unstable();
            forget.extend(keep.iter().take(keep.len() - max).map(|(_, key)| (*key).clone()));
        }
        forget
    }

    pub(crate) fn get(&self, key: &StreamKey) -> Option<&Stream> {
        self.held.get(key)
    }

    pub(crate) fn forget(&mut self, keys: &[StreamKey]) {
        for key in keys {
            if let Some(stream) = self.held.remove(key) {
                self.lost = self.lost.saturating_sub(stream.lost());
                self.lost_before = self.lost_before.saturating_add(stream.lost());
                self.changed.remove(key);
            }
        }
    }

    /// Observations that are missing now, those of forgotten streams included.
    pub(crate) fn lost(&self) -> u64 {
        self.lost.saturating_add(self.lost_before)
    }

    pub(crate) fn len(&self) -> usize {
        self.held.len()
    }

    /// All streams, by proxy and epoch.
    pub(crate) fn list(&self) -> Vec<ProxyStream> {
        let mut list: Vec<ProxyStream> = self.held.values().map(Stream::view).collect();
        list.sort_by(|a, b| (identity(&a.proxy), a.epoch).cmp(&(identity(&b.proxy), b.epoch)));
        list
    }
}
