//! One request to the API server, answered with plain JSON: no field of anybody's object is lost.
use kube::Client;
use serde_json::Value;
use std::time::Duration;

/// How long one request may take.
const DEADLINE: Duration = Duration::from_secs(10);

/// A request, or why it could not be put together.
pub type Built = Result<hyper::Request<Vec<u8>>, kube::core::request::Error>;

/// Asks, and waits for the answer no longer than it may take.
///
/// # Errors
/// What the API server or the way to it says.
pub async fn ask(client: &Client, request: Built) -> Result<Value, kube::Error> {
    let request = request.map_err(kube::Error::BuildRequest)?;
    match tokio::time::timeout(DEADLINE, client.request::<Value>(request)).await {
        Ok(answer) => answer,
        Err(late) => Err(kube::Error::Service(Box::new(late))),
    }
}
