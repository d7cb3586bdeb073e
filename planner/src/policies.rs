//! Policies: reading those of files, with one clear error for each thing that is wrong, and those of a cluster, of which each
//! is in force or says why not.
mod confined;
mod in_force;
pub mod judge;

pub use confined::Confined;
pub use in_force::Policies;

use crate::settings::Span;
use foremesh_calendar::check_freezes;
use foremesh_core::{
    document::SpecProblem,
    policy::{PolicyDocument, RelocationPolicy, validate},
};
use std::{
    fmt::Write as _,
    path::{Path, PathBuf},
};

/// Why policies were refused. A planner with one bad policy does not start: half of what the operators wrote is not
/// what they meant.
#[derive(Debug, thiserror::Error)]
pub enum PolicyError {
    /// A file or directory could not be read.
    #[error("policy file `{path}` cannot be read; correct `policies` in the settings")]
    Read {
        /// The file or directory.
        path: PathBuf,
        /// The cause.
        #[source]
        source: std::io::Error,
    },
    /// The file is not YAML, or has an unknown field or a value of the wrong kind.
    #[error("policy file `{path}`, document {document}: {problem}")]
    Parse {
        /// The file.
        path: PathBuf,
        /// Which of its documents, from 1.
        document: usize,
        /// What the parser said, with line and column.
        problem: String,
    },
    /// Values that cannot be accepted; all of them at once.
    #[error("policy file `{path}`, policy `{policy}`:{problems}")]
    Problems {
        /// The file.
        path: PathBuf,
        /// The policy.
        policy: String,
        /// One line each.
        problems: String,
    },
    /// Two policies have one name.
    #[error("policy `{policy}` is in `{first}` and in `{second}`; give one of them another name")]
    Twice {
        /// The name.
        policy: String,
        /// One file.
        first: PathBuf,
        /// The other.
        second: PathBuf,
    },
    /// It looks further ahead than forecasts do.
    #[error(
        "policy `{policy}` looks {within_ms} ms ahead, but the planner's `horizon` is {horizon}; lengthen `horizon` or \
         shorten `within`"
    )]
    BeyondHorizon {
        /// The policy.
        policy: String,
        /// How far it looks, in milliseconds.
        within_ms: i64,
        /// How far forecasts look.
        horizon: Span,
    },
    /// No policy at all.
    #[error(
        "there is no policy in {0}; add a `*.yaml` file with a RelocationPolicy, in mode `observe` to begin with"
    )]
    None(String),
}

/// Reads all policies, none where no file is named: from files as named, from directories every `*.yaml` and `*.yml` in the order of their names.
///
/// # Errors
/// At the first file that cannot be accepted.
pub fn read_all(paths: &[PathBuf]) -> Result<Vec<RelocationPolicy>, PolicyError> {
    let mut found: Vec<(PathBuf, RelocationPolicy)> = Vec::new();
    for file in files(paths)? {
        let text = std::fs::read_to_string(&file)
            .map_err(|source| PolicyError::Read { path: file.clone(), source })?;
        for policy in parse(&file, &text)? {
            if let Some((first, _)) = found.iter().find(|(_, other)| other.id == policy.id) {
                return Err(PolicyError::Twice {
                    policy: policy.id.to_string(),
                    first: first.clone(),
                    second: file,
                });
            }
            found.push((file.clone(), policy));
        }
    }
    if found.is_empty() && !paths.is_empty() {
        let list: Vec<String> = paths.iter().map(|path| format!("`{}`", path.display())).collect();
        return Err(PolicyError::None(list.join(", ")));
    }
    Ok(found.into_iter().map(|(_, policy)| policy).collect())
}

/// The policies of one file, which may hold several documents.
///
/// # Errors
/// When a document cannot be parsed or accepted.
pub fn parse(path: &Path, text: &str) -> Result<Vec<RelocationPolicy>, PolicyError> {
    let mut policies = Vec::new();
    for (at, document) in yaml_serde::Deserializer::from_str(text).enumerate() {
        let document: PolicyDocument =
            serde::Deserialize::deserialize(document).map_err(|error: yaml_serde::Error| {
                PolicyError::Parse { path: path.to_owned(), document: at + 1, problem: error.to_string() }
            })?;
        policies.push(checked(&document).map_err(|problems| PolicyError::Problems {
            path: path.to_owned(),
            policy: document.metadata.name.clone(),
            problems: problems.iter().fold(String::new(), |mut text, problem| {
                let _ = write!(text, "\n  {problem}");
                text
            }),
        })?);
    }
    Ok(policies)
}

/// The policy of a document, its freeze windows checked too.
///
/// # Errors
/// All problems at once.
pub fn checked(document: &PolicyDocument) -> Result<RelocationPolicy, Vec<SpecProblem>> {
    let policy = validate(document)?;
    let problems = check_freezes(&policy);
    if problems.is_empty() { Ok(policy) } else { Err(problems) }
}

/// Refuses a policy that looks further ahead than forecasts do: it would never come to a decision.
///
/// # Errors
/// [`PolicyError::BeyondHorizon`].
pub fn check_horizon(policy: &RelocationPolicy, horizon: Span) -> Result<(), PolicyError> {
    let within_ms = policy.rules.iter().map(|rule| rule.when.within_ms()).max().unwrap_or(0);
    if within_ms > horizon.ms() {
        return Err(PolicyError::BeyondHorizon { policy: policy.id.to_string(), within_ms, horizon });
    }
    Ok(())
}

/// Files as named, and of directories every `*.yaml` and `*.yml` in the order of their names.
///
/// # Errors
/// When a directory cannot be read.
pub fn files(paths: &[PathBuf]) -> Result<Vec<PathBuf>, PolicyError> {
    let mut files = Vec::new();
    for path in paths {
        if !path.is_dir() {
            files.push(path.clone());
            continue;
        }
        let fail = |source| PolicyError::Read { path: path.clone(), source };
        let mut inside = Vec::new();
        for entry in std::fs::read_dir(path).map_err(fail)? {
            let file = entry.map_err(fail)?.path();
            if file.extension().is_some_and(|kind| kind == "yaml" || kind == "yml") {
                inside.push(file);
            }
        }
        inside.sort();
        files.append(&mut inside);
    }
    Ok(files)
}

#[cfg(test)]
mod tests {
    use super::*;

    const GOOD: &str = "
apiVersion: foremesh.dev/v1alpha1
kind: RelocationPolicy
metadata: {name: shop}
spec:
  selector: {services: [shop]}
  rules:
    - name: slow
      predictedLatency: {quantile: 0.99, above: 250ms}
";

    fn error_of(text: &str) -> String {
        parse(Path::new("shop.yaml"), text).unwrap_err().to_string()
    }

    #[test]
    fn a_file_may_hold_several_policies() {
        let text = format!("{GOOD}---{}", GOOD.replace("name: shop", "name: cart"));
        let names: Vec<String> =
            parse(Path::new("all.yaml"), &text).unwrap().iter().map(|p| p.id.to_string()).collect();
        assert_eq!(names, ["shop", "cart"]);
    }

    #[test]
    fn each_bad_policy_gets_one_clear_error() {
        for (name, text, want) in [
            (
                "unknown field",
                GOOD.replace("above", "abvoe"),
                "policy file `shop.yaml`, document 1: spec.rules[0].predictedLatency: unknown field `abvoe`",
            ),
            (
                "bad value",
                GOOD.replace("250ms", "fast"),
                "policy file `shop.yaml`, policy `shop`:\n  spec.rules[0].predictedLatency.above is `fast`, but it must be a \
                 duration; write a whole number and a unit",
            ),
            ("not yaml", "a: [".to_owned(), "policy file `shop.yaml`, document 1: "),
        ] {
            let found = error_of(&text);
            assert!(found.starts_with(want), "case {name}: {found}");
        }
    }

    #[test]
    fn one_name_in_two_files_is_refused() {
        let directory = tempfile::tempdir().unwrap();
        for file in ["a.yaml", "b.yaml"] {
            std::fs::write(directory.path().join(file), GOOD).unwrap();
        }
        let found = read_all(&[directory.path().to_owned()]).unwrap_err().to_string();
        assert!(
            found.starts_with("policy `shop` is in `") && found.ends_with("give one of them another name"),
            "{found}"
        );
    }

    #[test]
    fn no_policy_at_all_is_refused() {
        let directory = tempfile::tempdir().unwrap();
        assert!(
            read_all(&[directory.path().to_owned()])
                .unwrap_err()
                .to_string()
                .contains("there is no policy in")
        );
    }
}
