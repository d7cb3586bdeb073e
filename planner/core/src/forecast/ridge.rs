//! The streaming ridge: one direct linear model for each of a few distances ahead ("knots"), kept up to date by rank-one
//! updates of its normal matrix.
pub(super) mod features;
pub(super) mod gram;
