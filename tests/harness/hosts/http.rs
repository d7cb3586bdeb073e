//! One request to the planner, with everything that is looked at in its answer.
use http_body_util::{BodyExt as _, Full};
use hyper::{Request, body::Bytes, header::CONTENT_TYPE};
use hyper_util::{client::legacy::Client, rt::TokioExecutor};
use serde_json::Value;
use std::{net::SocketAddr, time::Duration};

const PATIENCE: Duration = Duration::from_secs(10);

/// A whole answer.
#[derive(Clone, Debug)]
pub struct Answer {
    /// HTTP status.
    pub status: u16,
    /// Its media type; empty without one.
    pub content_type: String,
    /// Its text.
    pub body: String,
}

impl Answer {
    /// The body as JSON; null when it is none.
    pub fn json(&self) -> Value {
        serde_json::from_str(&self.body).unwrap_or_default()
    }
}

/// Asks once; the error is what went wrong on the way.
pub(super) async fn get(server: SocketAddr, path: &str) -> Result<Answer, String> {
    send(server, "GET", path, None).await
}

/// Sends a body, with its content type.
pub async fn post(server: SocketAddr, path: &str, body: Option<(&str, Vec<u8>)>) -> Result<Answer, String> {
    send(server, "POST", path, body).await
}

async fn send(
    server: SocketAddr,
    method: &str,
    path: &str,
    body: Option<(&str, Vec<u8>)>,
) -> Result<Answer, String> {
    let mut request = Request::builder().method(method).uri(format!("http://{server}{path}"));
    if let Some((kind, _)) = &body {
        request = request.header(CONTENT_TYPE, *kind);
    }
    let body = Full::new(Bytes::from(body.map(|(_, bytes)| bytes).unwrap_or_default()));
    let request = request.body(body).map_err(|error| format!("`{path}` is no path: {error}"))?;
    let exchange = async {
        let client = Client::builder(TokioExecutor::new()).build_http();
        let response = client.request(request).await.map_err(|error| format!("no answer: {error:?}"))?;
        let status = response.status().as_u16();
        let kind = response.headers().get(CONTENT_TYPE).and_then(|value| value.to_str().ok());
        let content_type = kind.unwrap_or_default().to_owned();
        let body = response.into_body().collect().await.map_err(|error| format!("cut off: {error}"))?;
        let body = String::from_utf8_lossy(&body.to_bytes()).into_owned();
        Ok(Answer { status, content_type, body })
    };
    let answered = tokio::time::timeout(PATIENCE, exchange).await;
    answered.unwrap_or_else(|_| Err(format!("{method} {path} was not answered within {PATIENCE:?}")))
}
