//! The check of rules.
use super::{Check, LONGEST_MS, MOST_CONDITIONS, MOST_RULES, MOST_STEPS, quoted};
use crate::{
    history::KEPT_QUANTILES,
    policy::{
        Base, Bound, Condition, Consumer, CostSaving, PredictedAvailability, PredictedExhaustion,
        PredictedLatency, PredictedThroughput, PredictedUsage, Resource, Rule, Sustained,
        spec::{
            ConditionSpec, PredictedExhaustionSpec, PredictedLatencySpec, PredictedUsageSpec, RuleSpec,
            SustainedSpec, amount,
        },
    },
    units::{Probability, Quantile},
};
use std::collections::BTreeSet;

/// Names of the conditions, for texts.
const CONDITIONS: &str = "predictedLatency, predictedThroughput, predictedAvailability, predictedUsage, \
                          predictedExhaustion, costSaving";

impl Check {
    pub(in crate::policy::spec) fn rules(&mut self, specs: &[RuleSpec]) -> Vec<Rule> {
        if specs.is_empty() {
            self.problems.add(
                "spec.rules",
                "empty",
                "a policy without a rule never does anything",
                "add a rule",
            );
        }
        self.few("spec.rules", specs.len(), MOST_RULES);
        let mut names = BTreeSet::new();
        let mut rules = Vec::new();
        for (index, spec) in specs.iter().enumerate() {
            let path = format!("spec.rules[{index}]");
            self.short(&format!("{path}.name"), &spec.name);
            if spec.name.trim().is_empty() || !names.insert(&spec.name) {
                let limit = "each rule has a name of its own, which decisions are explained by";
                self.problems.add(&format!("{path}.name"), quoted(&spec.name), limit, "give it another name");
            }
            let when = match &spec.all {
                None => self.condition(&path, &spec.alone(), ", all"),
                Some(parts) if spec.alone() == ConditionSpec::default() => self.all(&path, parts),
                Some(_) => {
                    let limit = "a rule has either one condition or `all` of several";
                    self.problems.add(
                        &path,
                        "`all` and another condition",
                        limit,
                        "move the condition into `all`",
                    );
                    None
                }
            };
            rules.extend(when.map(|when| Rule { name: spec.name.clone(), when }));
        }
        rules
    }

    fn all(&mut self, path: &str, specs: &[ConditionSpec]) -> Option<Condition> {
        if specs.len() < 2 {
            let value = format!("{} conditions", specs.len());
            let limit = "`all` is for two or more";
            self.problems.add(
                &format!("{path}.all"),
                value,
                limit,
                "add one, or write the condition without `all`",
            );
        }
        self.few(&format!("{path}.all"), specs.len(), MOST_CONDITIONS);
        let read =
            specs.iter().enumerate().map(|(at, spec)| self.condition(&format!("{path}.all[{at}]"), spec, ""));
        let parts: Vec<Condition> = read.collect::<Vec<_>>().into_iter().flatten().collect();
        (parts.len() == specs.len() && specs.len() >= 2).then_some(Condition::All(parts))
    }

    /// The one condition of a rule or part of one. `or` names what else it may be.
    fn condition(&mut self, path: &str, spec: &ConditionSpec, or: &str) -> Option<Condition> {
        let given = [
            spec.predicted_latency.is_some(),
            spec.predicted_throughput.is_some(),
            spec.predicted_availability.is_some(),
            spec.predicted_usage.is_some(),
            spec.predicted_exhaustion.is_some(),
            spec.cost_saving.is_some(),
        ];
        let count = given.into_iter().filter(|given| *given).count();
        if count != 1 {
            let value =
                if count == 0 { "without a condition".to_owned() } else { format!("{count} conditions") };
            let limit = format!("it must be exactly one of {CONDITIONS}{or}");
            let remedy = "write one; conditions that must hold together go into `all`";
            self.problems.add(path, value, &limit, remedy);
            return None;
        }
        if let Some(spec) = &spec.predicted_latency {
            return self.latency(&format!("{path}.predictedLatency"), spec).map(Condition::PredictedLatency);
        }
        if let Some(spec) = &spec.predicted_throughput {
            let path = format!("{path}.predictedThroughput");
            let share = self.part(&format!("{path}.belowDemandBy"), &spec.below_demand_by);
            let sustained = self.sustained(&path, spec.sustained, &spec.within, spec.probability);
            let rule = PredictedThroughput { below_demand_by: share?, sustained: sustained? };
            return Some(Condition::PredictedThroughput(rule));
        }
        if let Some(spec) = &spec.predicted_availability {
            let path = format!("{path}.predictedAvailability");
            let below = self.part(&format!("{path}.below"), &spec.below);
            let sustained = self.sustained(&path, spec.sustained, &spec.within, spec.probability);
            let rule = PredictedAvailability { below: below?, sustained: sustained? };
            return Some(Condition::PredictedAvailability(rule));
        }
        if let Some(spec) = &spec.predicted_usage {
            return self.usage(&format!("{path}.predictedUsage"), spec).map(Condition::PredictedUsage);
        }
        if let Some(spec) = &spec.predicted_exhaustion {
            let path = format!("{path}.predictedExhaustion");
            return self.exhaustion(&path, spec).map(Condition::PredictedExhaustion);
        }
        let at_least = spec.cost_saving.as_ref()?.at_least;
        if !(at_least > 0.0 && at_least.is_finite()) {
            let path = format!("{path}.costSaving.atLeast");
            let limit = "a saving is more than 0 money per hour";
            self.problems.add(&path, at_least, limit, "write what makes a move worth its risk");
            return None;
        }
        Some(Condition::CostSaving(CostSaving { at_least }))
    }

    fn latency(&mut self, path: &str, spec: &PredictedLatencySpec) -> Option<PredictedLatency> {
        let kept = KEPT_QUANTILES.iter().find(|kept| (*kept - spec.quantile).abs() < 1e-9);
        if kept.is_none() {
            let list = KEPT_QUANTILES.map(|quantile| quantile.to_string()).join(", ");
            let limit = format!("latency is kept at {list}");
            self.problems.add(&format!("{path}.quantile"), spec.quantile, &limit, "use one of these");
        }
        let above = self.duration(&format!("{path}.above"), &spec.above, 1, 3_600_000);
        let sustained = self.sustained(path, spec.sustained, &spec.within, spec.probability);
        let Sustained { steps, of, within_ms, probability } = sustained?;
        let quantile = Quantile::new(*kept?).ok()?;
        Some(PredictedLatency { quantile, above_ms: above? as f64, steps, of, within_ms, probability })
    }

    fn usage(&mut self, path: &str, spec: &PredictedUsageSpec) -> Option<PredictedUsage> {
        let of = self.consumer(path, &spec.of);
        let resource =
            self.resource(path, &spec.resource, &[Resource::Cpu, Resource::Memory, Resource::DiskIo]);
        let above = of.zip(resource).and_then(|(of, resource)| self.bound(path, spec, of, resource));
        let sustained = self.sustained(path, spec.sustained, &spec.within, spec.probability);
        Some(PredictedUsage { of: of?, resource: resource?, above: above?, sustained: sustained? })
    }

    fn exhaustion(&mut self, path: &str, spec: &PredictedExhaustionSpec) -> Option<PredictedExhaustion> {
        let of = self.consumer(path, &spec.of);
        let known: &[Resource] = match of {
            Some(Consumer::Workload) => &[Resource::Cpu],
            _ => &[Resource::Cpu, Resource::Memory, Resource::Disk],
        };
        let resource = self.resource(path, &spec.resource, known);
        let long = spec.sustained.or(Some(SustainedSpec::AT_ONCE));
        let sustained = self.sustained(path, long, &spec.within, spec.probability);
        Some(PredictedExhaustion { of: of?, resource: resource?, sustained: sustained? })
    }

    fn consumer(&mut self, path: &str, word: &str) -> Option<Consumer> {
        let found = [Consumer::Node, Consumer::Workload].into_iter().find(|known| known.name() == word);
        if found.is_none() {
            let limit = "use is that of a node or of a workload";
            self.problems.add(&format!("{path}.of"), quoted(word), limit, "write `node` or `workload`");
        }
        found
    }

    fn resource(&mut self, path: &str, word: &str, known: &[Resource]) -> Option<Resource> {
        let found = known.iter().copied().find(|known| known.name() == word);
        if found.is_none() {
            let names: Vec<&str> = known.iter().map(|known| known.name()).collect();
            let limit = format!("what is known here is {}", names.join(", "));
            self.problems.add(&format!("{path}.resource"), quoted(word), &limit, "use one of these");
        }
        found
    }

    fn bound(
        &mut self,
        path: &str,
        spec: &PredictedUsageSpec,
        of: Consumer,
        resource: Resource,
    ) -> Option<Bound> {
        let above = format!("{path}.above");
        let Some(share) = amount::share(&spec.above) else {
            if let Some(word) = &spec.share_of {
                let limit = "`above` is an amount, not a share of something";
                self.problems.add(&format!("{path}.shareOf"), quoted(word), limit, "leave it out");
            }
            let read = amount::amount(&spec.above, resource).filter(|amount| *amount > 0.0);
            if read.is_none() {
                let limit = format!("it must be a share such as `80%`, or {}", amount::example(resource));
                self.problems.add(&above, quoted(&spec.above), &limit, "write one of these, above 0");
            }
            return read.map(Bound::Absolute);
        };
        if !(share > 0.0 && share <= 10.0) {
            let limit = "it must be above 0% and at most 1000%: no use is below nothing";
            self.problems.add(&above, quoted(&spec.above), limit, "choose a share in this range");
            return None;
        }
        let bases: &[Base] = match (of, resource) {
            (_, Resource::DiskIo | Resource::Disk) => &[],
            (Consumer::Node, _) => &[Base::Capacity],
            (Consumer::Workload, Resource::Cpu) => &[Base::Request, Base::Limit],
            (Consumer::Workload, Resource::Memory) => &[Base::Request],
        };
        let Some(usual) = bases.first() else {
            let limit = "nobody tells how much of disk_io there is";
            let remedy = "write an amount such as `50MB/s`";
            self.problems.add(&above, quoted(&spec.above), limit, remedy);
            return None;
        };
        let Some(word) = &spec.share_of else { return Some(Bound::Share { share, of: *usual }) };
        let found = bases.iter().copied().find(|base| base.name() == word);
        if found.is_none() {
            let names: Vec<&str> = bases.iter().map(|base| base.name()).collect();
            let limit =
                format!("{} of a {} is a share of its {}", resource.name(), of.name(), names.join(" or "));
            self.problems.add(&format!("{path}.shareOf"), quoted(word), &limit, "use that, or leave it out");
        }
        Some(Bound::Share { share, of: found? })
    }

    /// A share above 0 and below 1, written in percent.
    fn part(&mut self, path: &str, text: &str) -> Option<f64> {
        let read = amount::share(text).filter(|share| *share > 0.0 && *share < 1.0);
        if read.is_none() {
            let limit = "it must be a share above 0% and below 100%";
            self.problems.add(path, quoted(text), limit, "write it in percent, such as `99.9%` or `10%`");
        }
        read
    }

    fn sustained(
        &mut self,
        path: &str,
        sustained: Option<SustainedSpec>,
        within: &str,
        probability: f64,
    ) -> Option<Sustained> {
        let SustainedSpec { steps, of } = sustained.unwrap_or(SustainedSpec::USUAL);
        let long = (1..=MOST_STEPS).contains(&of) && (1..=of).contains(&steps);
        if !long {
            let limit = format!("it must be 1 <= steps <= of <= {MOST_STEPS}");
            let remedy = "write `for: {steps: 3, of: 5}` for 3 of 5 steps";
            self.problems.add(&format!("{path}.for"), format!("{steps} of {of}"), &limit, remedy);
        }
        let within_ms = self.duration(&format!("{path}.within"), within, 1_000, LONGEST_MS);
        let probable = probability > 0.0 && probability < 1.0;
        if !probable {
            let limit = "it must be above 0 and below 1, as no forecast is certain";
            let remedy = "use 0.5 for more likely than not";
            self.problems.add(&format!("{path}.probability"), probability, limit, remedy);
        }
        if !long || !probable {
            return None;
        }
        Some(Sustained {
            steps: usize::try_from(steps).ok()?,
            of: usize::try_from(of).ok()?,
            within_ms: within_ms?,
            probability: Probability::new(probability).ok()?,
        })
    }
}
