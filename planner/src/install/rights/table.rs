//! The table itself.
use super::{
    Need::{Move, Read, Try, TrySecrets},
    Right,
    Scope::{Everywhere, Istiod, Moved, Own, Staging},
    Used::{Usually, When},
};
use foremesh_kubernetes::{
    lease::LEASE_NAME,
    moving::MOVING_NAME,
    staging::STAGING_RULES,
    webhook::{PLACEMENT_CONFIGURATION, WEBHOOK_SECRET},
};

/// A row that every planner uses; the others change what differs.
const ROW: Right = Right {
    group: "",
    resources: &[],
    names: &[],
    verbs: &[],
    scope: Everywhere,
    need: Read,
    used: Usually,
    why: "",
};
/// A row about what moves.
const MOVED: Right = Right { scope: Moved, need: Move, ..ROW };
/// A row about what is tried.
const TRIED: Right = Right { scope: Staging, need: Try, ..ROW };
const READS_MAPS: super::Used = When("the pods of what moves read ConfigMaps");
const READS_SECRETS: super::Used =
    When("the pods of what moves need secrets, and the policy's trial says `copySecrets`");

/// What the planner may do. There is no right to create or delete what the installation can make once, such as the webhook's
/// configuration or a namespace, and none to read a secret but its own, unless trials may copy them.
pub const RIGHTS: &[Right] = &[
    Right {
        resources: &[
            "nodes",
            "pods",
            "namespaces",
            "services",
            "persistentvolumes",
            "persistentvolumeclaims",
            "resourcequotas",
        ],
        verbs: &["list", "watch"],
        why: "what runs where, what there is room for, and what binds it there",
        ..ROW
    },
    Right {
        group: "apps",
        resources: &["deployments", "replicasets", "statefulsets"],
        verbs: &["list", "watch"],
        why: "which workload a pod is of, and whether it is being rolled out",
        ..ROW
    },
    Right {
        group: "policy",
        resources: &["poddisruptionbudgets"],
        verbs: &["list", "watch"],
        why: "how many replicas may be away",
        ..ROW
    },
    Right {
        group: "autoscaling",
        resources: &["horizontalpodautoscalers"],
        verbs: &["list", "watch"],
        why: "who else changes the number of replicas",
        ..ROW
    },
    Right {
        group: "metrics.k8s.io",
        resources: &["nodes", "pods"],
        verbs: &["list"],
        why: "CPU and memory in use",
        ..ROW
    },
    Right {
        group: "foremesh.dev",
        resources: &["relocationpolicies", "eventcalendars"],
        verbs: &["list", "watch"],
        why: "policies and calendars",
        ..ROW
    },
    Right {
        group: "foremesh.dev",
        resources: &["relocationpolicies/status", "eventcalendars/status"],
        verbs: &["patch"],
        used: When("there are such resources"),
        why: "whether they were taken, and why not",
        ..ROW
    },
    Right {
        resources: &["namespaces"],
        verbs: &["get"],
        why: "whether it has opted in, at the moment of a move",
        ..MOVED
    },
    Right {
        group: "apps",
        resources: &["deployments", "replicasets"],
        verbs: &["get"],
        why: "what moves, as it is stored and not as a watch has it; which Deployment a new pod is of",
        ..MOVED
    },
    Right {
        group: "apps",
        resources: &["statefulsets", "daemonsets"],
        verbs: &["get"],
        used: When("a plan names what is no Deployment"),
        why: "to say why it cannot move",
        ..MOVED
    },
    Right {
        group: "apps",
        resources: &["deployments/scale"],
        verbs: &["patch"],
        why: "one replica more before a move, one less after it; the template is out of reach",
        ..MOVED
    },
    Right {
        group: "autoscaling",
        resources: &["horizontalpodautoscalers"],
        verbs: &["patch"],
        used: When("an autoscaler scales what moves"),
        why: "its least number of replicas, where it would undo the one more",
        ..MOVED
    },
    Right {
        resources: &["pods"],
        verbs: &["get", "patch"],
        why: "location and deletion cost of the pods of what moves",
        ..MOVED
    },
    Right {
        resources: &["services"],
        verbs: &["get"],
        why: "the selector of the service whose traffic moves",
        ..MOVED
    },
    Right {
        resources: &["limitranges"],
        verbs: &["list"],
        why: "whether one more pod would be refused",
        ..MOVED
    },
    Right {
        group: "discovery.k8s.io",
        resources: &["endpointslices"],
        verbs: &["list"],
        why: "whether the new replica is an endpoint",
        ..MOVED
    },
    Right {
        group: "networking.istio.io",
        resources: &["virtualservices", "destinationrules"],
        verbs: &["get", "list", "watch"],
        need: Move,
        why: "routes to a service may be in any namespace",
        ..ROW
    },
    Right {
        group: "gateway.networking.k8s.io",
        resources: &["httproutes"],
        verbs: &["list", "watch"],
        need: Move,
        why: "a service that has one is refused, as its routes cannot be shared out",
        ..ROW
    },
    Right {
        group: "gateway.networking.k8s.io",
        resources: &["httproutes"],
        verbs: &["get"],
        need: Move,
        used: When("one names a service that moves"),
        why: "whether it is the service itself that it routes",
        ..ROW
    },
    Right {
        group: "networking.istio.io",
        resources: &["virtualservices", "destinationrules"],
        verbs: &["create", "patch", "delete"],
        why: "traffic by location: in the user's objects, and taken out of them again, or in objects of its own",
        ..MOVED
    },
    Right {
        resources: &["configmaps"],
        names: &[MOVING_NAME],
        verbs: &["get", "patch"],
        scope: Own,
        need: Move,
        why: "what moves, so that a planner that was killed goes on",
        ..ROW
    },
    Right {
        resources: &["secrets"],
        names: &[WEBHOOK_SECRET],
        verbs: &["get", "patch"],
        scope: Own,
        need: Move,
        why: "the certificate of the placement webhook",
        ..ROW
    },
    Right {
        group: "admissionregistration.k8s.io",
        resources: &["mutatingwebhookconfigurations"],
        names: &[PLACEMENT_CONFIGURATION],
        verbs: &["get", "patch"],
        need: Move,
        why: "which new pods the API server asks about; none while nothing moves",
        ..ROW
    },
    Right {
        resources: &["serviceaccounts/token"],
        names: &["foremesh"],
        verbs: &["create"],
        scope: Istiod,
        need: Move,
        why: "a token of an account without rights: istiod tells what its proxies have only to accounts of its namespace",
        ..ROW
    },
    Right {
        group: "coordination.k8s.io",
        resources: &["leases"],
        names: &[LEASE_NAME],
        verbs: &["get", "update"],
        scope: Own,
        need: Move,
        why: "one planner of several moves",
        ..ROW
    },
    Right {
        group: "foremesh.dev",
        resources: &["relocations"],
        verbs: &["get", "list", "watch", "create", "patch"],
        need: Move,
        why: "moves, as objects that `kubectl` shows",
        ..ROW
    },
    Right {
        group: "foremesh.dev",
        resources: &["relocations"],
        verbs: &["delete"],
        need: Move,
        used: When("moves have been over for days, or there are many"),
        why: "so that not all stay for ever",
        ..ROW
    },
    Right {
        group: "foremesh.dev",
        resources: &["relocations/status"],
        verbs: &["patch"],
        need: Move,
        why: "their states",
        ..ROW
    },
    Right {
        group: "events.k8s.io",
        resources: &["events"],
        verbs: &["create"],
        why: "what happens in a move, beside what it happens to",
        ..MOVED
    },
    Right {
        resources: &["namespaces"],
        verbs: &["get"],
        why: "whether it is the one that was installed; in any other, nothing is touched",
        ..TRIED
    },
    Right {
        group: "security.istio.io",
        resources: &["peerauthentications"],
        names: &[STAGING_RULES],
        verbs: &["get"],
        why: "whether the load is let in",
        ..TRIED
    },
    Right {
        group: "networking.istio.io",
        resources: &["sidecars"],
        names: &[STAGING_RULES],
        verbs: &["get"],
        why: "whether copies are kept from calling others",
        ..TRIED
    },
    Right {
        resources: &["pods", "services", "configmaps", "serviceaccounts"],
        verbs: &["list"],
        why: "what trials have made, by their label",
        ..TRIED
    },
    Right { resources: &["pods"], verbs: &["create", "delete"], why: "two copies of what moves", ..TRIED },
    Right {
        resources: &["configmaps"],
        verbs: &["create", "delete"],
        used: READS_MAPS,
        why: "copies of what the pods read",
        ..TRIED
    },
    Right {
        resources: &["configmaps"],
        verbs: &["get"],
        used: READS_MAPS,
        need: Try,
        why: "what the pods read, to copy it",
        ..MOVED
    },
    Right {
        resources: &["serviceaccounts"],
        verbs: &["create", "delete"],
        used: When("the pods of what moves have an account of their own"),
        why: "an account of the same name, without rights",
        ..TRIED
    },
    Right {
        resources: &["services"],
        verbs: &["create", "delete"],
        used: When("the policy's trial says `callees: production`"),
        why: "short names of production's services",
        ..TRIED
    },
    Right {
        resources: &["secrets"],
        verbs: &["list"],
        need: TrySecrets,
        why: "what trials have made, by their label",
        ..TRIED
    },
    Right {
        resources: &["secrets"],
        verbs: &["create", "delete"],
        used: READS_SECRETS,
        need: TrySecrets,
        why: "copies of what the pods need",
        ..TRIED
    },
    Right {
        resources: &["secrets"],
        verbs: &["get"],
        used: READS_SECRETS,
        need: TrySecrets,
        why: "what the pods need, to copy it",
        ..MOVED
    },
];
