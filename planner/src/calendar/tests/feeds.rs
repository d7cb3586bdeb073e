//! Feeds over real HTTP: asked for only when they changed, and kept whatever the server does.
use super::*;
use axum::{
    Router,
    body::{Body, Bytes},
    extract::State,
    http::{HeaderMap, StatusCode, header},
    response::{IntoResponse, Response},
    routing::get,
};
use std::net::SocketAddr;

const REFRESH: i64 = 15 * 60_000;

#[derive(Clone, Debug)]
enum Says {
    Text(Bytes),
    Status(StatusCode),
    /// Nothing, for ever.
    Nothing,
    /// A beginning, and then nothing for ever.
    Beginning,
}

#[derive(Debug)]
struct Seen {
    says: Says,
    requests: usize,
    unchanged: usize,
}

/// A server of one feed, with an `ETag` for each text.
#[derive(Clone, Debug)]
struct Server {
    address: SocketAddr,
    seen: Arc<Mutex<Seen>>,
}

impl Server {
    async fn start(says: Says) -> Self {
        let seen = Arc::new(Mutex::new(Seen { says, requests: 0, unchanged: 0 }));
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let router = Router::new().route("/feed.ics", get(answer)).with_state(Arc::clone(&seen));
        tokio::spawn(async move { axum::serve(listener, router).await });
        Self { address, seen }
    }

    fn says(&self, says: Says) {
        self.seen.lock().unwrap().says = says;
    }

    /// Requests, and how many of them were answered that nothing changed.
    fn requests(&self) -> (usize, usize) {
        let seen = self.seen.lock().unwrap();
        (seen.requests, seen.unchanged)
    }

    fn settings(&self) -> String {
        format!(
            "[{{ical: {{name: campaigns, url: 'http://{}/feed.ics?key=secret', refresh: 15m, tags: [campaign], \
             scope: {{services: [shop]}}, expectedEffect: x1.8}}}}]",
            self.address
        )
    }
}

async fn answer(State(seen): State<Arc<Mutex<Seen>>>, headers: HeaderMap) -> Response {
    let says = {
        let mut seen = seen.lock().unwrap();
        seen.requests += 1;
        seen.says.clone()
    };
    match says {
        Says::Text(text) => {
            let tag = format!("\"{}\"", text.len());
            if headers.get(header::IF_NONE_MATCH).is_some_and(|known| known.as_bytes() == tag.as_bytes()) {
                seen.lock().unwrap().unchanged += 1;
                return StatusCode::NOT_MODIFIED.into_response();
            }
            ([(header::ETAG, tag)], text).into_response()
        }
        Says::Status(status) => status.into_response(),
        Says::Nothing => std::future::pending().await,
        Says::Beginning => {
            let begin =
                futures::stream::iter([Ok::<_, std::io::Error>(Bytes::from_static(b"BEGIN:VCALENDAR\r\n"))]);
            let never = futures::stream::pending();
            Body::from_stream(begin.chain(never)).into_response()
        }
    }
}

fn text(text: String) -> Says {
    Says::Text(text.into())
}

#[tokio::test]
async fn a_feed_is_in_force_and_read_again_only_when_it_changed() {
    let server = Server::start(text(ical("sale", 5))).await;
    let rig = Rig::new(&server.settings());
    let calendars = rig.open();
    assert_eq!(week(&calendars), [""; 0], "nothing is known before the first read");
    assert_eq!(calendars.current().sources()[0].good_at, None);

    calendars.refresh().await;
    assert_eq!(week(&calendars), ["campaigns/sale@5"]);
    let set = calendars.current();
    let from = Timestamp::from_unix_ms(NOW);
    let sale = &set.occurrences(&Subject::service("shop", "throughput_rps"), from, from.plus_ms(DAY))[0];
    assert_eq!((sale.tag(), sale.expected.as_ref().unwrap().to_string().as_str()), ("campaign", "x1.8"));
    assert!(set.occurrences(&Subject::service("cart", "throughput_rps"), from, from.plus_ms(DAY)).is_empty());
    let source = &set.sources()[0];
    assert_eq!((source.events, source.good_at), (Some(1), Some(from)));
    assert!(source.from.ends_with("/feed.ics"), "the query may be a secret: {}", source.from);

    rig.later(&calendars, REFRESH - 1).await;
    assert_eq!(server.requests(), (1, 0), "it is not due yet");
    rig.later(&calendars, 1).await;
    assert_eq!(server.requests(), (2, 1));
    assert_eq!(week(&calendars), ["campaigns/sale@5"]);
    assert_eq!(calendars.current().sources()[0].good_at, Some(from.plus_ms(REFRESH)), "unchanged is good");

    server.says(text(ical("big-sale", 30)));
    rig.later(&calendars, REFRESH).await;
    assert_eq!(week(&calendars), ["campaigns/big-sale@30"]);
}

#[tokio::test]
async fn whatever_a_server_does_the_last_good_stays_in_force() {
    let server = Server::start(text(ical("sale", 5))).await;
    let rig = Rig::new(&server.settings());
    let calendars = rig.open();
    calendars.refresh().await;
    let huge = format!("{}{}", ical("huge", 1), "X".repeat(rig.limits.max_bytes));
    for (failed, (name, says, want)) in [
        ("an error", Says::Status(StatusCode::INTERNAL_SERVER_ERROR), "it answered 500"),
        ("gone", Says::Status(StatusCode::GONE), "it answered 410"),
        ("a login page", text("<html>Please sign in</html>".into()), "is no calendar that can be read"),
        ("cut off", text(ical("sale", 5)[..60].to_owned()), "is no calendar that can be read"),
        ("nothing", text(String::new()), "is no calendar that can be read"),
        ("no text", Says::Text(Bytes::from_static(b"BEGIN:VCALENDAR\r\n\xff\xfe")), "is not UTF-8"),
        ("too much", text(huge), "its answer is longer than 65536 bytes"),
        ("no answer", Says::Nothing, "it did not answer within 0.3 s"),
        ("half an answer", Says::Beginning, "it did not answer within 0.3 s"),
    ]
    .into_iter()
    .enumerate()
    {
        server.says(says);
        rig.later(&calendars, REFRESH).await;
        let source = calendars.current().sources()[0].clone();
        let error = source.error.unwrap_or_else(|| panic!("case {name}: no error"));
        assert!(error.contains(want), "case {name}: {error}");
        assert!(!error.contains("secret"), "case {name}: {error}");
        assert_eq!(source.good_at, Some(Timestamp::from_unix_ms(NOW)), "case {name}: its age grows");
        assert_eq!(week(&calendars), ["campaigns/sale@5"], "case {name}");
        assert_eq!(
            rig.metrics.failed("campaigns:campaigns"),
            failed as u64 + 1,
            "case {name}: it is counted"
        );
    }

    // A failure is tried again sooner than a success.
    server.says(text(ical("new", 7)));
    rig.later(&calendars, 60_000).await;
    assert_eq!(week(&calendars), ["campaigns/new@7"]);
    assert_eq!(calendars.current().sources()[0].error, None);
}

#[tokio::test]
async fn a_restart_without_the_server_keeps_the_last_good() {
    let server = Server::start(text(ical("sale", 5))).await;
    let mut rig = Rig::new(&server.settings());
    rig.open().refresh().await;

    server.says(Says::Status(StatusCode::SERVICE_UNAVAILABLE));
    rig.clock.set(Timestamp::from_unix_ms(NOW + DAY));
    let calendars = rig.open();
    for _ in 0..2 {
        assert_eq!(week(&calendars), ["campaigns/sale@5"]);
        let source = calendars.current().sources()[0].clone();
        assert_eq!(source.good_at, Some(Timestamp::from_unix_ms(NOW)), "its age is not that of the restart");
        calendars.refresh().await;
    }
    assert!(calendars.current().sources()[0].error.is_some());
    drop(calendars);

    // The cached text is asked for with its tag.
    server.says(text(ical("sale", 5)));
    let before = server.requests();
    rig.open().refresh().await;
    assert_eq!(server.requests(), (before.0 + 1, before.1 + 1));

    // Another address is another feed.
    rig.configure(&server.settings().replace("feed.ics", "other.ics"));
    let calendars = rig.open();
    calendars.refresh().await;
    assert_eq!(week(&calendars), [""; 0]);
    assert!(calendars.current().sources()[0].error.as_ref().unwrap().contains("it answered 404"));
}

#[tokio::test]
async fn a_slow_feed_does_not_hold_up_the_others() {
    let (slow, fast) = (Server::start(Says::Nothing).await, Server::start(text(ical("sale", 5))).await);
    let both =
        format!("{}{}", slow.settings().replace("campaigns", "slow"), fast.settings()).replace("][", ", ");
    let rig = Rig::new(&both);
    let calendars = rig.open();
    let started = tokio::time::Instant::now();
    calendars.refresh().await;
    assert!(started.elapsed() < rig.limits.timeout * 20, "the deadline holds");
    assert_eq!(week(&calendars), ["campaigns/sale@5"]);
    assert!(
        calendars
            .current()
            .sources()
            .iter()
            .any(|source| source.name == "slow:slow" && source.error.is_some())
    );
}

#[tokio::test]
async fn a_server_that_is_not_there_is_an_error_and_no_end() {
    let rig = Rig::new("[{ical: {name: campaigns, url: 'http://127.0.0.1:9/feed.ics'}}]");
    let calendars = rig.open();
    calendars.refresh().await;
    let error = calendars.current().sources()[0].error.clone().unwrap();
    assert!(error.starts_with("it cannot be reached"), "{error}");
}
