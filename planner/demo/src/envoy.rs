//! Envoy processes for plain hosts: configuration, start, admin interface, end.

mod admin;
mod config;
mod process;

pub use admin::{Admin, AdminError, Stats};
pub use config::{ConfigError, EdgeConfig, Endpoints, FilterConfig, HostConfig, Identity, replace_file};
pub use process::{EnvoyError, EnvoyOptions, EnvoyProcess, find_binary};
