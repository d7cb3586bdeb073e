//! The Foremesh planner: takes what proxies measured, forecasts, decides, moves, and writes down why.
//!
//! `control` is the loop, `app` the only place where parts are put together. Everything that decides is in
//! `foremesh-core` and pure; here is everything that touches the world.
pub mod api;
pub mod app;
pub mod approvals;
pub mod args;
pub mod audit;
pub mod backtest;
pub mod bench;
pub mod calendar;
mod causes;
pub mod check;
pub mod cli;
pub mod client;
pub mod clock;
pub mod control;
pub mod demo;
mod due;
pub mod durations;
pub mod filter_module;
pub mod forecasts;
pub mod gates;
pub mod hosts;
pub mod ingest;
pub mod install;
pub mod kubernetes;
pub mod leader;
pub mod lint;
mod lock;
pub mod metrics;
pub mod observed;
pub mod platform;
pub mod policies;
pub mod problem;
pub mod published;
pub mod regressors;
pub mod replay;
pub mod retention;
pub mod rollout;
pub mod settings;
pub mod signals;
pub mod silence;
mod state_file;
pub mod store;
pub mod telemetry;
pub mod trial;
pub mod what_if;
