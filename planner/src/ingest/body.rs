//! The body of a request, read and decompressed within limits.
use super::problem::Refusal;
use axum::{
    body::Body,
    http::{HeaderMap, HeaderName, header},
};
use bytes::Bytes;
use flate2::read::{GzDecoder, ZlibDecoder};
use http_body_util::{BodyExt, LengthLimitError, Limited};
use std::{
    io::{self, Read},
    time::Duration,
};

/// How the message is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MediaType {
    /// Protobuf; also when nothing is said.
    Protobuf,
    /// The JSON twin.
    Json,
}

impl MediaType {
    pub(crate) fn of(headers: &HeaderMap) -> Result<Self, Refusal> {
        let value = text(headers, &header::CONTENT_TYPE);
        let essence = value.split(';').next().unwrap_or_default().trim().to_ascii_lowercase();
        match essence.as_str() {
            "" | "application/x-protobuf" | "application/protobuf" => Ok(Self::Protobuf),
            "application/json" => Ok(Self::Json),
            _ => Err(Refusal::unsupported(
                "content-type",
                &value,
                "application/x-protobuf or application/json",
            )),
        }
    }
}

/// How the body is compressed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Encoding {
    /// Not at all.
    Identity,
    /// The zlib format, which HTTP calls deflate, and which Envoy's `compress` gives.
    Deflate,
    /// The gzip format.
    Gzip,
}

impl Encoding {
    pub(crate) fn of(headers: &HeaderMap) -> Result<Self, Refusal> {
        let value = text(headers, &header::CONTENT_ENCODING);
        match value.trim().to_ascii_lowercase().as_str() {
            "" | "identity" => Ok(Self::Identity),
            "deflate" => Ok(Self::Deflate),
            "gzip" => Ok(Self::Gzip),
            _ => {
                Err(Refusal::unsupported("content-encoding", &value, "deflate (zlib), gzip, or no encoding"))
            }
        }
    }

    /// Decompresses; never more than `limit` bytes are held.
    pub(crate) fn decode(self, raw: Bytes, limit: usize) -> Result<Bytes, Refusal> {
        match self {
            Self::Identity => Ok(raw),
            Self::Deflate => inflate(ZlibDecoder::new(raw.as_ref()), limit),
            Self::Gzip => inflate(GzDecoder::new(raw.as_ref()), limit),
        }
    }
}

fn inflate(decoder: impl Read, limit: usize) -> Result<Bytes, Refusal> {
    let mut plain = Vec::new();
    // One byte more than the limit tells "at the limit" from "over it".
    let read = decoder.take(limit as u64 + 1).read_to_end(&mut plain);
    match read {
        Ok(length) if length > limit => Err(Refusal::too_large("the decompressed body", limit)),
        Ok(_) => Ok(plain.into()),
        Err(error) => Err(Refusal::refused("body cannot be decompressed", &error)),
    }
}

/// A header as text; one that is not text is unknown anyway.
fn text(headers: &HeaderMap, name: &HeaderName) -> String {
    headers.get(name).map(|value| String::from_utf8_lossy(value.as_bytes()).into_owned()).unwrap_or_default()
}

/// Length that the sender announces, unless it is over the limit.
pub(crate) fn announced_length(headers: &HeaderMap, limit: usize) -> Result<Option<usize>, Refusal> {
    let length = text(headers, &header::CONTENT_LENGTH).parse::<usize>().ok();
    match length {
        Some(length) if length > limit => {
            Err(Refusal::too_large(&format!("a body of {length} bytes"), limit))
        }
        other => Ok(other),
    }
}

/// Reads the whole body, at most `limit` bytes, within `timeout`.
pub(crate) async fn read(body: Body, limit: usize, timeout: Duration) -> Result<Bytes, Refusal> {
    match tokio::time::timeout(timeout, Limited::new(body, limit).collect()).await {
        Err(_) => Err(Refusal::timeout(timeout.as_secs_f64())),
        Ok(Ok(collected)) => Ok(collected.to_bytes()),
        Ok(Err(error)) if error.is::<LengthLimitError>() => Err(Refusal::too_large("the body", limit)),
        Ok(Err(error)) => {
            Err(Refusal::refused("body cannot be read", &io::Error::new(io::ErrorKind::InvalidData, error)))
        }
    }
}
