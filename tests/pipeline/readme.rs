//! What the README says works: its files are accepted, its `curl` examples are answered.
use crate::world::World;
use axum::http::StatusCode;
use foremesh::{hosts::config::Hosts, policies, settings::Settings};
use std::path::Path;

const README: &str = include_str!("../../README.md");
const SUMMARY: &str = include_str!("../../docs/examples/summary.json");

/// The YAML block that begins with a comment of this file's name, without the indentation of the list it is in.
pub(crate) fn block(name: &str) -> String {
    let start =
        README.find(&format!("   # {name}\n")).unwrap_or_else(|| panic!("the README has a block `{name}`"));
    let text = &README[start..];
    let end = text.find("   ```").expect("the block ends");
    text[..end].lines().map(|line| line.strip_prefix("   ").unwrap_or(line)).collect::<Vec<_>>().join("\n")
}

#[test]
fn the_files_of_the_readme_are_accepted() {
    let hosts = Hosts::parse(Path::new("hosts.yaml"), &block("hosts.yaml"));
    assert!(hosts.is_ok(), "{}", hosts.unwrap_err());
    let found = policies::parse(Path::new("cart.yaml"), &block("policies/cart.yaml"));
    assert_eq!(found.expect("the policy is good").len(), 1);
    let settings = Settings::parse(Path::new("/etc/foremesh/foremesh.yaml"), &block("foremesh.yaml"));
    assert!(settings.is_ok(), "{}", settings.unwrap_err());
}

#[tokio::test]
async fn the_curl_examples_of_the_readme_are_answered() {
    let mut world = World::new("observe").await;
    world.run(60).await;
    let mut answered = 0;
    for line in README.lines().filter(|line| line.starts_with("curl ")) {
        let url = line.split_whitespace().find(|word| word.contains("http://")).expect("an address");
        let path = url.trim_matches('\'').strip_prefix("http://127.0.0.1:8700").expect("the default address");
        let status = if line.contains(" -d ") {
            world.post(path, "application/json", SUMMARY).await
        } else {
            // The simulated world's service has another name, and its horizon is shorter.
            world.status(&path.replace("/cart/", "/shop/").replace("30m", "10m")).await
        };
        assert_eq!(status, StatusCode::OK, "{line}");
        answered += 1;
    }
    assert!(answered >= 10, "the README has {answered} examples");
}
