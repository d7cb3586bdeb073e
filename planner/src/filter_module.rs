//! `GET /filter.wasm`: the filter for the sidecars of a mesh, so that no registry is needed.
use anyhow::Context as _;
use axum::{
    Router,
    extract::State,
    http::{HeaderMap, StatusCode, header},
    response::{IntoResponse, Response},
    routing::get,
};
use bytes::Bytes;
use sha2::{Digest as _, Sha256};
use std::{fmt::Write as _, path::Path};

/// Where the module is served.
pub const MODULE_PATH: &str = "/filter.wasm";

/// Where its digest is: 64 hexadecimal digits, and nothing else.
pub const DIGEST_PATH: &str = "/filter.wasm.sha256";

/// How every module of WebAssembly begins.
const MAGIC: &[u8] = b"\0asm";

/// A module that is served; clones share it.
#[derive(Clone, Debug)]
pub struct FilterModule {
    bytes: Bytes,
    digest: String,
}

impl FilterModule {
    /// Reads the module.
    ///
    /// # Errors
    /// When the file cannot be read, or holds no module.
    pub fn read(path: &Path) -> anyhow::Result<Self> {
        let bytes = std::fs::read(path).with_context(|| {
            format!(
                "filter module `{}` cannot be read; correct `filterModule`, or leave it out",
                path.display()
            )
        })?;
        anyhow::ensure!(
            bytes.starts_with(MAGIC),
            "filter module `{}` is no WebAssembly; build it with `scripts/build-filter`",
            path.display()
        );
        let digest = Sha256::digest(&bytes).iter().fold(String::new(), |mut text, byte| {
            // Writing to a string cannot fail.
            let _ = write!(text, "{byte:02x}");
            text
        });
        Ok(Self { bytes: bytes.into(), digest })
    }

    /// SHA-256 of the module in hexadecimal digits.
    pub fn digest(&self) -> &str {
        &self.digest
    }

    /// Serves it.
    pub fn router(self) -> Router {
        Router::new()
            .route(MODULE_PATH, get(module))
            .route(DIGEST_PATH, get(async |State(module): State<Self>| module.digest))
            .with_state(self)
    }
}

async fn module(State(module): State<FilterModule>, asked: HeaderMap) -> Response {
    let tag = format!("\"{}\"", module.digest);
    let known = asked.get(header::IF_NONE_MATCH).is_some_and(|known| known.as_bytes() == tag.as_bytes());
    if known {
        return (StatusCode::NOT_MODIFIED, [(header::ETAG, tag)]).into_response();
    }
    ([(header::CONTENT_TYPE, "application/wasm".to_owned()), (header::ETAG, tag)], module.bytes)
        .into_response()
}

#[cfg(test)]
mod tests {
    use super::*;
    use axum::{body::Body, http::Request};
    use http_body_util::BodyExt as _;
    use tower::ServiceExt as _;

    async fn get(router: &Router, path: &str, known: Option<&str>) -> (StatusCode, Bytes) {
        let mut request = Request::get(path);
        if let Some(known) = known {
            request = request.header(header::IF_NONE_MATCH, known);
        }
        let answer = router.clone().oneshot(request.body(Body::empty()).unwrap()).await.unwrap();
        (answer.status(), answer.into_body().collect().await.unwrap().to_bytes())
    }

    #[tokio::test]
    async fn the_module_and_its_digest_are_served() {
        let directory = tempfile::tempdir().unwrap();
        let file = directory.path().join("filter.wasm");
        std::fs::write(&file, b"\0asm\x01\0\0\0").unwrap();
        let router = FilterModule::read(&file).unwrap().router();
        let (status, bytes) = get(&router, MODULE_PATH, None).await;
        assert_eq!((status, &bytes[..]), (StatusCode::OK, &b"\0asm\x01\0\0\0"[..]));
        // As `sha256sum` says.
        let digest = "93a44bbb96c751218e4c00d479e4c14358122a389acca16205b1e4d0dc5f9476";
        assert_eq!(get(&router, DIGEST_PATH, None).await.1, digest);
        let tag = format!("\"{digest}\"");
        assert_eq!(get(&router, MODULE_PATH, Some(&tag)).await, (StatusCode::NOT_MODIFIED, Bytes::new()));
        assert_eq!(get(&router, MODULE_PATH, Some("\"older\"")).await.0, StatusCode::OK);
    }

    #[test]
    fn what_is_no_module_is_refused_with_what_to_do() {
        let directory = tempfile::tempdir().unwrap();
        let file = directory.path().join("filter.wasm");
        let missing = FilterModule::read(&file).unwrap_err().to_string();
        assert!(missing.ends_with("cannot be read; correct `filterModule`, or leave it out"), "{missing}");
        std::fs::write(&file, "version https://git-lfs").unwrap();
        let other = FilterModule::read(&file).unwrap_err().to_string();
        assert!(other.ends_with("is no WebAssembly; build it with `scripts/build-filter`"), "{other}");
    }
}
