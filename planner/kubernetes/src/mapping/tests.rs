//! Each rule with a manifest that has it, against a small shop of two workloads on three nodes.
mod bound;
mod large;
mod limits;
mod names;
mod neighbours;
mod nodes;
mod services;
mod shop;
mod volumes;
mod workloads;
