//! What became of a move after it was over: whether it was worth it, and whether somebody else took it back.
mod benefit;
mod moved_back;

pub use benefit::{Benefit, Compared, FEWEST_STEPS, Judged, Worth, benefit};
pub use moved_back::{MovedBack, moved_back};
