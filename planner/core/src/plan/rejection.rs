//! Why a node was refused as a target.
use crate::{
    duration::in_words,
    ids::{NodeId, ServiceId},
    latency::reach,
    policy::NotPermitted,
    topology::TopologyKey,
};
use serde::{Deserialize, Serialize};

/// Why a node was refused as a target; every refused node has one.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, thiserror::Error)]
#[serde(rename_all = "snake_case", tag = "kind")]
pub enum RejectionReason {
    /// The replica runs there already.
    #[error("it runs there already")]
    IsSource,
    /// The platform could not reach it.
    #[error("the node cannot be reached: {detail}")]
    Unreachable {
        /// What the platform said.
        detail: String,
    },
    /// The operator wants no new replicas on it.
    #[error("the node takes no new replicas")]
    Cordoned,
    /// The workload may not run there.
    #[error("the workload may not run there")]
    NotAllowed,
    /// Another replica of the workload runs there; two on one node would fail together.
    #[error("another replica of the workload runs there")]
    HoldsReplica,
    /// A taint of the node keeps the workload away.
    #[error("the node has the taint `{taint}`, which the workload does not tolerate")]
    Tainted {
        /// The taint as `key=value:effect`.
        taint: String,
    },
    /// A label of the node is not as the workload requires.
    #[error("the workload requires `{requirement}`, but the node has {}", labelled(label, actual.as_deref()))]
    LabelMismatch {
        /// The condition in words.
        requirement: String,
        /// The label that it is about.
        label: String,
        /// Its value on the node.
        actual: Option<String>,
    },
    /// No two replicas of the workload may be in one domain, and one is there, if only until its successor is ready.
    #[error("a replica of the workload runs in {over} `{domain}`, and no two may at the same time")]
    NotApart {
        /// What they are kept apart by.
        over: TopologyKey,
        /// Where one is.
        domain: String,
    },
    /// As many replicas of the workload as may be on one node are there.
    #[error("{on_node} replicas of the workload are there, at most {limit} may be on one node")]
    ReplicaLimit {
        /// Replicas there, those on their way included.
        on_node: u32,
        /// The limit.
        limit: u32,
    },
    /// A workload that it may not be with is there.
    #[error("workload `{other}` runs in {over} `{domain}`, and the two may not be together")]
    NotWith {
        /// The other workload.
        other: String,
        /// What they are kept apart by.
        over: TopologyKey,
        /// Where the other is.
        domain: String,
    },
    /// A workload that it must be with is not there.
    #[error("no replica of workload `{other}` stays in {over} `{domain}`, and it must be with one")]
    NotBeside {
        /// The other workload.
        other: String,
        /// What they are kept together by.
        over: TopologyKey,
        /// Where the other is not; empty when the node is in no such domain.
        domain: String,
    },
    /// A workload that must be with it would be left without it.
    #[error(
        "workload `{other}` runs in {over} `{domain}` and must be with a replica of it, of which none would stay there"
    )]
    LeavesAlone {
        /// The workload that would be left.
        other: String,
        /// What they are kept together by.
        over: TopologyKey,
        /// Where it would be left.
        domain: String,
    },
    /// Its replicas would be spread less evenly than they must be.
    #[error(
        "the replicas would differ by {skew} between one {over} and another, at most {limit} are allowed"
    )]
    Skew {
        /// Over what they are spread.
        over: TopologyKey,
        /// Difference between the fullest and the emptiest domain.
        skew: usize,
        /// The limit.
        limit: usize,
    },
    /// The node is in no zone that is known, but the workload is bound to zones.
    #[error("the zone of the node is not known, but {bound} is bound to zones")]
    ZoneUnknown {
        /// What is bound.
        bound: String,
    },
    /// A volume cannot be reached from there.
    #[error("volume `{volume}` cannot be reached from {over} `{domain}`")]
    VolumeElsewhere {
        /// The volume.
        volume: String,
        /// What it is bound by.
        over: TopologyKey,
        /// From where it cannot be reached.
        domain: String,
    },
    /// A port of the node is taken.
    #[error("port {port} of the node is taken by {by}")]
    PortTaken {
        /// The port.
        port: u16,
        /// By whom: a workload, or something beside the workloads.
        by: String,
    },
    /// The node runs as many replicas as it may.
    #[error("{on_node} replicas run there, and the node takes at most {limit}")]
    NodeFull {
        /// Replicas there, those on their way included.
        on_node: u32,
        /// The limit.
        limit: u32,
    },
    /// Not enough CPU that nobody has asked for.
    #[error(
        "it asks for {needed_millicores:.0} millicores, but of {capacity_millicores:.0} only {free_millicores:.0} are not promised to others"
    )]
    NotEnoughCpuRequested {
        /// What a replica asks for, in millicores.
        needed_millicores: f64,
        /// What nobody asked for, in millicores.
        free_millicores: f64,
        /// What there is for workloads in all, in millicores.
        capacity_millicores: f64,
    },
    /// Not enough memory that nobody has asked for.
    #[error(
        "it asks for {:.0} MiB, but of {:.0} MiB only {:.0} MiB are not promised to others",
        mebibytes(*needed_bytes), mebibytes(*capacity_bytes), mebibytes(*free_bytes)
    )]
    NotEnoughMemoryRequested {
        /// What a replica asks for, in bytes.
        needed_bytes: f64,
        /// What nobody asked for, in bytes.
        free_bytes: f64,
        /// What there is for workloads in all, in bytes.
        capacity_bytes: f64,
    },
    /// Not enough memory left over the window.
    #[error(
        "it needs {:.0} MiB of memory, but {:.0} MiB are free at the fullest moment",
        mebibytes(*needed_bytes), mebibytes(*free_bytes)
    )]
    NotEnoughMemory {
        /// What a replica needs at its fullest moment, in bytes.
        needed_bytes: f64,
        /// What is left at the fullest moment of the window, in bytes.
        free_bytes: f64,
    },
    /// Its use is not known over the whole window, and an unknown node is never a target.
    #[error("its CPU use is not known over the whole window")]
    UsageUnknown,
    /// Not enough CPU left over the window.
    #[error(
        "it needs {needed_millicores:.0} millicores, but {free_millicores:.0} are free at the fullest moment"
    )]
    NotEnoughCpu {
        /// What the workload needs, in millicores.
        needed_millicores: f64,
        /// What is left at the fullest moment of the window, in millicores.
        free_millicores: f64,
    },
    /// A part of the traffic would go to other replicas, and one of their nodes would be too full by that.
    #[error("node `{node}`, where another replica gets more of its traffic, would be too full: {:.0} % in use", utilisation * 100.0)]
    OthersTooFull {
        /// That node.
        node: NodeId,
        /// Predicted share of its CPU in use.
        utilisation: f64,
    },
    /// Its CPU would be full, so that latency has no bound.
    #[error("its CPU would be full: {:.0} % in use", utilisation * 100.0)]
    WouldSaturate {
        /// Predicted share of CPU in use, 1 or more.
        utilisation: f64,
    },
    /// The workload would breach its objective there too, or come too close to it.
    #[error("it would reach {predicted_ms:.1} ms there, at most {limit_ms:.1} ms are allowed")]
    WouldBreachThere {
        /// Predicted latency there in milliseconds.
        predicted_ms: f64,
        /// The most that it may be, in milliseconds: objective less margin.
        limit_ms: f64,
    },
    /// Not better than staying by the margin.
    #[error("{predicted_ms:.1} ms there are not enough better than {stay_ms:.1} ms here")]
    NoGain {
        /// Predicted latency there in milliseconds.
        predicted_ms: f64,
        /// Predicted latency where it is, in milliseconds.
        stay_ms: f64,
    },
    /// The policy's guard rails do not let a move go there.
    #[error("{why}")]
    NotPermitted {
        /// Which one.
        why: NotPermitted,
    },
    /// It costs too much for a move that is made to save money.
    #[error("it saves {saving:.2} per hour, at least {at_least:.2} are asked for")]
    SavesTooLittle {
        /// Money per hour that the move would save; negative when it costs more.
        saving: f64,
        /// What the rule asks for.
        at_least: f64,
    },
    /// A service that would share the node, or waits for one that does, would be pushed into a breach.
    #[error(
        "service `{service}` would {} by it, its objective is {objective_ms:.1} ms", reach(*predicted_ms)
    )]
    WouldHarm {
        /// The service.
        service: ServiceId,
        /// What it would come to, in milliseconds; `null` where a node saturates.
        #[serde(with = "crate::latency")]
        predicted_ms: f64,
        /// Its objective in milliseconds.
        objective_ms: f64,
    },
    /// The workload did not arrive there a short while ago, and other nodes take it.
    #[error("{failures} moves of the workload to it failed, the last one {} ago, and others take it", in_words(*ago_ms))]
    FailedThere {
        /// Failed moves since it last arrived there.
        failures: usize,
        /// Time since the last one ended, in milliseconds.
        ago_ms: i64,
    },
    /// Feasible, but neither among the coolest nor the nearest nor the cheapest nodes that are.
    #[error("cooler, nearer or cheaper nodes were looked at")]
    NotLookedAt,
    /// Feasible, but another node costs less, or costs the same and is faster, or comes first by name.
    #[error("it costs {cost:.2} at {predicted_ms:.1} ms, the chosen node {chosen:.2} at {chosen_ms:.1} ms")]
    CostsMore {
        /// Its cost.
        cost: f64,
        /// Predicted latency there in milliseconds.
        predicted_ms: f64,
        /// The chosen node's cost.
        chosen: f64,
        /// Predicted latency on the chosen node in milliseconds.
        chosen_ms: f64,
    },
}

impl RejectionReason {
    /// In a few words, what many nodes can have in common.
    pub const fn in_short(&self) -> &'static str {
        match self {
            Self::IsSource => "it runs there",
            Self::Unreachable { .. } | Self::Cordoned => "take nothing now",
            Self::NotAllowed | Self::Tainted { .. } | Self::LabelMismatch { .. } => "not for this workload",
            Self::VolumeElsewhere { .. } | Self::ZoneUnknown { .. } => "out of reach of its storage or zone",
            Self::HoldsReplica | Self::NotApart { .. } | Self::ReplicaLimit { .. } | Self::Skew { .. } => {
                "too close to its other replicas"
            }
            Self::NotWith { .. } | Self::NotBeside { .. } => "the wrong company",
            Self::LeavesAlone { .. } => "who must be with it would be left alone",
            Self::PortTaken { .. } => "the port is taken",
            Self::NodeFull { .. }
            | Self::NotEnoughCpuRequested { .. }
            | Self::NotEnoughMemoryRequested { .. }
            | Self::NotEnoughMemory { .. }
            | Self::NotEnoughCpu { .. }
            | Self::OthersTooFull { .. }
            | Self::WouldSaturate { .. } => "no room",
            Self::UsageUnknown => "their use is not known",
            Self::WouldBreachThere { .. } => "too slow there too",
            Self::NoGain { .. } => "not enough better",
            Self::NotPermitted { .. } => "not permitted now",
            Self::SavesTooLittle { .. } => "save too little",
            Self::WouldHarm { .. } => "another service would suffer",
            Self::FailedThere { .. } => "it failed to arrive there",
            Self::NotLookedAt => "others are cooler, nearer or cheaper",
            Self::CostsMore { .. } => "cost more",
        }
    }
}

fn mebibytes(bytes: f64) -> f64 {
    bytes / f64::from(1 << 20)
}

fn labelled(label: &str, actual: Option<&str>) -> String {
    actual.map_or_else(|| format!("no label `{label}`"), |value| format!("`{label}={value}`"))
}

impl RejectionReason {
    /// The word that stands for its kind, as written in JSON.
    pub const fn kind(&self) -> &'static str {
        match self {
            Self::IsSource => "is_source",
            Self::Unreachable { .. } => "unreachable",
            Self::Cordoned => "cordoned",
            Self::NotAllowed => "not_allowed",
            Self::HoldsReplica => "holds_replica",
            Self::Tainted { .. } => "tainted",
            Self::LabelMismatch { .. } => "label_mismatch",
            Self::NotApart { .. } => "not_apart",
            Self::ReplicaLimit { .. } => "replica_limit",
            Self::NotWith { .. } => "not_with",
            Self::NotBeside { .. } => "not_beside",
            Self::LeavesAlone { .. } => "leaves_alone",
            Self::Skew { .. } => "skew",
            Self::ZoneUnknown { .. } => "zone_unknown",
            Self::VolumeElsewhere { .. } => "volume_elsewhere",
            Self::PortTaken { .. } => "port_taken",
            Self::NodeFull { .. } => "node_full",
            Self::NotEnoughCpuRequested { .. } => "not_enough_cpu_requested",
            Self::NotEnoughMemoryRequested { .. } => "not_enough_memory_requested",
            Self::NotEnoughMemory { .. } => "not_enough_memory",
            Self::UsageUnknown => "usage_unknown",
            Self::NotEnoughCpu { .. } => "not_enough_cpu",
            Self::OthersTooFull { .. } => "others_too_full",
            Self::WouldSaturate { .. } => "would_saturate",
            Self::WouldBreachThere { .. } => "would_breach_there",
            Self::NoGain { .. } => "no_gain",
            Self::NotPermitted { .. } => "not_permitted",
            Self::SavesTooLittle { .. } => "saves_too_little",
            Self::WouldHarm { .. } => "would_harm",
            Self::FailedThere { .. } => "failed_there",
            Self::NotLookedAt => "not_looked_at",
            Self::CostsMore { .. } => "costs_more",
        }
    }
}
