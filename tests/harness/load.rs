//! Loads that know exactly what they sent.
use foremesh_demo::{Failure, LoadHandle, LoadSpec, Totals, start_load};
use std::net::SocketAddr;
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::task::JoinSet;

/// How long a request of [`hammer`] and [`open`] may take.
const PATIENCE: Duration = Duration::from_secs(10);

/// One open-loop load for each path, all on one address.
#[derive(Debug)]
pub struct Fleet {
    loads: Vec<(String, LoadHandle)>,
}

/// What a fleet did.
#[derive(Debug, Default)]
pub struct Sent {
    /// Over all paths.
    pub totals: Totals,
    /// By path.
    pub paths: Vec<(String, Totals)>,
    /// What failed, the first ones.
    pub failures: Vec<Failure>,
}

impl Fleet {
    /// Starts loads that run until they are stopped, with `requests_per_second` in all.
    pub fn start(address: SocketAddr, paths: &[String], requests_per_second: f64) -> Self {
        let rate = requests_per_second / paths.len() as f64;
        let start = |path: &String| {
            let spec = LoadSpec { path: path.clone(), ..LoadSpec::constant(address, rate) };
            (path.clone(), start_load(spec).expect("the load is valid"))
        };
        Self { loads: paths.iter().map(start).collect() }
    }

    /// Lets it run for a while, then stops it and waits for all answers.
    pub async fn run_for(self, duration: Duration) -> Sent {
        tokio::time::sleep(duration).await;
        self.finish().await
    }

    /// Sends no more requests and waits for all answers.
    pub async fn finish(self) -> Sent {
        for (_, load) in &self.loads {
            load.stop();
        }
        let mut sent = Sent::default();
        for (path, load) in self.loads {
            let report = load.finish().await.expect("the load reports");
            let totals = report.totals;
            sent.totals.offered += totals.offered;
            sent.totals.sent += totals.sent;
            sent.totals.ok += totals.ok;
            sent.totals.failed += totals.failed;
            sent.paths.push((path, totals));
            sent.failures.extend(report.failures);
        }
        sent
    }
}

impl Sent {
    /// The number of requests, each of which was sent and answered with 2xx.
    ///
    /// # Panics
    /// When a request was not, or when there was none.
    pub fn all_ok(&self) -> u64 {
        let Totals { offered, sent, ok, failed } = self.totals;
        let first = self.failures.first().map(|failure| failure.text.as_str());
        assert_eq!(
            (sent, ok, failed),
            (offered, offered, 0),
            "sent, ok and failed; the first failure: {first:?}"
        );
        assert!(offered > 0, "no request was due");
        offered
    }
}

/// Sends `requests` as fast as `connections` keep-alive connections allow, to the paths in turn; every answer must be
/// a 200 with a length.
///
/// # Panics
/// When an answer is another one or none.
pub async fn hammer(address: SocketAddr, paths: &[String], connections: usize, requests: usize) {
    let mut workers = JoinSet::new();
    for worker in 0..connections {
        let share = (requests + worker) / connections;
        let paths = paths.to_vec();
        workers.spawn(async move {
            let mut connection = connect(address).await;
            let mut buffer = Vec::with_capacity(4096);
            for (path, _) in paths.iter().cycle().zip(0..share) {
                write_request(&mut connection, path).await;
                let answer = read_answer(&mut connection, &mut buffer);
                tokio::time::timeout(PATIENCE, answer).await.expect("an answer in time");
            }
        });
    }
    while let Some(ended) = workers.join_next().await {
        ended.expect("every request is answered");
    }
}

/// Opens a connection and writes one request to it.
pub async fn open(address: SocketAddr, path: &str) -> TcpStream {
    let mut connection = connect(address).await;
    write_request(&mut connection, path).await;
    connection
}

/// Reads until the head of an answer is there, which may be in the middle of its body, and gives the status.
pub async fn read_head(connection: &mut TcpStream) -> u16 {
    let mut buffer = Vec::new();
    let head = tokio::time::timeout(PATIENCE, fill_head(connection, &mut buffer));
    head.await.expect("an answer in time");
    status(&buffer)
}

async fn connect(address: SocketAddr) -> TcpStream {
    let connection = TcpStream::connect(address).await.expect("the proxy accepts connections");
    connection.set_nodelay(true).expect("TCP_NODELAY can be set");
    connection
}

async fn write_request(connection: &mut TcpStream, path: &str) {
    let request = format!("GET {path} HTTP/1.1\r\nhost: shop\r\n\r\n");
    connection.write_all(request.as_bytes()).await.expect("the request can be written");
}

/// Reads up to the end of the head, and gives its length.
async fn fill_head(connection: &mut TcpStream, buffer: &mut Vec<u8>) -> usize {
    loop {
        if let Some(at) = buffer.windows(4).position(|four| four == b"\r\n\r\n") {
            return at + 4;
        }
        let read = connection.read_buf(buffer).await.expect("the answer can be read");
        assert!(read > 0, "the connection ended in the head of an answer");
    }
}

async fn read_answer(connection: &mut TcpStream, buffer: &mut Vec<u8>) {
    buffer.clear();
    let head = fill_head(connection, buffer).await;
    assert_eq!(status(buffer), 200, "{}", String::from_utf8_lossy(buffer));
    let text = String::from_utf8_lossy(&buffer[..head]).to_ascii_lowercase();
    let length = text.lines().find_map(|line| line.strip_prefix("content-length: ")?.parse::<usize>().ok());
    let whole = head + length.expect("the answer has a length");
    while buffer.len() < whole {
        let read = connection.read_buf(buffer).await.expect("the answer can be read");
        assert!(read > 0, "the connection ended in the body of an answer");
    }
}

/// Status of an answer whose head is in the buffer.
fn status(answer: &[u8]) -> u16 {
    let text = String::from_utf8_lossy(answer);
    text.split(' ').nth(1).and_then(|status| status.parse().ok()).expect("an HTTP answer has a status")
}
