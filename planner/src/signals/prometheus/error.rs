//! What can go wrong when a server is asked, each with the address, the query and a remedy.
use std::path::PathBuf;

/// A query in an error message is cut here: generated ones can be long.
const SHOWN_CHARS: usize = 200;

/// Why a Prometheus-compatible server did not answer as asked.
#[derive(Debug, thiserror::Error)]
pub enum PrometheusError {
    /// The address is not one.
    #[error(
        "`{url}` is not the address of a Prometheus-compatible server; write it as http://HOST:PORT or https://HOST/PATH"
    )]
    Address {
        /// What was given.
        url: String,
    },
    /// The range has no end, or ends before it begins.
    #[error(
        "the range from {from_ms} to {to_ms} (ms since 1970) ends before it begins; give an earlier `from`"
    )]
    Range {
        /// Its start.
        from_ms: i64,
        /// Its end.
        to_ms: i64,
    },
    /// A file with a token, a password or certificates cannot be used.
    #[error("the file `{path}` for {url} cannot be used: {problem}; check its owner, its rights and what is in it", path = .path.display())]
    File {
        /// The server.
        url: String,
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        problem: String,
    },
    /// The client could not be made.
    #[error("no HTTP client for {url} can be made; check the certificates of this machine, or set `caFile`")]
    Client {
        /// The server.
        url: String,
        /// The cause.
        #[source]
        source: reqwest::Error,
    },
    /// Nobody answers there.
    #[error(
        "{url} does not answer the query `{query}`; check that the server runs and can be reached from here"
    )]
    Unreachable {
        /// The server.
        url: String,
        /// What was asked.
        query: String,
        /// The cause.
        #[source]
        source: reqwest::Error,
    },
    /// There is no trust between the two ends of TLS.
    #[error(
        "{url} cannot be trusted for the query `{query}`; check the server's certificate, and `caFile` when its authority is not \
         one that this machine knows"
    )]
    Untrusted {
        /// The server.
        url: String,
        /// What was asked.
        query: String,
        /// The cause.
        #[source]
        source: reqwest::Error,
    },
    /// No answer came in time.
    #[error(
        "{url} did not answer the query `{query}` within {timeout_ms} ms; make the query cheaper or raise `timeout`"
    )]
    Timeout {
        /// The server.
        url: String,
        /// What was asked.
        query: String,
        /// The time that it had.
        timeout_ms: u128,
    },
    /// The server answered with an error.
    #[error("{url} answered {status} to the query `{query}`: {kind}: {message}; {remedy}")]
    Refused {
        /// The server.
        url: String,
        /// What was asked.
        query: String,
        /// HTTP status.
        status: u16,
        /// The server's own word for the kind of error; empty when it gave none.
        kind: String,
        /// The server's own explanation, cut when long.
        message: String,
        /// What to do.
        remedy: &'static str,
    },
    /// The answer is larger than is read.
    #[error("the answer of {url} to the query `{query}` is larger than {limit} bytes; ask for fewer series")]
    TooLarge {
        /// The server.
        url: String,
        /// What was asked.
        query: String,
        /// The limit.
        limit: usize,
    },
    /// The answer is not what the API promises.
    #[error(
        "the answer of {url} to the query `{query}` is not that of a Prometheus API: {problem}; check the address"
    )]
    Answer {
        /// The server.
        url: String,
        /// What was asked.
        query: String,
        /// What is wrong with it.
        problem: String,
    },
}

impl PrometheusError {
    /// A query as it is shown in messages.
    pub(super) fn shown(query: &str) -> String {
        match query.char_indices().nth(SHOWN_CHARS) {
            Some((end, _)) => format!("{}…", query.get(..end).unwrap_or_default()),
            None => query.to_owned(),
        }
    }

    /// The remedy for an error that the server explains itself.
    pub(super) fn refused(url: &str, query: &str, status: u16, kind: &str, message: &str) -> Self {
        let remedy = match status {
            401 | 403 => "check `bearerTokenFile` or `basicAuth`",
            404 | 405 => "check the path in `url`: the API is expected below it at /api/v1",
            // What servers written in Go say to it.
            400 if message.contains("HTTP request to an HTTPS server") => "write `url` with https://",
            400 => "correct the query",
            422 => "make the query cheaper, or raise the limits of the server",
            429 => "the server limits its clients: raise `interval`",
            _ => "look into the server's log",
        };
        Self::Refused {
            url: url.to_owned(),
            query: Self::shown(query),
            status,
            kind: if kind.is_empty() { "error".to_owned() } else { kind.to_owned() },
            message: Self::shown(message),
            remedy,
        }
    }

    /// Whether the same question may be answered a moment later.
    pub(super) fn may_pass(&self) -> bool {
        match self {
            Self::Unreachable { .. } | Self::Timeout { .. } => true,
            Self::Refused { status, .. } => matches!(status, 408 | 429 | 500 | 502..=504),
            _ => false,
        }
    }

    /// Whether the server would answer a shorter range: over its resolution, its samples or its time, or the answer
    /// is over ours.
    pub(super) fn is_over_a_limit(&self) -> bool {
        match self {
            Self::Timeout { .. } | Self::TooLarge { .. } => true,
            Self::Refused { kind, message, status, .. } => {
                kind == "timeout"
                    || *status == 413
                    // The words of Prometheus ("exceeded maximum resolution of 11,000 points per timeseries", "query
                    // processing would load too many samples into memory"), and of Thanos and Mimir ("exceeds the limit").
                    || ["exceeded maximum resolution", "too many samples", "exceeds the limit", "query timed out"]
                        .iter()
                        .any(|words| message.contains(words))
            }
            _ => false,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_refusal_has_its_remedy_and_says_whether_to_ask_for_less_or_again() {
        let resolution = "exceeded maximum resolution of 11,000 points per timeseries. Try decreasing the query resolution";
        let samples = "query processing would load too many samples into memory in query execution";
        let thanos = "the query time range exceeds the limit (query length: 720h)";
        // (status, kind, message), the remedy, whether a shorter range is answered, whether it may pass.
        for ((status, kind, message), remedy, less, again) in [
            ((400, "bad_data", resolution), "correct the query", true, false),
            ((422, "execution", samples), "cheaper", true, false),
            ((422, "execution", thanos), "cheaper", true, false),
            ((503, "timeout", "query timed out in expression evaluation"), "log", true, true),
            ((413, "", "too large"), "log", true, false),
            ((400, "bad_data", "parse error"), "correct the query", false, false),
            (
                (400, "", "Client sent an HTTP request to an HTTPS server."),
                "write `url` with https://",
                false,
                false,
            ),
            ((401, "", "Unauthorized"), "check `bearerTokenFile`", false, false),
            ((403, "", "no"), "check `bearerTokenFile`", false, false),
            ((404, "", "page not found"), "check the path in `url`", false, false),
            ((429, "", "slow down"), "raise `interval`", false, true),
            ((502, "", "bad gateway"), "log", false, true),
        ] {
            let error = PrometheusError::refused("http://p", "up", status, kind, message);
            let text = error.to_string();
            assert!(text.contains(remedy) && text.contains("http://p"), "{text}");
            assert_eq!((error.is_over_a_limit(), error.may_pass()), (less, again), "{text}");
        }
    }
}
