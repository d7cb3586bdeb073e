//! A small HTTP client for the commands that ask a running planner.
use http_body_util::{BodyExt, Full, Limited};
use hyper::{Method, Request, StatusCode, Uri, body::Bytes};
use hyper_util::{client::legacy::Client, rt::TokioExecutor};
use serde_json::Value;
use std::time::Duration;

/// Longest answer that is read.
const MAX_ANSWER_BYTES: usize = 64 << 20;
const TIMEOUT: Duration = Duration::from_secs(30);

/// Why a planner did not answer as asked.
#[derive(Debug, thiserror::Error)]
pub enum ClientError {
    /// The server's address is not an address.
    #[error("`{0}` is not an address; write it as http://HOST:PORT")]
    Address(String),
    /// Nobody answers there.
    #[error("no planner answers at {url}; start one with `foremesh serve`, or name another with --server")]
    Unreachable {
        /// What was asked.
        url: String,
        /// The cause.
        #[source]
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// It answered with an error.
    #[error("the planner answered {status} to {url}: {detail}")]
    Refused {
        /// What was asked.
        url: String,
        /// HTTP status.
        status: StatusCode,
        /// The problem's detail.
        detail: String,
    },
    /// The answer is not JSON.
    #[error("the answer to {url} is not JSON; is that address a Foremesh planner?")]
    NotJson {
        /// What was asked.
        url: String,
    },
}

/// Asks `server` for `path` and returns the JSON of the answer.
///
/// # Errors
/// When nobody answers, or the answer is an error or no JSON.
pub async fn request(server: &str, method: Method, path: &str) -> Result<Value, ClientError> {
    send(server, method, path, None).await
}

/// Asks `server` for `path` and returns the text of the answer.
///
/// # Errors
/// When nobody answers, or the answer is an error.
pub async fn text(server: &str, path: &str) -> Result<String, ClientError> {
    let (url, status, body) = exchange(server, Method::GET, path, None).await?;
    if status.is_success() {
        return Ok(String::from_utf8_lossy(&body).trim().to_owned());
    }
    Err(ClientError::Refused { url, status, detail: "it does not serve that".to_owned() })
}

/// Sends a body of a media type to `server`, or none, and returns the JSON of the answer.
///
/// # Errors
/// As [`request`].
pub async fn send(
    server: &str,
    method: Method,
    path: &str,
    body: Option<(&str, Vec<u8>)>,
) -> Result<Value, ClientError> {
    let (url, status, body) = exchange(server, method, path, body).await?;
    let value: Value =
        serde_json::from_slice(&body).map_err(|_| ClientError::NotJson { url: url.clone() })?;
    if status.is_success() {
        return Ok(value);
    }
    let detail = value.get("detail").and_then(Value::as_str).unwrap_or_default().to_owned();
    Err(ClientError::Refused { url, status, detail })
}

/// What was asked, and the answer.
async fn exchange(
    server: &str,
    method: Method,
    path: &str,
    body: Option<(&str, Vec<u8>)>,
) -> Result<(String, StatusCode, Bytes), ClientError> {
    let url = format!("{}{path}", server.trim_end_matches('/'));
    let uri: Uri = url.parse().map_err(|_| ClientError::Address(server.to_owned()))?;
    if uri.scheme_str() != Some("http") || uri.authority().is_none() {
        return Err(ClientError::Address(server.to_owned()));
    }
    let unreachable = |source| ClientError::Unreachable { url: url.clone(), source };
    let mut request = Request::builder().method(method).uri(uri);
    let mut content = Bytes::new();
    if let Some((media_type, body)) = body {
        request = request.header(hyper::header::CONTENT_TYPE, media_type);
        content = body.into();
    }
    let request = request.body(Full::new(content)).map_err(|e| unreachable(Box::new(e)))?;
    let ask = async {
        let answer = Client::builder(TokioExecutor::new()).build_http().request(request).await?;
        let status = answer.status();
        let body = Limited::new(answer.into_body(), MAX_ANSWER_BYTES).collect().await?.to_bytes();
        Ok::<_, Box<dyn std::error::Error + Send + Sync>>((status, body))
    };
    let (status, body) = tokio::time::timeout(TIMEOUT, ask)
        .await
        .map_err(|e| unreachable(Box::new(e)))?
        .map_err(unreachable)?;
    Ok((url, status, body))
}
