//! Where a test runs: its turn, its programs and its directory.
use foremesh_demo::envoy::find_binary;
use std::path::{Path, PathBuf};
use tempfile::TempDir;
use tokio::sync::{Mutex, MutexGuard};

/// Environment variable that names the Envoy to test with.
const ENVOY_VARIABLE: &str = "FOREMESH_ENVOY";

/// Each test has a dozen processes and deadlines: one at a time, whatever the test runner does.
static ONE_AT_A_TIME: Mutex<()> = Mutex::const_new(());

/// A test's turn, and its directory, which is kept when the test fails.
#[derive(Debug)]
pub(crate) struct Turn {
    directory: TempDir,
    _turn: MutexGuard<'static, ()>,
}

impl Turn {
    /// Waits for the turn.
    pub(crate) async fn take() -> Self {
        let turn = ONE_AT_A_TIME.lock().await;
        let directory = tempfile::Builder::new().prefix("foremesh-hosts-").tempdir();
        Self { directory: directory.expect("a temporary directory can be made"), _turn: turn }
    }

    /// The directory of this test.
    pub(crate) fn directory(&self) -> &Path {
        self.directory.path()
    }
}

impl Drop for Turn {
    fn drop(&mut self) {
        if std::thread::panicking() {
            self.directory.disable_cleanup(true);
            eprintln!(
                "configuration, state and logs of the failed test: {}",
                self.directory.path().display()
            );
        }
    }
}

/// The root of the repository.
fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("the crate lies in the repository").to_owned()
}

/// The planner's binary, which lies beside the directory of the test's own.
pub(crate) fn foremesh_binary() -> PathBuf {
    let own = std::env::current_exe().expect("a process can tell where its program is");
    let built = own.parent().and_then(Path::parent).expect("tests are in target/PROFILE/deps");
    let path = built.join("foremesh");
    assert!(path.is_file(), "{} is missing: run `cargo build -p foremesh`", path.display());
    path
}

/// The built filter.
pub(super) fn filter_module() -> PathBuf {
    let path = root().join("build/foremesh_filter.wasm");
    assert!(path.is_file(), "{} is missing: run scripts/build-filter", path.display());
    path
}

/// The Envoy program: `FOREMESH_ENVOY`, else on the `PATH`, else `build/bin/envoy`.
pub(super) fn envoy_binary() -> PathBuf {
    let given = variable(ENVOY_VARIABLE).map(PathBuf::from);
    let found = find_binary(given.as_deref(), variable("PATH").as_deref(), &root());
    found.unwrap_or_else(|error| panic!("{error}"))
}

#[expect(
    clippy::disallowed_methods,
    reason = "a test binary has no arguments of its own to name an Envoy with"
)]
fn variable(name: &str) -> Option<String> {
    std::env::var(name).ok()
}
