//! The load of a trial: the same requests to both copies, at times that do not depend on the answers.
mod load;
#[cfg(test)]
mod tests;

pub use load::{Ends, LoadError, load};
