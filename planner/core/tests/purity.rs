//! The core stays pure: no dependency that does IO, no clock, no environment, no threads, no unseeded randomness.
use std::{fs, path::Path};

/// What the core may depend on. Another crate needs a reason and a look at what it pulls in.
/// `schemars` describes what policies may say, for the API server of a cluster.
const ALLOWED: [&str; 7] =
    ["foremesh-summary", "hdrhistogram", "schemars", "serde", "serde_json", "sha2", "thiserror"];

/// Names that may not stand in the code at all: IO, clocks, and maps that iterate in random order.
const FORBIDDEN_NAMES: [&str; 30] = [
    "tokio",
    "axum",
    "kube",
    "clap",
    "anyhow",
    "hyper",
    "rusqlite",
    "chrono",
    "jiff",
    "SystemTime",
    "Instant",
    "rand",
    "getrandom",
    "fastrand",
    "thread_rng",
    "RandomState",
    "HashMap",
    "HashSet",
    // Of `std::sync` sharing alone is pure.
    "Mutex",
    "RwLock",
    "Condvar",
    "Barrier",
    "OnceLock",
    "LazyLock",
    "atomic",
    "mpsc",
    "env",
    "option_env",
    "include_str",
    "println",
];

/// Modules of the standard library that may not be used.
const FORBIDDEN_STD: [&str; 6] = ["env", "fs", "net", "process", "thread", "os"];

#[test]
fn dependencies_are_the_allowed_ones() {
    let manifest = fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("Cargo.toml")).unwrap();
    assert_eq!(dependency_problems(&manifest), Vec::<String>::new());
}

#[test]
fn sources_name_nothing_impure() {
    let mut problems = Vec::new();
    let mut files = 0;
    let mut open = vec![Path::new(env!("CARGO_MANIFEST_DIR")).join("src")];
    while let Some(folder) = open.pop() {
        for entry in fs::read_dir(&folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                open.push(path);
            } else if path.extension().is_some_and(|extension| extension == "rs") {
                files += 1;
                let found = source_problems(&fs::read_to_string(&path).unwrap());
                problems.extend(found.into_iter().map(|problem| format!("{}: {problem}", path.display())));
            }
        }
    }
    assert!(files > 20, "only {files} sources were found");
    assert_eq!(problems, Vec::<String>::new());
}

#[test]
fn the_check_finds_what_it_looks_for() {
    for bad in [
        "use tokio::time::sleep;",
        "fn f() -> std::time::SystemTime { todo!() }",
        "let now = Instant::now();",
        "let now = jiff::Timestamp::now();",
        "use std::{env, fmt};",
        "use std::{collections::BTreeMap, fs::File};",
        "use std::{fmt, io::{self}, process};",
        "let x = std :: env :: var(\"X\");",
        "let home = env!(\"HOME\");",
        "std::thread::spawn(|| ());",
        "use std::sync::{Arc, Mutex};",
        "static SEEN: std::sync::atomic::AtomicBool = AtomicBool::new(false);",
        "let mut rng = rand::rng();",
        "let seen: HashMap<u8, u8> = HashMap::new();",
    ] {
        assert!(!source_problems(bad).is_empty(), "not found: {bad}");
    }
    for good in [
        "// no tokio, no SystemTime here",
        "let x = value.clamp(0, 1); let operand = 3;",
        "use std::{collections::{BTreeMap, BTreeSet}, fmt, sync::Arc};",
        "let text = \"the environment: env, Instant\";",
        "let network = std::net_worth;",
    ] {
        assert_eq!(source_problems(good), Vec::<String>::new(), "{good}");
    }
    assert!(!dependency_problems("[dependencies]\nserde.workspace = true\ntokio = \"1\"\n").is_empty());
    assert!(!dependency_problems("[target.'cfg(unix)'.dependencies]\nlibc = \"1\"\n").is_empty());
    assert!(!dependency_problems("[build-dependencies]\ncc = \"1\"\n").is_empty());
    assert!(
        dependency_problems("[dependencies]\nserde = \"1\"\n[dev-dependencies]\ntempfile = \"3\"\n")
            .is_empty()
    );
}

fn dependency_problems(manifest: &str) -> Vec<String> {
    let mut section = "";
    let mut problems = Vec::new();
    for line in manifest.lines().map(str::trim).filter(|line| !line.is_empty() && !line.starts_with('#')) {
        if line.starts_with('[') {
            section = line.trim_matches(['[', ']']);
            continue;
        }
        let counts = section.ends_with("dependencies") && section != "dev-dependencies";
        let name = line.split(['.', '=', ' ']).next().unwrap_or_default();
        if counts && !ALLOWED.contains(&name) {
            problems.push(format!("[{section}] names {name}"));
        }
    }
    problems
}

fn source_problems(source: &str) -> Vec<String> {
    let code = without_comments_and_texts(source);
    let words = code.split(|c: char| !c.is_alphanumeric() && c != '_');
    let mut problems: Vec<String> =
        words.filter(|word| FORBIDDEN_NAMES.contains(word)).map(|word| format!("names {word}")).collect();
    let dense: String = code.split_whitespace().collect();
    for (at, _) in dense.match_indices("std::") {
        for module in modules_after(&dense[at + "std::".len()..]) {
            if FORBIDDEN_STD.contains(&module) {
                problems.push(format!("uses std::{module}"));
            }
        }
    }
    problems
}

/// First path segments after `std::`: one, or those of a group in braces.
fn modules_after(path: &str) -> Vec<&str> {
    let segment = |text: &'_ str| text.find(|c: char| !c.is_alphanumeric() && c != '_').unwrap_or(text.len());
    let Some(group) = path.strip_prefix('{') else { return vec![&path[..segment(path)]] };
    let mut modules = Vec::new();
    let (mut depth, mut start) = (0, 0);
    for (at, c) in group.char_indices() {
        match c {
            '{' => depth += 1,
            '}' if depth > 0 => depth -= 1,
            '}' | ',' if depth == 0 => {
                modules.push(&group[start..start + segment(&group[start..])]);
                start = at + 1;
                if c == '}' {
                    break;
                }
            }
            _ => {}
        }
    }
    modules
}

/// Cuts line comments and the insides of plain string literals; enough for the sources of this crate.
fn without_comments_and_texts(source: &str) -> String {
    let mut code = String::new();
    for line in source.lines() {
        let mut inside = false;
        let mut previous = ' ';
        for c in line.chars() {
            if !inside && c == '/' && previous == '/' {
                break;
            }
            if c == '"' && previous != '\\' && previous != '\'' {
                inside = !inside;
            } else if !inside {
                code.push(c);
            }
            previous = if previous == '\\' && c == '\\' { ' ' } else { c };
        }
        code.push('\n');
    }
    code
}
