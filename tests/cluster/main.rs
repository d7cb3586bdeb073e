//! The `cluster` level: a real Kubernetes of several nodes, with Istio, sidecars and CPU quotas, from `scripts/testbed`.
//!
//! ```text
//! test ─► scripts/testbed exec ─► kubectl, workload ─► API server, kubelets, containerd ─► pod ─► sidecar ─► sidecar ─► pod
//! ```
//!
//! It needs root, control groups of version 1, and what `scripts/setup cluster` builds.
mod closed_loop;
mod guide;
mod installed;
mod killed;
mod moved;
mod mutual_tls;
mod nodes;
mod single_replica_move;
mod telemetry;
mod weights;
