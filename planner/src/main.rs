//! Foremesh.
fn main() {}
