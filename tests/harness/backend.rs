//! A service behind the proxy that answers as the path asks.
use hyper::body::{Body, Bytes, Frame, Incoming, SizeHint};
use hyper::service::service_fn;
use hyper::{Request, Response, StatusCode};
use hyper_util::rt::TokioIo;
use std::convert::Infallible;
use std::net::{Ipv4Addr, SocketAddr};
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::{Context, Poll};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::{JoinHandle, JoinSet};

/// Paths that begin with it are never answered.
pub const HANG: &str = "/hang";
/// Path whose answer begins and never ends.
pub const TRICKLE: &str = "/trickle";
/// Path that is answered with 500.
pub const FAIL: &str = "/fail";
/// Path that is answered with 404.
pub const MISSING: &str = "/missing";

/// A running service; dropping it ends it with all its connections.
#[derive(Debug)]
pub struct Backend {
    address: SocketAddr,
    received: Arc<AtomicU64>,
    task: JoinHandle<()>,
}

impl Backend {
    /// Listens on a free port of loopback.
    pub async fn start() -> Self {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.expect("loopback has a free port");
        let address = listener.local_addr().expect("a bound socket has an address");
        let received = Arc::new(AtomicU64::new(0));
        let task = tokio::spawn(accept(listener, Arc::clone(&received)));
        Self { address, received, task }
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Requests that have reached it.
    pub fn received(&self) -> u64 {
        self.received.load(Ordering::SeqCst)
    }
}

impl Drop for Backend {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn accept(listener: TcpListener, received: Arc<AtomicU64>) {
    let mut connections = JoinSet::new();
    while let Ok((stream, _)) = listener.accept().await {
        connections.spawn(serve(stream, Arc::clone(&received)));
        while connections.try_join_next().is_some() {}
    }
}

async fn serve(stream: TcpStream, received: Arc<AtomicU64>) {
    stream.set_nodelay(true).expect("TCP_NODELAY can be set");
    let answer = service_fn(|request: Request<Incoming>| {
        received.fetch_add(1, Ordering::SeqCst);
        async move { Ok::<_, Infallible>(answer(request.uri().path()).await) }
    });
    // A proxy that breaks the connection is what some tests are about.
    drop(hyper::server::conn::http1::Builder::new().serve_connection(TokioIo::new(stream), answer).await);
}

async fn answer(path: &str) -> Response<Text> {
    let mut response = Response::new(Text { left: Some(Bytes::from_static(b"ok")), ends: path != TRICKLE });
    match path {
        path if path.starts_with(HANG) => std::future::pending().await,
        FAIL => *response.status_mut() = StatusCode::INTERNAL_SERVER_ERROR,
        MISSING => *response.status_mut() = StatusCode::NOT_FOUND,
        _ => {}
    }
    response
}

/// A short body, which may leave its reader waiting for more.
#[derive(Debug)]
struct Text {
    left: Option<Bytes>,
    ends: bool,
}

impl Body for Text {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        _context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        match self.left.take() {
            Some(bytes) => Poll::Ready(Some(Ok(Frame::data(bytes)))),
            None if self.ends => Poll::Ready(None),
            // Never woken up: the connection ends it.
            None => Poll::Pending,
        }
    }

    fn is_end_stream(&self) -> bool {
        self.ends && self.left.is_none()
    }

    fn size_hint(&self) -> SizeHint {
        let bytes = self.left.as_ref().map_or(0, |left| left.len() as u64);
        if self.ends { SizeHint::with_exact(bytes) } else { SizeHint::default() }
    }
}
