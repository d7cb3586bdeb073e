//! A proxy before the planner that delivers every summary and loses the answer to every second one.
use http_body_util::{BodyExt, Full};
use hyper::body::{Bytes, Incoming};
use hyper::service::service_fn;
use hyper::{Request, Response};
use hyper_util::rt::TokioIo;
use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::{JoinHandle, JoinSet};

/// A running proxy; dropping it ends it with all its connections.
#[derive(Debug)]
pub struct LossyProxy {
    address: SocketAddr,
    counts: Arc<Counts>,
    task: JoinHandle<()>,
}

#[derive(Debug, Default)]
struct Counts {
    delivered: AtomicU64,
    lost: AtomicU64,
}

impl LossyProxy {
    /// Listens on a free port of loopback.
    pub async fn start(planner: SocketAddr) -> Self {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.expect("loopback has a free port");
        let address = listener.local_addr().expect("a bound socket has an address");
        let counts = Arc::new(Counts::default());
        let task = tokio::spawn(accept(listener, planner, Arc::clone(&counts)));
        Self { address, counts, task }
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Summaries that the planner has answered.
    pub fn delivered(&self) -> u64 {
        self.counts.delivered.load(Ordering::SeqCst)
    }

    /// Answers of the planner that were lost.
    pub fn lost(&self) -> u64 {
        self.counts.lost.load(Ordering::SeqCst)
    }
}

impl Drop for LossyProxy {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn accept(listener: TcpListener, planner: SocketAddr, counts: Arc<Counts>) {
    let mut connections = JoinSet::new();
    while let Ok((stream, _)) = listener.accept().await {
        let counts = Arc::clone(&counts);
        connections.spawn(async move {
            let pass = service_fn(|request| pass(request, planner, &counts));
            // An error is the lost answer.
            drop(
                hyper::server::conn::http1::Builder::new().serve_connection(TokioIo::new(stream), pass).await,
            );
        });
        while connections.try_join_next().is_some() {}
    }
}

/// Passes one push on. Lost answers alternate between a connection that breaks and an answer that never comes, because
/// the filter learns of the first at once and of the second by its time-out.
async fn pass(
    request: Request<Incoming>,
    planner: SocketAddr,
    counts: &Counts,
) -> io::Result<Response<Full<Bytes>>> {
    let answer = forward(request, planner).await.map_err(io::Error::other)?;
    let before = counts.delivered.fetch_add(1, Ordering::SeqCst);
    if before.is_multiple_of(2) {
        return Ok(answer);
    }
    let lost = counts.lost.fetch_add(1, Ordering::SeqCst);
    if lost.is_multiple_of(2) {
        return Err(io::Error::other("the answer is lost on purpose"));
    }
    std::future::pending().await
}

async fn forward(
    request: Request<Incoming>,
    planner: SocketAddr,
) -> Result<Response<Full<Bytes>>, Box<dyn std::error::Error + Send + Sync>> {
    let (head, body) = request.into_parts();
    let body = Full::new(body.collect().await?.to_bytes());
    let stream = TokioIo::new(TcpStream::connect(planner).await?);
    let (mut sender, connection) = hyper::client::conn::http1::handshake(stream).await?;
    let exchange = async {
        let answer = sender.send_request(Request::from_parts(head, body)).await?;
        let (head, body) = answer.into_parts();
        Ok::<_, hyper::Error>(Response::from_parts(head, Full::new(body.collect().await?.to_bytes())))
    };
    let mut connection = std::pin::pin!(connection);
    let mut exchange = std::pin::pin!(exchange);
    tokio::select! {
        answer = &mut exchange => Ok(answer?),
        ended = &mut connection => {
            ended?;
            Ok(exchange.await?)
        }
    }
}
