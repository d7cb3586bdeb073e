//! Decisions, in a world that is played.
