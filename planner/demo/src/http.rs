//! One HTTP request on a connection of its own, with a deadline: for agents and admin interfaces.

use std::net::SocketAddr;
use std::time::Duration;

use http_body_util::{BodyExt, Empty};
use hyper::Request;
use hyper::body::Bytes;
use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;

/// Why a request got no answer. Names the address; the remedy is with the caller, who knows what should listen there.
#[derive(Debug, thiserror::Error)]
pub enum HttpError {
    /// Nothing accepts connections at the address.
    #[error("nothing accepts connections at {address}")]
    Connect {
        /// Who was called.
        address: SocketAddr,
        /// What the system said.
        #[source]
        source: std::io::Error,
    },
    /// The request cannot be written as HTTP, such as a path with a space.
    #[error("`{path}` is not a valid path")]
    Path {
        /// Path and query as given.
        path: String,
        /// What is wrong with it.
        #[source]
        source: hyper::http::Error,
    },
    /// The connection broke before the whole answer was there.
    #[error("{address} broke the connection before it answered")]
    Broken {
        /// Who was called.
        address: SocketAddr,
        /// What happened.
        #[source]
        source: hyper::Error,
    },
    /// The answer took too long.
    #[error("{address} did not answer within {deadline:?}")]
    Deadline {
        /// Who was called.
        address: SocketAddr,
        /// How long the caller waited.
        deadline: Duration,
    },
}

/// A complete answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Answer {
    /// HTTP status code.
    pub status: u16,
    /// Body, with what is not UTF-8 replaced.
    pub body: String,
}

impl Answer {
    /// Whether the status is 2xx.
    pub fn is_success(&self) -> bool {
        (200..300).contains(&self.status)
    }
}

/// Sends one request without body and reads the whole answer.
pub async fn request(
    address: SocketAddr,
    method: &str,
    path: &str,
    deadline: Duration,
) -> Result<Answer, HttpError> {
    tokio::time::timeout(deadline, exchange(address, method, path))
        .await
        .unwrap_or(Err(HttpError::Deadline { address, deadline }))
}

async fn exchange(address: SocketAddr, method: &str, path: &str) -> Result<Answer, HttpError> {
    let broken = |source| HttpError::Broken { address, source };
    let stream =
        TcpStream::connect(address).await.map_err(|source| HttpError::Connect { address, source })?;
    let (mut sender, connection) =
        hyper::client::conn::http1::handshake(TokioIo::new(stream)).await.map_err(broken)?;
    let request = Request::builder()
        .method(method)
        .uri(path)
        .header("host", address.to_string())
        .header("connection", "close")
        .body(Empty::<Bytes>::new())
        .map_err(|source| HttpError::Path { path: path.to_owned(), source })?;
    let answer = async {
        let response = sender.send_request(request).await?;
        let status = response.status().as_u16();
        let body = response.into_body().collect().await?.to_bytes();
        Ok(Answer { status, body: String::from_utf8_lossy(&body).into_owned() })
    };
    let mut connection = std::pin::pin!(connection);
    let mut answer = std::pin::pin!(answer);
    tokio::select! {
        answer = &mut answer => answer.map_err(broken),
        closed = &mut connection => {
            closed.map_err(broken)?;
            answer.await.map_err(broken)
        }
    }
}
