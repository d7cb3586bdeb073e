//! The client: one question at a time, with limits, deadlines, retries and credentials.
use super::{
    answer::{Answer, Envelope, PromSeries},
    error::PrometheusError,
    range::Range,
    transport::{file_error, http_client, is_of_tls},
};
use foremesh_core::time::{Step, Timestamp};
use reqwest::{RequestBuilder, Url};
use std::{
    path::{Path, PathBuf},
    time::Duration,
};

/// A server refuses more than 11 000 points of a series at once (`web/api/v1/api.go` of Prometheus).
const MAX_POINTS: i64 = 11_000;
/// Longest query that is sent in the address; longer ones go into a form.
const MAX_QUERY_IN_ADDRESS: usize = 2000;
/// Longest wait that a server may ask for by `Retry-After`.
const MAX_WAIT: Duration = Duration::from_secs(30);

/// Who the planner is to the server.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Auth {
    /// Nobody.
    #[default]
    None,
    /// A token in a file, read for every question because it is renewed there.
    BearerFile(PathBuf),
    /// A name, and a password in a file.
    Basic {
        /// The name.
        username: String,
        /// The file with the password.
        password_file: PathBuf,
    },
}

/// How a server is asked.
#[derive(Clone, Debug)]
pub struct ClientSettings {
    /// Who asks.
    pub auth: Auth,
    /// Certificates (PEM) to trust beside those of the machine.
    pub ca_file: Option<PathBuf>,
    /// Longest time for one answer.
    pub timeout: Duration,
    /// How often a question is asked again when the failure may pass.
    pub retries: u32,
    /// Wait before the first retry; doubled for each further one.
    pub back_off: Duration,
    /// Most points of one series in one question, at most 11 000.
    pub max_points: i64,
    /// Largest answer that is read.
    pub max_answer_bytes: usize,
}

impl Default for ClientSettings {
    fn default() -> Self {
        Self {
            auth: Auth::None,
            ca_file: None,
            timeout: Duration::from_secs(30),
            retries: 2,
            back_off: Duration::from_millis(500),
            max_points: 10_000,
            max_answer_bytes: 64 << 20,
        }
    }
}

/// Asks a Prometheus-compatible server.
#[derive(Clone, Debug)]
pub struct PrometheusClient {
    url: String,
    base: Url,
    http: reqwest::Client,
    settings: ClientSettings,
}

impl PrometheusClient {
    /// A client for the server at `url`, the part before `/api/v1`. Nothing is asked yet.
    ///
    /// # Errors
    /// When the address is not one, or the certificates cannot be read.
    pub fn new(url: &str, settings: ClientSettings) -> Result<Self, PrometheusError> {
        let address = || PrometheusError::Address { url: url.to_owned() };
        let base: Url = format!("{}/", url.trim_end_matches('/')).parse().map_err(|_| address())?;
        if !matches!(base.scheme(), "http" | "https") || base.host_str().is_none() {
            return Err(address());
        }
        let http = http_client(url, settings.timeout, settings.ca_file.as_deref())?;
        Ok(Self { url: url.to_owned(), base, http, settings })
    }

    /// The server's address, as given.
    pub fn url(&self) -> &str {
        &self.url
    }

    /// Values of a query at one time, each series with one sample.
    ///
    /// # Errors
    /// When the server does not answer with numbers, also after the retries.
    pub async fn query(&self, promql: &str, at: Timestamp) -> Result<Vec<PromSeries>, PrometheusError> {
        let form = [("query", promql.to_owned()), ("time", seconds(at)), ("timeout", self.timeout_text())];
        let answer = self.ask("api/v1/query", promql, &form).await?;
        self.report(promql, &answer);
        Ok(answer.series)
    }

    /// Values of a query at `from, from + step, …` up to `to`, however many those are.
    ///
    /// # Errors
    /// As [`PrometheusClient::range`]; warnings are only logged.
    pub async fn query_range(
        &self,
        promql: &str,
        from: Timestamp,
        to: Timestamp,
        step: Step,
    ) -> Result<Vec<PromSeries>, PrometheusError> {
        let answer = self.range(promql, from, to, step).await?;
        self.report(promql, &answer);
        Ok(answer.series)
    }

    /// As [`PrometheusClient::query_range`], with what the server warned of.
    ///
    /// # Errors
    /// When the range ends before it begins, or the server does not answer with numbers, also after the retries and in
    /// the smallest pieces.
    pub async fn range(
        &self,
        promql: &str,
        from: Timestamp,
        to: Timestamp,
        step: Step,
    ) -> Result<Answer, PrometheusError> {
        let mut rest = Some(
            Range::new(from, to, step)
                .ok_or(PrometheusError::Range { from_ms: from.unix_ms(), to_ms: to.unix_ms() })?,
        );
        let mut most = self.settings.max_points.clamp(1, MAX_POINTS);
        let mut whole = Answer::default();
        while let Some(range) = rest {
            let (piece, remaining) = range.split(most);
            let form = [
                ("query", promql.to_owned()),
                ("start", seconds(piece.first)),
                ("end", seconds(piece.last)),
                ("step", format!("{}", step.seconds())),
                ("timeout", self.timeout_text()),
            ];
            match self.ask("api/v1/query_range", promql, &form).await {
                Ok(answer) => {
                    whole.extend(answer);
                    rest = remaining;
                }
                Err(error) if error.is_over_a_limit() && piece.points() > 1 => {
                    most = piece.points() / 2;
                    tracing::debug!(url = self.url, points = most, "asking for shorter ranges: {error}");
                }
                Err(error) => return Err(error),
            }
        }
        Ok(whole)
    }

    fn report(&self, promql: &str, answer: &Answer) {
        for warning in &answer.warnings {
            tracing::warn!(url = self.url, query = promql, "the answer may be partial: {warning}");
        }
    }

    /// Asks, and asks again while the failure may pass. A range that takes too long is not asked again: a shorter one is.
    async fn ask(&self, path: &str, query: &str, form: &[(&str, String)]) -> Result<Answer, PrometheusError> {
        let mut wait = self.settings.back_off;
        for _ in 0..self.settings.retries {
            match self.ask_once(path, query, form).await {
                Err((error, asked_for)) if error.may_pass() && !error.is_over_a_limit() => {
                    tracing::debug!(url = self.url, "asking again: {error}");
                    tokio::time::sleep(asked_for.unwrap_or(wait).min(MAX_WAIT)).await;
                    wait = wait.saturating_mul(2);
                }
                other => return other.map_err(|(error, _)| error),
            }
        }
        self.ask_once(path, query, form).await.map_err(|(error, _)| error)
    }

    /// One question; with a failure comes the wait that the server asked for.
    async fn ask_once(
        &self,
        path: &str,
        query: &str,
        form: &[(&str, String)],
    ) -> Result<Answer, (PrometheusError, Option<Duration>)> {
        let now = |error| (error, None);
        let url =
            self.base.join(path).map_err(|_| now(PrometheusError::Address { url: self.url.clone() }))?;
        let request = if query.len() > MAX_QUERY_IN_ADDRESS {
            self.http.post(url).form(form)
        } else {
            self.http.get(url).query(form)
        };
        let request = self.signed(request).await.map_err(now)?;
        let mut response = request.send().await.map_err(|error| now(self.failed(query, error)))?;
        let status = response.status();
        let asked_for = response
            .headers()
            .get(reqwest::header::RETRY_AFTER)
            .and_then(|value| value.to_str().ok()?.parse().ok())
            .map(Duration::from_secs);
        let mut body = Vec::new();
        while let Some(chunk) = response.chunk().await.map_err(|error| now(self.failed(query, error)))? {
            if body.len() + chunk.len() > self.settings.max_answer_bytes {
                return Err(now(PrometheusError::TooLarge {
                    url: self.url.clone(),
                    query: PrometheusError::shown(query),
                    limit: self.settings.max_answer_bytes,
                }));
            }
            body.extend_from_slice(&chunk);
        }
        let refused = |kind: &str, message: &str| {
            (PrometheusError::refused(&self.url, query, status.as_u16(), kind, message), asked_for)
        };
        match serde_json::from_slice::<Envelope>(&body) {
            Ok(envelope) if envelope.status == "success" && status.is_success() => {
                envelope.into_answer().map_err(|problem| now(self.nonsense(query, problem)))
            }
            Ok(envelope) => Err(refused(&envelope.error_type, &envelope.error)),
            Err(error) if status.is_success() => Err(now(self.nonsense(query, error.to_string()))),
            Err(_) => Err(refused("", String::from_utf8_lossy(&body).trim())),
        }
    }

    async fn signed(&self, request: RequestBuilder) -> Result<RequestBuilder, PrometheusError> {
        Ok(match &self.settings.auth {
            Auth::None => request,
            Auth::BearerFile(file) => request.bearer_auth(self.secret(file).await?),
            Auth::Basic { username, password_file } => {
                request.basic_auth(username, Some(self.secret(password_file).await?))
            }
        })
    }

    async fn secret(&self, file: &Path) -> Result<String, PrometheusError> {
        let text = tokio::fs::read_to_string(file)
            .await
            .map_err(|error| file_error(&self.url, file, error.to_string()))?;
        let text = text.trim();
        if text.is_empty() {
            return Err(file_error(&self.url, file, "it is empty".to_owned()));
        }
        Ok(text.to_owned())
    }

    fn failed(&self, query: &str, error: reqwest::Error) -> PrometheusError {
        let (url, query) = (self.url.clone(), PrometheusError::shown(query));
        if error.is_timeout() {
            return PrometheusError::Timeout { url, query, timeout_ms: self.settings.timeout.as_millis() };
        }
        // Its text would repeat the address with the whole query.
        let source = error.without_url();
        if is_of_tls(&source) {
            return PrometheusError::Untrusted { url, query, source };
        }
        PrometheusError::Unreachable { url, query, source }
    }

    fn nonsense(&self, query: &str, problem: String) -> PrometheusError {
        PrometheusError::Answer { url: self.url.clone(), query: PrometheusError::shown(query), problem }
    }

    fn timeout_text(&self) -> String {
        format!("{}ms", self.settings.timeout.as_millis().max(1))
    }
}

/// Seconds since 1970 with milliseconds, as the API wants them.
fn seconds(at: Timestamp) -> String {
    let ms = at.unix_ms();
    format!("{}{}.{:03}", if ms < 0 { "-" } else { "" }, (ms / 1000).abs(), (ms % 1000).abs())
}
