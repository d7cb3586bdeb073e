//! An API server that stores objects, played for tests: versions, conflicts, refusals, merge patches and JSON patches, lists
//! by labels. It has no watches.
#![expect(clippy::unwrap_used, clippy::missing_panics_doc, reason = "a test fails by panicking")]
use http_body_util::{BodyExt, Full};
use hyper::{Method, Request, Response, body::Bytes};
use kube::client::Body;
use serde_json::{Value, json};
use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex},
};
use tower::{BoxError, service_fn};

/// Clones are the same server.
#[derive(Clone, Debug, Default)]
pub struct Stored(Arc<Mutex<State>>);

#[derive(Debug, Default)]
struct State {
    /// By path.
    objects: BTreeMap<String, Value>,
    version: u64,
    /// How often another one writes just before a write.
    interferes: u32,
    refuses: Option<(u16, &'static str)>,
    silent: bool,
    /// Method and path of each request.
    asked: Vec<String>,
}

impl Stored {
    /// A client of it.
    pub fn client(&self) -> kube::Client {
        let server = self.clone();
        kube::Client::new(service_fn(move |request| server.clone().answered(request)), "default")
    }

    /// Answers one request of a client, unless it is silent.
    ///
    /// # Errors
    /// When the request cannot be read.
    pub async fn answered(self, request: Request<Body>) -> Result<Response<Full<Bytes>>, BoxError> {
        let (parts, body) = request.into_parts();
        let body = body.collect().await?.to_bytes();
        if self.0.lock().unwrap().silent {
            std::future::pending::<()>().await;
        }
        let (code, answer) = self.0.lock().unwrap().answer(
            &parts.method,
            parts.uri.path(),
            parts.uri.query().unwrap_or_default(),
            &body,
        );
        let mut response = Response::new(Full::new(Bytes::from(answer.to_string())));
        *response.status_mut() = code.try_into()?;
        Ok(response)
    }

    /// What is stored at a path.
    pub fn object(&self, path: &str) -> Option<Value> {
        self.0.lock().unwrap().objects.get(path).cloned()
    }

    /// As somebody else would store it.
    pub fn store(&self, path: &str, object: Value) {
        self.0.lock().unwrap().store(path, object);
    }

    /// As somebody else would delete it.
    pub fn remove(&self, path: &str) {
        self.0.lock().unwrap().objects.remove(path);
    }

    /// Another one writes just before each of the next writes.
    pub fn interfere(&self, times: u32) {
        self.0.lock().unwrap().interferes = times;
    }

    /// From now on it answers so.
    pub fn refuse(&self, with: Option<(u16, &'static str)>) {
        self.0.lock().unwrap().refuses = with;
    }

    /// From now on it takes requests and does not answer.
    pub fn silence(&self) {
        self.0.lock().unwrap().silent = true;
    }

    /// Methods and paths that were asked for since the last call.
    pub fn asked(&self) -> Vec<String> {
        std::mem::take(&mut self.0.lock().unwrap().asked)
    }
}

impl State {
    fn store(&mut self, path: &str, mut object: Value) -> Value {
        self.version += 1;
        object["metadata"]["resourceVersion"] = json!(self.version.to_string());
        self.objects.insert(path.to_owned(), object.clone());
        object
    }

    /// All objects right below a path.
    fn list(&self, path: &str, query: &str) -> Option<(u16, Value)> {
        let below = |of: &str| {
            let right_below = |of: &str| {
                of.strip_prefix(path).and_then(|of| of.strip_prefix('/')).is_some_and(|of| !of.contains('/'))
            };
            // Also in all namespaces.
            let anywhere = of.split_once("/namespaces/").and_then(|(group, of)| {
                let (_, kind_and_name) = of.split_once('/')?;
                Some(format!("{group}/{kind_and_name}"))
            });
            right_below(of) || anywhere.is_some_and(|of| right_below(&of))
        };
        let items: Vec<&Value> =
            self.objects.iter().filter(|(of, _)| below(of)).map(|(_, object)| object).collect();
        let is_known = !items.is_empty();
        let items: Vec<&Value> = items.into_iter().filter(|object| is_labelled(object, query)).collect();
        is_known.then(|| {
            (200, json!({"kind": "List", "apiVersion": "v1", "metadata": {"resourceVersion": "1"}, "items": items}))
        })
    }

    fn answer(&mut self, method: &Method, path: &str, query: &str, body: &[u8]) -> (u16, Value) {
        self.asked.push(format!("{method} {path}"));
        if let Some((code, reason)) = self.refuses {
            return status(code, reason);
        }
        if *method == Method::GET {
            return match self.objects.get(path) {
                Some(found) => (200, found.clone()),
                None => self.list(path, query).unwrap_or_else(|| status(404, "NotFound")),
            };
        }
        let path = path.strip_suffix("/status").unwrap_or(path);
        let sent: Value = serde_json::from_slice(body).unwrap_or_default();
        let path = if *method == Method::POST {
            format!("{path}/{}", sent["metadata"]["name"].as_str().unwrap())
        } else {
            path.to_owned()
        };
        if self.interferes > 0 {
            self.interferes -= 1;
            let other = self.objects.get(&path).cloned().unwrap_or_else(|| json!({"metadata": {}}));
            self.store(&path, other);
        }
        let Some(found) = self.objects.get(&path).cloned() else {
            return if *method == Method::POST {
                (201, self.store(&path, sent))
            } else {
                status(404, "NotFound")
            };
        };
        let named = &sent["metadata"]["resourceVersion"];
        if !named.is_null() && *named != found["metadata"]["resourceVersion"] {
            return status(409, "Conflict");
        }
        match *method {
            Method::POST => status(409, "AlreadyExists"),
            Method::PUT => (200, self.store(&path, sent)),
            Method::PATCH if sent.is_array() => {
                let mut patched = found;
                let patch: json_patch::Patch = serde_json::from_value(sent).unwrap();
                match json_patch::patch(&mut patched, &patch) {
                    Ok(()) => (200, self.store(&path, patched)),
                    Err(error) => status(422, &format!("Invalid: {error}")),
                }
            }
            Method::PATCH => {
                let mut merged = found;
                merge(&mut merged, &sent);
                if is_let_go(&merged) {
                    self.objects.remove(&path);
                    return (200, merged);
                }
                (200, self.store(&path, merged))
            }
            Method::DELETE if is_held(&found) => {
                let mut deleted = found;
                deleted["metadata"]["deletionTimestamp"] = json!("2023-11-14T22:13:20Z");
                (200, self.store(&path, deleted))
            }
            Method::DELETE => {
                self.objects.remove(&path);
                (200, json!({"kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Success"}))
            }
            _ => status(405, "MethodNotAllowed"),
        }
    }
}

/// Whether an object has the labels that a query asks for: `KEY=VALUE` and `KEY`, joined by commas, or `KEY in (VALUE,VALUE)`.
fn is_labelled(object: &Value, query: &str) -> bool {
    let Some(selector) = query.split('&').find_map(|part| part.strip_prefix("labelSelector=")) else {
        return true;
    };
    let selector = selector
        .replace("%3D", "=")
        .replace("%2C", ",")
        .replace("%2F", "/")
        .replace("%28", "(")
        .replace("%29", ")")
        .replace('+', " ");
    let has = |key: &str, values: &str| {
        object["metadata"]["labels"][key].as_str().is_some_and(|own| values.split(',').any(|one| one == own))
    };
    if let Some((key, values)) = selector.split_once(" in (") {
        return has(key, values.trim_end_matches(')'));
    }
    selector.split(',').all(|term| match term.split_once('=') {
        Some((key, value)) => has(key, value),
        None => object["metadata"]["labels"][term].is_string(),
    })
}

fn is_held(object: &Value) -> bool {
    object["metadata"]["finalizers"].as_array().is_some_and(|finalizers| !finalizers.is_empty())
}

/// To be deleted, and held by nobody any more.
fn is_let_go(object: &Value) -> bool {
    !object["metadata"]["deletionTimestamp"].is_null() && !is_held(object)
}

fn merge(into: &mut Value, patch: &Value) {
    let Value::Object(fields) = patch else {
        *into = patch.clone();
        return;
    };
    if !into.is_object() {
        *into = json!({});
    }
    for (name, value) in fields {
        if value.is_null() {
            into.as_object_mut().unwrap().remove(name);
        } else {
            merge(&mut into[name.as_str()], value);
        }
    }
}

fn status(code: u16, reason: &str) -> (u16, Value) {
    let status = json!({
        "kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Failure",
        "message": format!("as the test wants: {reason}"), "reason": reason, "code": code
    });
    (code, status)
}
