//! Why a command of this program ended.

use std::io;
use std::net::SocketAddr;

/// Each names the object and the value.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Failure {
    #[error("cannot start the async runtime")]
    Runtime {
        #[source]
        source: io::Error,
    },
    #[error("cannot listen on {address}")]
    Listen {
        address: SocketAddr,
        #[source]
        source: io::Error,
    },
    #[error("cannot wait for SIGTERM")]
    Signal {
        #[source]
        source: io::Error,
    },
    #[error("stopped serving")]
    Serve {
        #[source]
        source: io::Error,
    },
    #[error("`{url}` is no http URL with a host, such as http://web.shop:8080/")]
    Url { url: String },
    #[error("`{host}` has no address")]
    Resolve {
        host: String,
        #[source]
        source: io::Error,
    },
    #[error("`{host}` has no address")]
    NoAddress { host: String },
    #[error("`{url}` should have answered {expected}, but told {told}")]
    Unexpected { url: String, expected: u16, told: String },
    #[error("neither --seconds nor --requests is given: a load needs an end")]
    Endless,
    #[error(transparent)]
    Load(#[from] foremesh_demo::LoadError),
    #[error("the result cannot be written")]
    Print {
        #[source]
        source: serde_json::Error,
    },
}

/// An error with its causes, in one line.
pub(crate) fn chain(error: &dyn std::error::Error) -> String {
    let causes = std::iter::successors(error.source(), |cause| (*cause).source());
    causes.fold(error.to_string(), |text, cause| format!("{text}: {cause}"))
}
