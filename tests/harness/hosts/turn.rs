//! A turn of a test, and its directory.
use crate::Place;
use std::path::Path;
use tokio::sync::{Mutex, MutexGuard};

/// Each test has a dozen processes and deadlines: one at a time, whatever the test runner does.
static ONE_AT_A_TIME: Mutex<()> = Mutex::const_new(());

/// A test's turn, and its directory, which is kept when the test fails.
#[derive(Debug)]
pub struct Turn {
    place: Place,
    _turn: MutexGuard<'static, ()>,
}

impl Turn {
    /// Waits for the turn.
    pub async fn take() -> Self {
        let turn = ONE_AT_A_TIME.lock().await;
        Self { place: Place::new(), _turn: turn }
    }

    /// The directory of this test.
    pub fn directory(&self) -> &Path {
        self.place.directory()
    }

    /// The Envoy program.
    pub fn envoy(&self) -> &Path {
        self.place.envoy()
    }
}
