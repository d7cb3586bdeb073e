//! Where a test runs: the programs it needs, and a directory of its own.
use foremesh_demo::envoy::find_binary;
use std::path::{Path, PathBuf};
use tempfile::TempDir;

/// Environment variable that names the Envoy to test with.
const ENVOY_VARIABLE: &str = "FOREMESH_ENVOY";

/// The programs of a test and its directory. The directory is kept when the test fails, because Envoy's logs are in it.
#[derive(Debug)]
pub struct Place {
    envoy: PathBuf,
    directory: TempDir,
}

impl Place {
    /// Finds Envoy: `FOREMESH_ENVOY`, else `envoy` on the `PATH`, else `build/bin/envoy`.
    ///
    /// # Panics
    /// When there is none, with the remedy.
    pub fn new() -> Self {
        let given = variable(ENVOY_VARIABLE).map(PathBuf::from);
        let envoy = find_binary(given.as_deref(), variable("PATH").as_deref(), &root());
        let envoy = envoy.unwrap_or_else(|error| panic!("{error}"));
        let directory = tempfile::Builder::new().prefix("foremesh-test-").tempdir();
        Self { envoy, directory: directory.expect("a temporary directory can be made") }
    }

    /// The Envoy program.
    pub fn envoy(&self) -> &Path {
        &self.envoy
    }

    /// The directory of this test.
    pub fn directory(&self) -> &Path {
        self.directory.path()
    }
}

impl Default for Place {
    fn default() -> Self {
        Self::new()
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        if std::thread::panicking() {
            self.directory.disable_cleanup(true);
            eprintln!("configuration and logs of the failed test: {}", self.directory.path().display());
        }
    }
}

/// The root of the repository.
pub fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("the crate lies in the repository").to_owned()
}

/// The planner's binary, which lies beside the directory of the test's own.
///
/// # Panics
/// When it is not built, with the remedy.
pub fn foremesh_binary() -> PathBuf {
    let own = std::env::current_exe().expect("a process can tell where its program is");
    let built = own.parent().and_then(Path::parent).expect("tests are in target/PROFILE/deps");
    let path = built.join("foremesh");
    assert!(path.is_file(), "{} is missing: run `cargo build -p foremesh`", path.display());
    path
}

/// A built module, such as `foremesh_filter.wasm`.
///
/// # Panics
/// When it is not built, with the remedy.
pub fn module(file: &str, remedy: &str) -> PathBuf {
    let path = root().join("build").join(file);
    assert!(path.is_file(), "{} is missing: run {remedy}", path.display());
    path
}

/// A number that the environment gives to a test, or else this one.
///
/// # Panics
/// When it gives something else.
pub fn given(name: &str, otherwise: u32) -> u32 {
    let number =
        |text: String| text.parse().unwrap_or_else(|_| panic!("{name} is `{text}`, and not a number"));
    variable(name).map_or(otherwise, number)
}

#[expect(clippy::disallowed_methods, reason = "a test binary has no arguments of its own")]
fn variable(name: &str) -> Option<String> {
    std::env::var(name).ok()
}
