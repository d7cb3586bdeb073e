//! Rules in words.
use foremesh_core::{
    duration::in_words,
    policy::{
        Base, Bound, Condition, Consumer, Mode, PredictedExhaustion, PredictedUsage, Quantity,
        RelocationPolicy, Resource, Rule, Sustained, Unit,
    },
};

/// What a rule does, in one sentence.
pub(super) fn rule_in_words(policy: &RelocationPolicy, rule: &Rule) -> String {
    let names: Vec<String> = policy.services.iter().map(|glob| format!("`{}`", glob.as_str())).collect();
    let services = names.join(", ");
    let does = match policy.mode {
        Mode::Observe => format!("Says so, and moves nothing, when for {services}"),
        Mode::Recommend => format!("Recommends to move {services} when"),
        Mode::Approve => format!("Asks for approval to move {services} when"),
        Mode::Auto => format!("Moves {services} when"),
    };
    let parts: Vec<String> = rule.when.parts().iter().map(part_in_words).collect();
    format!("{does} {}", parts.join(", and "))
}

/// A condition in words.
pub(super) fn part_in_words(part: &Condition) -> String {
    let what = match part {
        Condition::PredictedLatency(latency) => {
            let above = in_ms(latency.above_ms);
            format!("{} is predicted above {above}", quantile(latency.quantile.get()))
        }
        Condition::PredictedThroughput(throughput) => format!(
            "nodes are predicted too full to serve {} of the demand or more",
            Quantity::share(throughput.below_demand_by)
        ),
        Condition::PredictedAvailability(availability) => {
            format!("availability is predicted below {}", Quantity::share(availability.below))
        }
        Condition::PredictedUsage(usage) => usage_in_words(usage),
        Condition::PredictedExhaustion(exhaustion) => exhaustion_in_words(exhaustion),
        Condition::CostSaving(saving) => {
            return format!("a move saves at least {}", Quantity::new(saving.at_least, Unit::MoneyPerHour));
        }
        Condition::All(parts) => {
            return parts.iter().map(part_in_words).collect::<Vec<_>>().join(", and ");
        }
    };
    let long = part.sustained().map(|sustained| how_long(&sustained)).unwrap_or_default();
    format!("{what} {long}")
}

/// `P99`, `P99.9`.
fn quantile(quantile: f64) -> String {
    let percent = format!("{:.1}", quantile * 100.0);
    format!("P{}", percent.strip_suffix(".0").unwrap_or(&percent))
}

fn in_ms(ms: f64) -> String {
    format!("{} ms", ms.round())
}

fn usage_in_words(usage: &PredictedUsage) -> String {
    let of = consumer(usage.of);
    let resource = resource(usage.resource);
    match usage.above {
        Bound::Absolute(value) => {
            let limit = Quantity::new(value, usage.resource.unit());
            format!("{resource} of {of} is predicted above {limit}")
        }
        Bound::Share { share, of: base } => {
            let share = Quantity::share(share);
            let base = match base {
                Base::Capacity => "what it has",
                Base::Request => "the request of its replicas",
                Base::Limit => "the limit of its replicas",
            };
            format!("{resource} of {of} is predicted above {share} of {base}")
        }
    }
}

fn exhaustion_in_words(exhaustion: &PredictedExhaustion) -> String {
    let resource = match exhaustion.resource {
        Resource::Disk => "disk space",
        other => resource(other),
    };
    format!("{resource} of {} is predicted to run out", consumer(exhaustion.of))
}

const fn consumer(of: Consumer) -> &'static str {
    match of {
        Consumer::Node => "a node that it runs on",
        Consumer::Workload => "one of its workloads",
    }
}

const fn resource(resource: Resource) -> &'static str {
    match resource {
        Resource::Cpu => "CPU",
        Resource::Memory => "memory",
        Resource::DiskIo => "disk I/O",
        Resource::Disk => "disk",
    }
}

fn how_long(sustained: &Sustained) -> String {
    let Sustained { steps, of, within_ms, probability } = sustained;
    let percent = Quantity::share(probability.get());
    let long = match (*steps, *of) {
        (1, 1) => String::new(),
        (steps, of) if steps == of => format!("for {steps} steps "),
        (steps, of) => format!("for {steps} of {of} steps "),
    };
    format!("{long}within {} with a probability of at least {percent}", in_words(*within_ms))
}
