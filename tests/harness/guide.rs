//! Guides of the documentation, run from their own text.

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

/// A script of a guide's commands that ends with the first one that fails, and takes along what it has started.
pub fn script(commands: &str) -> String {
    format!("set -eu\ntrap 'kill $(jobs -p) 2>/dev/null || true' EXIT\n{commands}")
}
