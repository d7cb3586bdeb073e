//! Proxies that send as fast as they are acknowledged.
use super::{BenchError, IngestBench, traffic};
use crate::clock::Clock;
use bytes::Bytes;
use foremesh_summary::{Accumulator, PUSH_PATH, encode, wire::WindowSummary};
use http_body_util::{BodyExt, Full};
use hyper::{
    Request, StatusCode,
    client::conn::http1::{self, SendRequest},
    header,
};
use hyper_util::rt::TokioIo;
use std::{
    net::SocketAddr,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
};
use tokio::{net::TcpStream, task::JoinSet, time::Instant};

/// What was acknowledged within the measurement.
#[derive(Clone, Debug, Default)]
pub(super) struct Counted {
    pub(super) summaries: u64,
    pub(super) latency_us: Accumulator,
}

#[derive(Debug, Default)]
struct Shared {
    counting: AtomicBool,
    stopping: AtomicBool,
    counted: Mutex<Counted>,
}

/// All proxies.
pub(super) struct Senders {
    shared: Arc<Shared>,
    tasks: JoinSet<Result<u64, BenchError>>,
}

impl Senders {
    pub(super) fn start(bench: &IngestBench, address: SocketAddr) -> Self {
        let shared = Arc::new(Shared::default());
        let mut tasks = JoinSet::new();
        for number in 0..bench.proxies {
            tasks.spawn(send(traffic::Traffic::new(bench, number), address, Arc::clone(&shared)));
        }
        Self { shared, tasks }
    }

    /// Starts to count.
    pub(super) fn begin(&self) {
        self.shared.counting.store(true, Ordering::SeqCst);
    }

    /// Stops to count; gives what was counted.
    pub(super) fn end(&self) -> Counted {
        self.shared.counting.store(false, Ordering::SeqCst);
        self.shared.counted.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Ends every sender after its current summary; gives the observations acknowledged since the start.
    pub(super) async fn finish(mut self) -> Result<u64, BenchError> {
        self.shared.stopping.store(true, Ordering::SeqCst);
        let mut sent = 0;
        while let Some(ended) = self.tasks.join_next().await {
            sent += ended.map_err(|error| BenchError::Io {
                action: "run a sender",
                source: std::io::Error::other(error),
            })??;
        }
        Ok(sent)
    }
}

async fn send(
    mut traffic: traffic::Traffic,
    address: SocketAddr,
    shared: Arc<Shared>,
) -> Result<u64, BenchError> {
    let mut sender = connect(address).await?;
    let mut sent = 0;
    while !shared.stopping.load(Ordering::Relaxed) {
        let message = traffic.next(Clock::System.now());
        let observations = traffic::observations(message);
        let started = Instant::now();
        push(&mut sender, message).await?;
        let took = started.elapsed();
        sent += observations;
        if shared.counting.load(Ordering::Relaxed) {
            let mut counted = shared.counted.lock().unwrap_or_else(PoisonError::into_inner);
            counted.summaries += 1;
            counted.latency_us.record(u64::try_from(took.as_micros()).unwrap_or(u64::MAX));
        }
    }
    Ok(sent)
}

/// A connection of a proxy to the planner.
pub(in crate::bench) async fn connect(server: SocketAddr) -> Result<SendRequest<Full<Bytes>>, BenchError> {
    let stream = TcpStream::connect(server).await.map_err(BenchError::io("connect to the server"))?;
    stream.set_nodelay(true).map_err(BenchError::io("set up a connection"))?;
    let (sender, connection) = http1::handshake(TokioIo::new(stream)).await?;
    // It ends when its sender is gone; how it ends does not matter any more.
    tokio::spawn(async { drop(connection.await) });
    Ok(sender)
}

/// Sends a summary and waits for the acknowledgement.
pub(in crate::bench) async fn push(
    sender: &mut SendRequest<Full<Bytes>>,
    message: &WindowSummary,
) -> Result<(), BenchError> {
    let mut request = Request::new(Full::new(Bytes::from(encode(message))));
    *request.method_mut() = hyper::Method::POST;
    *request.uri_mut() = hyper::Uri::from_static(PUSH_PATH);
    request.headers_mut().insert(header::HOST, header::HeaderValue::from_static("foremesh"));
    let response = sender.send_request(request).await?;
    let status = response.status();
    response.into_body().collect().await?;
    if status == StatusCode::OK { Ok(()) } else { Err(BenchError::Refused(status.as_u16())) }
}
