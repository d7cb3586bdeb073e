//! Labels by which operators tell the planner of services and nodes, and those of the planner's own surge services.

/// Port at which a service's tasks serve HTTP; without it the service is never moved.
pub const PORT: &str = "foremesh.dev/port";
/// Network in which the Envoys reach the tasks, by name or id.
pub const NETWORK: &str = "foremesh.dev/network";
/// `critical`, `standard` or `best_effort`.
pub const TIER: &str = "foremesh.dev/tier";
/// Why nobody may move the service.
pub const DO_NOT_MOVE: &str = "foremesh.dev/do-not-move";
/// `image`: the image has a health check of its own.
pub const HEALTH_CHECK: &str = "foremesh.dev/healthcheck";
/// `same-everywhere`: what is mounted of the node's disk is alike on all nodes.
pub const LOCAL_MOUNTS: &str = "foremesh.dev/local-mounts";
/// Stack of a service, put there by `docker stack deploy`.
pub const STACK: &str = "com.docker.stack.namespace";

/// Zone of a node; `zone` where it is not there.
pub const ZONE: &str = "foremesh.dev/zone";
/// CPU of a node that containers can have, such as `800m` or `3.5`, where it is not that of the whole machine.
pub const CPU: &str = "foremesh.dev/cpu";
/// Price of a node in money per hour.
pub const COST_PER_HOUR: &str = "foremesh.dev/cost-per-hour";

/// Id of the service that a surge service is for.
pub(crate) const SURGE_OF: &str = "foremesh.dev/surge-of";
/// Its name.
pub(crate) const SURGE_NAME: &str = "foremesh.dev/surge-name";
/// The slot that moves.
pub(crate) const SLOT: &str = "foremesh.dev/surge-slot";
/// Id of the node that it leaves.
pub(crate) const FROM: &str = "foremesh.dev/surge-from";
/// Id of the node that it goes to.
pub(crate) const TO: &str = "foremesh.dev/surge-to";
/// Digest of the template that it was copied of.
pub(crate) const TEMPLATE: &str = "foremesh.dev/surge-template";
/// What was changed of the service for the hand-over, and what it was before.
pub(crate) const HAND_OVER: &str = "foremesh.dev/surge-hand-over";
