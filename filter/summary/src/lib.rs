//! The window summary that a proxy pushes to the planner, and the recorder that fills it.
//!
//! Both sides of the wire use this crate: the filter (built for `wasm32-wasip1`) and the planner. It does no IO,
//! reads no clock and holds no `unsafe` code.
//!
//! ```text
//! filter:  Recorder::record ─► Recorder::freeze ─► WindowSummary ─► encode ─► POST /v1/summaries
//! planner: body ─► decode (checks every limit) ─► WindowSummary ─► merge_v2 / decode_histogram
//! ```
//!
//! - [`recorder`]: [`Recorder`], bounded route keys, latency histograms and counts by class.
//! - [`codec`]: [`encode`], [`decode`], [`Limits`], [`DecodeError`]. A decoded summary is valid: its header is
//!   sane, its histograms parse and agree with its counts.
//! - [`histogram`]: [`validate_v2`], [`decode_histogram`], [`encode_histogram`], and the exact merge of encoded
//!   histograms, [`Accumulator`].
//! - `json` (feature `json`): `to_json` and `from_json`, the same message for people and other senders.
//! - [`wire`]: the messages themselves, as in `summary.proto`.
pub mod codec;
pub mod histogram;
#[cfg(feature = "json")]
pub mod json;
pub mod name;
pub mod recorder;
pub mod wire;

pub use codec::{DecodeError, Limits, check, decode, encode};
pub use histogram::{
    Accumulator, HistogramError, decode_histogram, encode_histogram, merge_checked, merge_histogram,
    merge_v2, validate_v2,
};
#[cfg(feature = "json")]
pub use json::{from_json, to_json};
pub use recorder::{Class, Frame, Observation, Recorder, RouteKey, Settings};
pub use wire::{Direction, GrpcCount, Proxy, RouteWindow, WindowSummary};

/// Major version of the format that this crate writes and reads. Another one is refused.
pub const MAJOR: u32 = 1;
/// Minor version that this crate writes. Newer ones are read, and what they add is ignored.
pub const MINOR: u32 = 1;
/// Callee of the routes that were seen when the key limit was reached.
pub const OVERFLOW_CALLEE: &str = "_other";
/// Media type of the protobuf body.
pub const CONTENT_TYPE: &str = "application/x-protobuf";
/// Path that a summary is posted to.
pub const PUSH_PATH: &str = "/v1/summaries";
