//! The part `regressors` of the settings.
use crate::settings::Span;
use foremesh_core::calendar::Scope;
use serde::Deserialize;

/// One regressor that the operators declare. Without `promql` it is pushed, and what is said here holds for every push.
#[derive(Clone, Debug, Deserialize, PartialEq)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub struct RegressorSettings {
    /// Its name, as in `POST /api/v1/regressors/{name}`.
    pub name: String,
    /// Unit of its values, for people.
    #[serde(default)]
    pub unit: Option<String>,
    /// What it may influence; everything when left out.
    #[serde(default)]
    pub scope: Option<Scope>,
    /// How long a value holds when no newer one follows; one step when left out.
    #[serde(default)]
    pub hold: Option<Span>,
    /// Reads it from a Prometheus-compatible API: an expression that gives one series.
    #[serde(default)]
    pub promql: Option<String>,
    /// Address of that API, such as `http://prometheus:9090`.
    #[serde(default)]
    pub url: Option<String>,
    /// Time between two reads.
    #[serde(default = "default_interval")]
    pub interval: Span,
    /// The expression is a plan, written this much ahead: its value now is that of so much later. Without it nothing is
    /// known of the future of what is read.
    #[serde(default)]
    pub known_future: Option<Span>,
}

const fn default_interval() -> Span {
    Span::from_secs(60)
}

/// A value that cannot be accepted.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("regressor `{name}`: `{field}` is {value}, but must be {limit}")]
pub struct RegressorSettingsError {
    name: String,
    field: &'static str,
    value: String,
    limit: String,
}

/// Names go into paths, labels and tables.
pub(crate) fn is_name(name: &str) -> bool {
    let letter = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '-' | '.');
    (1..=100).contains(&name.len()) && name.chars().all(letter) && name.starts_with(|c: char| c != '.')
}

fn is_address(url: &str) -> bool {
    url.parse::<reqwest::Url>().is_ok_and(|url| matches!(url.scheme(), "http" | "https") && url.has_host())
}

/// What a name may be, for errors.
pub(crate) const NAME_LIMIT: &str = "1 to 100 letters, digits, `_`, `-` and `.`, not beginning with `.`";

/// Checks all of them together.
pub(super) fn check(all: &[RegressorSettings]) -> Result<(), RegressorSettingsError> {
    for (index, regressor) in all.iter().enumerate() {
        let refuse = |field, value: String, limit: &str| {
            Err(RegressorSettingsError {
                name: regressor.name.clone(),
                field,
                value,
                limit: limit.to_owned(),
            })
        };
        if !is_name(&regressor.name) {
            return refuse("name", format!("`{}`", regressor.name), NAME_LIMIT);
        }
        if all.iter().take(index).any(|other| other.name == regressor.name) {
            return refuse(
                "name",
                format!("`{}`", regressor.name),
                "another one: there are two of this name",
            );
        }
        if regressor.hold.is_some_and(|hold| hold.ms() < 1) {
            return refuse("hold", "0".into(), "longer than nothing; leave it out for one step");
        }
        if regressor.interval.ms() < 1000 {
            return refuse("interval", regressor.interval.to_string(), "1s or more");
        }
        match (&regressor.promql, &regressor.url) {
            (None, Some(_)) => return refuse("promql", "missing".into(), "given with `url`"),
            (Some(_), None) => {
                return refuse(
                    "url",
                    "missing".into(),
                    "given with `promql`, such as http://prometheus:9090",
                );
            }
            (None, None) if regressor.known_future.is_some() => {
                return refuse(
                    "knownFuture",
                    "given".into(),
                    "given only with `promql`; what is pushed has its own times",
                );
            }
            (Some(_), Some(url)) if !is_address(url) => {
                return refuse("url", format!("`{url}`"), "an address such as http://prometheus:9090");
            }
            (Some(query), _) if query.trim().is_empty() => {
                return refuse("promql", "empty".into(), "an expression that gives one series");
            }
            _ => {}
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_bad_regressor_gets_one_clear_error() {
        for (name, text, want) in [
            ("name", "[{name: a/b}]", "regressor `a/b`: `name` is `a/b`, but must be 1 to 100 letters"),
            ("twice", "[{name: a}, {name: a}]", "there are two of this name"),
            ("no hold", "[{name: a, hold: 0s}]", "`hold` is 0, but must be longer than nothing"),
            ("too often", "[{name: a, promql: up, url: 'http://p', interval: 10ms}]", "`interval` is 10ms"),
            (
                "url alone",
                "[{name: a, url: 'http://p'}]",
                "`promql` is missing, but must be given with `url`",
            ),
            ("future of a push", "[{name: a, knownFuture: 1h}]", "given only with `promql`"),
            ("no address", "[{name: a, promql: up, url: 'prometheus:9090'}]", "`url` is `prometheus:9090`"),
            ("no url", "[{name: a, promql: up}]", "`url` is missing, but must be given with `promql`"),
            ("empty", "[{name: a, promql: ' ', url: 'http://p'}]", "`promql` is empty"),
        ] {
            let all: Vec<RegressorSettings> = yaml_serde::from_str(text).unwrap();
            let problem = check(&all).unwrap_err().to_string();
            assert!(problem.contains(want), "case {name}: {problem}");
        }
        assert!(yaml_serde::from_str::<Vec<RegressorSettings>>("[{name: a, prom: up}]").is_err());
    }
}
