//! Sends, pairs the answers, and stops as soon as there is a verdict.
use foremesh_core::{
    policy::TrialRequest,
    splitmix::SplitMix,
    time::Timestamp,
    trial::{Answer, Pair, TrialOrder, TrialSamples, TrialVerdict, judge},
};
use reqwest::{Client, Method, Url, redirect::Policy};
use std::{
    net::SocketAddr,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};
use tokio::{
    task::JoinSet,
    time::{Instant, interval, sleep_until},
};

/// Least and longest time for an answer.
const PATIENCE: (Duration, Duration) = (Duration::from_secs(2), Duration::from_secs(20));
/// How often is looked how many pairs there are.
const COUNTED_EVERY: Duration = Duration::from_millis(250);

/// Where the copies are.
#[derive(Clone, Debug)]
pub struct Ends {
    /// The one that stands for the source.
    pub source: SocketAddr,
    /// The one on the candidate.
    pub target: SocketAddr,
    /// Host name that the requests are for.
    pub host: String,
}

/// A load that could not be sent.
#[derive(Debug, thiserror::Error)]
pub enum LoadError {
    /// A request that cannot be made.
    #[error(
        "request `{0}` of the policy's trial cannot be sent; correct its path, its method or its headers"
    )]
    Request(String),
    /// The client could not be made.
    #[error("the client of the trial's load could not be made")]
    Client(#[source] reqwest::Error),
    /// The judgement took a panic with it.
    #[error("the judgement of the trial ended in a fault of the planner")]
    Fault(#[from] tokio::task::JoinError),
}

/// Loads both copies until a look of the order brings a verdict, or the last one none.
///
/// # Errors
/// When nothing could be sent. What the copies do is no error.
pub async fn load(ends: &Ends, order: &TrialOrder) -> Result<TrialSamples, LoadError> {
    let sender = Arc::new(Sender::new(ends, order)?);
    let collected: Collected = Arc::default();
    tokio::select! {
        never = send(sender, order, Arc::clone(&collected)) => match never {},
        samples = looked(order, &collected) => samples,
    }
}

/// What came of each pair after the warm-up, in the order in which they were due.
type Collected = Arc<Mutex<Vec<Option<Sent>>>>;

#[derive(Clone, Copy, Debug)]
struct Sent {
    pair: Pair,
    is_late: bool,
    due_ms: f64,
}

/// Sends as a Poisson process, as independent callers do.
async fn send(sender: Arc<Sender>, order: &TrialOrder, collected: Collected) -> std::convert::Infallible {
    let mut random = SplitMix::new(order.seed);
    let (begin, mut due_ms) = (Instant::now(), 0.0_f64);
    let late = Duration::from_secs_f64((order.objective_ms / 10.0).max(10.0) / 1e3);
    let mut open = JoinSet::new();
    loop {
        due_ms -= 1e3 / order.rate_rps * (1.0 - random.unit()).ln();
        let which = sender.draw(&mut random);
        let due = begin + Duration::from_secs_f64(due_ms / 1e3);
        sleep_until(due).await;
        while open.try_join_next().is_some() {}
        let slot = (due_ms >= order.warm_up_ms as f64).then(|| {
            let mut collected = collected.lock().unwrap_or_else(PoisonError::into_inner);
            collected.push(None);
            collected.len() - 1
        });
        let (sender, collected) = (Arc::clone(&sender), Arc::clone(&collected));
        open.spawn(async move {
            let is_late = due.elapsed() > late;
            let (source, target) =
                tokio::join!(sender.ask(which, End::Source, due), sender.ask(which, End::Target, due));
            if let Some(slot) = slot {
                let sent = Sent { pair: Pair { source, target }, is_late, due_ms };
                let mut collected = collected.lock().unwrap_or_else(PoisonError::into_inner);
                if let Some(place) = collected.get_mut(slot) {
                    *place = Some(sent);
                }
            }
        });
    }
}

/// Looks at the planned counts. What is returned ends with a look, so that whoever judges it again comes to the same.
async fn looked(order: &TrialOrder, collected: &Collected) -> Result<TrialSamples, LoadError> {
    let mut looks = order.looks().into_iter();
    let mut next = looks.next().unwrap_or(order.pairs);
    let mut ticks = interval(COUNTED_EVERY);
    loop {
        ticks.tick().await;
        let Some(samples) = samples(order, collected, next) else { continue };
        let (of, seen) = (order.clone(), samples.clone());
        let judging =
            tokio::task::spawn_blocking(move || judge(&of, &seen, Timestamp::from_unix_ms(0)).verdict);
        if judging.await? != TrialVerdict::Inconclusive {
            return Ok(samples);
        }
        match looks.next() {
            Some(look) => next = look,
            None => return Ok(samples),
        }
    }
}

/// The first so many pairs; `None` while one of them is not answered.
fn samples(order: &TrialOrder, collected: &Collected, count: u64) -> Option<TrialSamples> {
    let collected = collected.lock().unwrap_or_else(PoisonError::into_inner);
    let first = collected.get(..usize::try_from(count).ok()?)?;
    let sent: Vec<Sent> = first.iter().copied().collect::<Option<_>>()?;
    let spans = sent.first().zip(sent.last()).map(|(first, last)| last.due_ms - first.due_ms);
    Some(TrialSamples {
        pairs: sent.iter().map(|sent| sent.pair).collect(),
        late: sent.iter().filter(|sent| sent.is_late).count() as u64,
        seconds: spans.unwrap_or(0.0) / 1e3,
        source_node: order.source.to_string(),
        notes: Vec::new(),
    })
}

#[derive(Clone, Copy, Debug)]
enum End {
    Source,
    Target,
}

/// The requests, ready to be sent.
struct Sender {
    client: Client,
    /// To the source and to the target, with the weight up to and with this one.
    requests: Vec<(reqwest::Request, reqwest::Request, u64)>,
}

impl Sender {
    fn new(ends: &Ends, order: &TrialOrder) -> Result<Self, LoadError> {
        // One TLS provider for the whole process, although nothing here needs it; whoever comes first sets it.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let patience = Duration::from_secs_f64(order.objective_ms.max(0.0) * 20.0 / 1e3);
        let client = Client::builder()
            .http1_only()
            .no_proxy()
            .redirect(Policy::none())
            .timeout(patience.clamp(PATIENCE.0, PATIENCE.1))
            .build()
            .map_err(LoadError::Client)?;
        let mut weight = 0;
        let mut requests = Vec::new();
        for request in &order.requests {
            weight += u64::from(request.weight);
            let to = |end: SocketAddr| made(&client, end, &ends.host, request);
            requests.push((to(ends.source)?, to(ends.target)?, weight));
        }
        if requests.is_empty() {
            return Err(LoadError::Request("none".to_owned()));
        }
        Ok(Self { client, requests })
    }

    /// One of the requests, by their weights.
    fn draw(&self, random: &mut SplitMix) -> usize {
        let all = self.requests.last().map_or(0, |(_, _, weight)| *weight);
        let drawn = (random.unit() * all as f64) as u64;
        self.requests.iter().position(|(_, _, upto)| drawn < *upto).unwrap_or(0)
    }

    async fn ask(&self, which: usize, end: End, due: Instant) -> Answer {
        let request = self.requests.get(which).and_then(|(source, target, _)| match end {
            End::Source => source.try_clone(),
            End::Target => target.try_clone(),
        });
        let ok = match request {
            Some(request) => self.answered(request).await,
            None => false,
        };
        Answer { ok, latency_ms: due.elapsed().as_secs_f64() * 1e3 }
    }

    /// Whether there is a whole answer that is no error. What a client did wrong counts: such a request tries nothing.
    async fn answered(&self, request: reqwest::Request) -> bool {
        let Ok(answer) = self.client.execute(request).await else { return false };
        let is_good = answer.status().as_u16() < 400;
        answer.bytes().await.is_ok() && is_good
    }
}

fn made(
    client: &Client,
    end: SocketAddr,
    host: &str,
    request: &TrialRequest,
) -> Result<reqwest::Request, LoadError> {
    let wrong = || LoadError::Request(format!("{} {}", request.method, request.path));
    let url: Url = format!("http://{end}{}", request.path).parse().map_err(|_| wrong())?;
    let method: Method = request.method.parse().map_err(|_| wrong())?;
    let mut built = client.request(method, url);
    if !request.headers.keys().any(|name| name.eq_ignore_ascii_case("host")) {
        built = built.header("host", host);
    }
    for (name, value) in &request.headers {
        built = built.header(name, value);
    }
    if let Some(body) = &request.body {
        built = built.body(body.clone());
    }
    built.build().map_err(|_| wrong())
}
