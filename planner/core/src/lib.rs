//! The pure core of Foremesh.
//!
//! Everything between a stored series and a plan that may be rolled out is here, and all of it is synchronous and
//! deterministic: the same inputs give the byte-identical plan. There is no clock, no environment, no IO and no
//! randomness; time is an argument.
//!
//! [`inputs::Inputs`] is all that one pass may look at; [`decide::decide`] goes through the steps up to the plan, and
//! [`report::records`] says what was seen, decided and refused, and why.
//!
//! ```text
//! history ─Series─► forecast ─Forecast─► policy ─Verdict─► placement ─Plan─► verify ─VerifiedPlan─►
//!     twin ─SimulatedPlan─► trial ─TestedPlan─► rollout ─Outcome─► report
//! ```
pub mod aftermath;
pub mod approval;
pub mod calendar;
pub mod counter;
pub mod covariate;
pub mod decide;
pub mod document;
pub mod duration;
pub mod forecast;
pub mod gauge;
pub mod history;
pub mod ids;
pub mod inputs;
pub mod latency;
pub mod learned;
pub mod live;
pub mod placement;
pub mod plan;
pub mod policy;
pub mod record;
pub mod report;
pub mod revalidate;
pub mod rollout;
pub mod series;
pub mod splitmix;
pub mod tail;
pub mod time;
pub mod topology;
pub mod trial;
pub mod twin;
pub mod undo;
pub mod units;
pub mod verify;
pub mod what_if;
