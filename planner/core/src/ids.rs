//! Names of things, each of its own type so that a node cannot be passed for a workload.
use serde::{Deserialize, Serialize};
use std::fmt;

macro_rules! name_type {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
        #[serde(transparent)]
        pub struct $name(String);

        impl $name {
            /// Wraps a name as it stands.
            pub fn new(name: impl Into<String>) -> Self {
                Self(name.into())
            }

            /// The name as text.
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }

        impl From<&str> for $name {
            fn from(name: &str) -> Self {
                Self(name.to_owned())
            }
        }
    };
}

name_type!(
    /// A machine that can run replicas.
    NodeId
);
name_type!(
    /// A failure domain of nodes, such as a rack or an availability zone.
    Zone
);
name_type!(
    /// What callers call: the host part of a cluster name.
    ServiceId
);
name_type!(
    /// What is moved: the replicas that serve one service.
    WorkloadId
);
name_type!(
    /// One running copy of a workload.
    ReplicaId
);
name_type!(
    /// A plan, for ever.
    PlanId
);
name_type!(
    /// A `RelocationPolicy`, by its metadata name.
    PolicyId
);
name_type!(
    /// The rollout of one move, for ever.
    RolloutId
);
