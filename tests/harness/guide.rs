//! Guides of the documentation, run from their own text.
use crate::place::root;
use std::path::{Path, PathBuf};

/// What stands in the blocks of `sh` below the heading `Ten minutes` of a document, one after the other.
///
/// # Panics
/// When there is no such guide, or hardly anything to do in it.
pub fn commands(document: &str) -> String {
    let (_, guide) = document.split_once("\n## Ten minutes\n").expect("the document has the guide");
    let guide = guide.split("\n## ").next().unwrap_or_default();
    let blocks = guide.split("```sh\n").skip(1);
    let blocks: Vec<&str> = blocks.map(|block| block.split("```").next().unwrap_or_default()).collect();
    assert!(blocks.len() >= 5, "the guide has {} blocks", blocks.len());
    blocks.concat()
}

/// Writes a script of a guide's commands into the folder that they are run in, with `FOREMESH` and programs as the guide has
/// them. It ends with the first command that fails, and takes along what it has started.
///
/// # Panics
/// When it cannot be written.
pub fn script(folder: &Path, programs: &[&Path], commands: &str) -> PathBuf {
    let file = folder.join("guide.sh");
    let programs: Vec<String> = programs.iter().map(|folder| folder.display().to_string()).collect();
    let text = format!(
        "set -eu\ntrap 'kill $(jobs -p) 2>/dev/null || true' EXIT\ncd {}\nexport FOREMESH={} PATH={}:$PATH\n{commands}",
        folder.display(),
        root().display(),
        programs.join(":")
    );
    std::fs::write(&file, text).expect("a file can be written");
    file
}
