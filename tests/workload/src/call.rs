//! One request, with its answer as one JSON document.

use std::net::SocketAddr;
use std::time::Duration;

use foremesh_demo::request;
use hyper::Uri;

use crate::failure::{Failure, chain};

/// What to ask.
#[derive(Debug, Clone, clap::Args)]
pub(crate) struct CallArgs {
    /// Whom to ask.
    pub(crate) url: Uri,
    /// HTTP method.
    #[arg(long, default_value = "GET")]
    pub(crate) method: String,
    /// How long the answer may take, in milliseconds.
    #[arg(long, default_value_t = 5_000)]
    pub(crate) timeout_ms: u64,
    /// Ends with 1 unless the answer has this status: for health checks.
    #[arg(long, value_name = "STATUS")]
    pub(crate) expect: Option<u16>,
}

/// Where a URL leads.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Target {
    /// Host, with a port unless it is 80: the value of the `host` header.
    pub(crate) host: String,
    pub(crate) name: String,
    pub(crate) port: u16,
    pub(crate) path: String,
}

/// Sends one request and prints `{"status", "body"}`, or `{"error"}` when there was no answer.
pub(crate) async fn call(args: CallArgs) -> Result<(), Failure> {
    let target = target(&args.url)?;
    let address = resolve(&target).await?;
    let answer = request(address, &args.method, &target.path, Duration::from_millis(args.timeout_ms)).await;
    let document = match answer {
        Ok(answer) => {
            // A body that is JSON stays JSON.
            let body = serde_json::from_str(&answer.body).unwrap_or(serde_json::Value::String(answer.body));
            serde_json::json!({"status": answer.status, "body": body})
        }
        Err(error) => serde_json::json!({"error": chain(&error)}),
    };
    println!("{document}");
    match args.expect {
        Some(expected) if document["status"] != expected => {
            Err(Failure::Unexpected { url: args.url.to_string(), expected, told: document.to_string() })
        }
        _ => Ok(()),
    }
}

/// Takes a URL apart.
pub(crate) fn target(url: &Uri) -> Result<Target, Failure> {
    let wrong = || Failure::Url { url: url.to_string() };
    let (Some("http"), Some(authority)) = (url.scheme_str(), url.authority()) else { return Err(wrong()) };
    let path = url.path_and_query().map_or("/", |path| path.as_str());
    Ok(Target {
        host: authority.as_str().to_owned(),
        name: authority.host().to_owned(),
        port: authority.port_u16().unwrap_or(80),
        path: path.to_owned(),
    })
}

/// The first address of a target.
pub(crate) async fn resolve(target: &Target) -> Result<SocketAddr, Failure> {
    let host = || target.name.clone();
    let found = tokio::net::lookup_host((target.name.as_str(), target.port)).await;
    let mut found = found.map_err(|source| Failure::Resolve { host: host(), source })?;
    found.next().ok_or_else(|| Failure::NoAddress { host: host() })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn urls_are_taken_apart() {
        let cases = [
            ("http://web:8080/a?b=c", Some(("web:8080", "web", 8080, "/a?b=c"))),
            ("http://10.0.0.1", Some(("10.0.0.1", "10.0.0.1", 80, "/"))),
            ("https://web/", None),
            ("/only/a/path", None),
        ];
        for (url, want) in cases {
            let got = target(&url.parse().unwrap()).ok();
            let got = got.as_ref().map(|t| (t.host.as_str(), t.name.as_str(), t.port, t.path.as_str()));
            assert_eq!(got, want, "{url}");
        }
    }
}
