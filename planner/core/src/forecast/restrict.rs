//! Leave only some models a say: operators may name those that they trust.
use super::{
    candidates::{CANDIDATES, NAMES},
    experts::Expert,
    forecaster::Forecaster,
    model::Fitted,
};

/// The only models that count.
#[derive(Clone, Debug, Default)]
pub(super) struct Chosen {
    /// Their names; empty for all models.
    names: Vec<String>,
    /// Whether one part of the horizon at least is forecast by others, since none of them can say anything.
    pub(super) fell_back: bool,
}

impl Chosen {
    pub(super) fn all(&self) -> bool {
        self.names.is_empty()
    }

    /// Infinite errors for all that were not chosen; `None` when that leaves nobody.
    pub(super) fn only(
        &self,
        ratios: &[f32; CANDIDATES],
        experts: &[Expert],
        of_experts: &[f32],
    ) -> Option<([f32; CANDIDATES], Vec<f32>)> {
        let has = |name: &str| self.names.iter().any(|chosen| chosen == name);
        let mut left = *ratios;
        for (ratio, name) in left.iter_mut().zip(NAMES) {
            if !has(name) {
                *ratio = f32::INFINITY;
            }
        }
        let mut experts_left = of_experts.to_vec();
        for (ratio, expert) in experts_left.iter_mut().zip(experts) {
            // One that says nothing now would leave a hole.
            if !has(&expert.name) || expert.ahead.iter().any(|said| said.is_nan()) {
                *ratio = f32::INFINITY;
            }
        }
        let somebody = left.iter().chain(&experts_left).any(|ratio| ratio.is_finite());
        somebody.then_some((left, experts_left))
    }
}

impl Forecaster {
    /// From now on only the models of these names have a say; all when there are none. Where none of them can say
    /// anything, because it waits for history or failed, all of them do: see [`Self::fell_back`].
    pub fn restrict(&mut self, names: &[String]) {
        if self.chosen.names != names {
            self.chosen = Chosen { names: names.to_vec(), fell_back: false };
            self.refit();
        }
    }

    /// Whether other models than those that it was restricted to are in use for a part of the horizon.
    pub fn fell_back(&self) -> bool {
        self.chosen.fell_back
    }

    /// [`Self::attach`] for a model that was fitted to the first `fitted_to` of `values`, which end with the newest
    /// value. It is shown the others one by one, and what it says about them on the way is judged as always, so that it
    /// takes part at once when there are enough.
    pub fn attach_judged(&mut self, name: &str, model: Box<dyn Fitted>, values: &[f64], fitted_to: usize) {
        let fitted_to = fitted_to.min(values.len());
        let warm = fitted_to.saturating_sub(2 * self.shape.horizon);
        let shown = (values.len() - warm) as u64;
        let (Some(scale), true) = (self.scale, shown <= self.memory.steps) else {
            let mut model = model;
            values[fitted_to..].iter().for_each(|value| model.update(*value, &[]));
            self.attach(name, model);
            return;
        };
        // The others are compared on a copy without a season: only their errors count here, as the measure of its own.
        let mut copy = Self::new(super::Shape { season: None, ..self.shape });
        copy.scale = Some(scale);
        copy.next_scale = u64::MAX;
        copy.memory.start_at(self.memory.steps - shown);
        values[warm..fitted_to].iter().for_each(|value| copy.observe(*value));
        copy.attach(name, model);
        values[fitted_to..].iter().for_each(|value| copy.observe(*value));
        self.experts.retain(|expert| expert.name != name);
        self.experts.extend(copy.experts.pop());
        self.refit();
    }
}
