//! Traffic weights of a service during a move, by the objects of Istio that its proxies follow anyway: subsets of a
//! `DestinationRule` by the label `foremesh.dev/location`, and weights of a `VirtualService` between them.
//!
//! The decisions are pure: [`enter`] and [`leave`] look at the objects as they are and give the next write, or none when
//! all is as wanted. So whatever was written before a crash, the next call goes on from there. [`Shifter`] carries the
//! writes out, and waits after each until the proxies have it ([`Proxies`]).
mod api;
mod check;
mod error;
mod host;
mod objects;
mod pods;
mod proxies;
mod record;
mod route;
mod share;
mod shifter;
mod steps;
mod subsets;
#[cfg(test)]
mod tests;
mod write;

pub use error::{IstioError, Reason};
pub use host::Host;
pub use objects::Objects;
pub use proxies::{Proxies, ProxySettings};
pub use share::{Location, Shares};
pub use shifter::{Shifter, Traffic};
pub use steps::{Goal, enter, in_force, leave};
pub use write::{Kind, Write};

/// Label of pods that says on which side of a move they are.
pub const LOCATION_LABEL: &str = "foremesh.dev/location";
/// Who writes.
pub const MANAGER: &str = "foremesh";
