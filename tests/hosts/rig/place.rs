//! Where a test runs: its turn, its directory and the planner's program.
pub(crate) use foremesh_tests::place::foremesh_binary;

use foremesh_tests::Place;
use std::path::Path;
use tokio::sync::{Mutex, MutexGuard};

/// Each test has a dozen processes and deadlines: one at a time, whatever the test runner does.
static ONE_AT_A_TIME: Mutex<()> = Mutex::const_new(());

/// A test's turn, and its directory, which is kept when the test fails.
#[derive(Debug)]
pub(crate) struct Turn {
    place: Place,
    _turn: MutexGuard<'static, ()>,
}

impl Turn {
    /// Waits for the turn.
    pub(crate) async fn take() -> Self {
        let turn = ONE_AT_A_TIME.lock().await;
        Self { place: Place::new(), _turn: turn }
    }

    /// The directory of this test.
    pub(crate) fn directory(&self) -> &Path {
        self.place.directory()
    }

    /// The Envoy program.
    pub(crate) fn envoy(&self) -> &Path {
        self.place.envoy()
    }
}
