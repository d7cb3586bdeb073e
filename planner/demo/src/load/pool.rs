//! Keep-alive connections to one address, and one request over them.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use http_body_util::{BodyExt, Empty};
use hyper::Request;
use hyper::body::Bytes;
use hyper::client::conn::http1::{SendRequest, handshake};
use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;
use tokio::sync::Semaphore;
use tokio::time::Instant;

use super::window::Recorder;
use super::{LoadError, LoadSpec};
use crate::clock;

type Connection = SendRequest<Empty<Bytes>>;

/// Where requests go, and what they look like.
#[derive(Debug)]
pub(super) struct Target {
    address: SocketAddr,
    request: Request<Empty<Bytes>>,
    timeout: Duration,
    limit: Semaphore,
    /// Connections without a request; the one used last is used first, so that surplus ones stay idle.
    idle: Mutex<Vec<Connection>>,
    recorder: Arc<Recorder>,
}

impl Target {
    pub(super) fn new(spec: &LoadSpec) -> Result<Self, LoadError> {
        let request = Request::get(&spec.path).header("host", &spec.host).body(Empty::new());
        let request = request.map_err(|source| LoadError::Request {
            host: spec.host.clone(),
            path: spec.path.clone(),
            source,
        })?;
        let recorder = Recorder::new().map_err(|source| LoadError::Histogram { source })?;
        Ok(Self {
            address: spec.address,
            request,
            timeout: spec.request_timeout,
            limit: Semaphore::new(spec.connections),
            idle: Mutex::new(Vec::new()),
            recorder: Arc::new(recorder),
        })
    }

    pub(super) fn recorder(&self) -> &Arc<Recorder> {
        &self.recorder
    }

    /// Sends one request and records how it ended.
    pub(super) async fn send(self: Arc<Self>, due: Instant) {
        // Closed only when the target is dropped, which this call prevents.
        let Ok(_permit) = self.limit.acquire().await else { return };
        let result = tokio::time::timeout_at(due + self.timeout, self.exchange()).await;
        let latency = due.elapsed();
        let connection = match result {
            Ok(Ok((200..300, connection))) => {
                self.recorder.succeeded(latency);
                connection
            }
            Ok(Ok((status, connection))) => {
                self.recorder.failed(clock::unix_ms(), latency, format!("status {status}"));
                connection
            }
            Ok(Err(text)) => return self.recorder.failed(clock::unix_ms(), latency, text),
            Err(_) => {
                let text = format!("no answer within {:?}", self.timeout);
                return self.recorder.failed(clock::unix_ms(), latency, text);
            }
        };
        self.keep(connection).await;
    }

    /// Keeps a connection for the next request, once it is ready for one.
    async fn keep(&self, mut connection: Connection) {
        if connection.ready().await.is_ok() {
            self.idle.lock().unwrap_or_else(PoisonError::into_inner).push(connection);
        }
    }

    /// One request on an idle connection, or on a new one. It is counted once, when it is given to a connection; a
    /// connection that was closed before it could write gives it back, and the next one carries it.
    async fn exchange(&self) -> Result<(u16, Connection), String> {
        let mut request = self.request.clone();
        let mut counted = false;
        loop {
            let idle = self.take_idle();
            let is_new = idle.is_none();
            let mut connection = match idle {
                Some(connection) => connection,
                None => self.connect().await.inspect_err(|_| {
                    if counted {
                        self.recorder.unsent();
                    }
                })?,
            };
            if !counted {
                self.recorder.sent();
                counted = true;
            }
            let error = match connection.try_send_request(request).await {
                Ok(response) => {
                    let status = response.status().as_u16();
                    let body = response.into_body().collect().await;
                    body.map_err(|error| format!("the answer broke off: {}", chain(&error)))?;
                    return Ok((status, connection));
                }
                Err(error) => error,
            };
            let mut error = error;
            match error.take_message() {
                Some(unsent) if !is_new => request = unsent,
                Some(_) => {
                    self.recorder.unsent();
                    return Err(format!("closed before the request: {}", chain(error.error())));
                }
                None => return Err(format!("no answer: {}", chain(error.error()))),
            }
        }
    }

    fn take_idle(&self) -> Option<Connection> {
        let mut idle = self.idle.lock().unwrap_or_else(PoisonError::into_inner);
        std::iter::from_fn(|| idle.pop()).find(SendRequest::is_ready)
    }

    async fn connect(&self) -> Result<Connection, String> {
        let failed =
            |error: &dyn std::error::Error| format!("no connection to {}: {}", self.address, chain(error));
        let stream = TcpStream::connect(self.address).await.map_err(|error| failed(&error))?;
        stream.set_nodelay(true).map_err(|error| failed(&error))?;
        let (sender, connection) = handshake(TokioIo::new(stream)).await.map_err(|error| failed(&error))?;
        // Its errors reach the request that runs over it.
        tokio::spawn(connection);
        Ok(sender)
    }
}

/// An error with its causes, in one line.
fn chain(error: &dyn std::error::Error) -> String {
    let causes = std::iter::successors(error.source(), |cause| (*cause).source());
    causes.fold(error.to_string(), |text, cause| format!("{text}: {cause}"))
}
