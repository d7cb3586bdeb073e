//! Strip.
fn main() {}
