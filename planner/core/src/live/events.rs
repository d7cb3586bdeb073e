//! What events do to a live series: when it is learned again, and what is remembered of events long past.
use super::Surroundings;
use crate::{
    calendar::{Effects, Occurrence, Priors, learn},
    time::{Step, Timestamp},
};

/// The history that is learnt from.
#[derive(Clone, Copy)]
pub(super) struct Span {
    pub(super) start: Timestamp,
    /// End of what is taken in now.
    pub(super) end: Timestamp,
    pub(super) step: Step,
    pub(super) season: Option<usize>,
}

/// What is known of the events of one series.
#[derive(Debug, Default)]
pub(super) struct Events {
    effects: Option<Effects>,
    /// Those that the effects are of.
    occurrences: Vec<Occurrence>,
    /// What events did that left the history, or did at another place.
    remembered: Priors,
    /// Whether what they did is to be learned again, and that was put off.
    waits: bool,
}

impl Span {
    /// Occurrences that began before `before` and are within the history at least in part.
    fn begun<'o>(
        &self,
        occurrences: &'o [Occurrence],
        before: Timestamp,
    ) -> impl Iterator<Item = &'o Occurrence> + use<'o> {
        let start = self.start;
        occurrences.iter().filter(move |one| one.start < before && one.end > start)
    }
}

impl Events {
    /// What they do; `None` when none was ever known.
    pub(super) fn effects(&self) -> Option<&Effects> {
        self.effects.as_ref()
    }

    /// Whether learning was put off.
    pub(super) fn wait(&self) -> bool {
        self.waits
    }

    /// Remembers what events did, and that nothing of it was seen at the new place.
    pub(super) fn carry_over(&mut self) {
        if let Some(effects) = self.effects.take() {
            self.remembered = Priors::of([&effects]).or(&self.remembered);
        }
        self.occurrences.clear();
        self.waits = false;
    }

    /// Learns again what must be, and says whether that changes values before `fed_to`. An occurrence that comes into
    /// sight, or leaves the history, changes nothing. Without `relearn` what changes such values is put off, and known
    /// effects stay as they are.
    pub(super) fn learn(
        &mut self,
        history: Span,
        values: impl FnOnce() -> Vec<f64>,
        fed_to: Timestamp,
        around: &Surroundings<'_>,
        relearn: bool,
    ) -> bool {
        let now = around.occurrences;
        let ended = now.iter().any(|one| one.end > fed_to && one.end <= history.end);
        if self.occurrences == now && !ended && !(self.waits && relearn) {
            return false;
        }
        let same_past = history.begun(&self.occurrences, fed_to).eq(history.begun(now, fed_to));
        let due = self.waits || ended || !same_past;
        self.waits = due && !relearn;
        if !due || !relearn {
            let mut effects = self.effects.as_ref().map(|effects| effects.with_occurrences(now));
            let known = |tag: &str| effects.as_ref().is_some_and(|effects| effects.tags().contains_key(tag));
            let of_new_tags: Vec<Occurrence> = now.iter().filter(|one| !known(one.tag())).cloned().collect();
            if !of_new_tags.is_empty() {
                let new = self.learned(history, &values(), &of_new_tags, around);
                match &mut effects {
                    Some(effects) => effects.take_tags_of(new),
                    None => effects = Some(new),
                }
            }
            self.effects = effects;
            self.occurrences = now.to_vec();
            return false;
        }
        self.remember(history, fed_to);
        let learned = self.learned(history, &values(), now, around);
        let nothing = learned.is_empty() && self.effects.as_ref().is_none_or(Effects::is_empty);
        self.effects = Some(learned);
        self.occurrences = now.to_vec();
        !nothing
    }

    /// Remembers what the tags do of which no occurrence is in the history any more.
    fn remember(&mut self, history: Span, fed_to: Timestamp) {
        let Some(effects) = &self.effects else { return };
        let in_sight = |tag: &str| history.begun(&self.occurrences, fed_to).any(|one| one.tag() == tag);
        let left = Priors::of([effects]).only(|tag| !in_sight(tag));
        self.remembered = left.or(&self.remembered);
    }

    fn learned(
        &self,
        history: Span,
        values: &[f64],
        occurrences: &[Occurrence],
        around: &Surroundings<'_>,
    ) -> Effects {
        let Span { start, step, season, .. } = history;
        let priors = self.remembered.or(around.priors);
        let mut occurrences = occurrences.to_vec();
        for one in &mut occurrences {
            // What was seen counts more than what people expected before.
            if self.remembered.get(one.tag()).is_some() {
                one.expected = None;
            }
        }
        learn(around.metric, values, start, step, season, &occurrences, &priors)
    }
}
