//! The messages between the API server and a webhook, `admission.k8s.io/v1`.
use base64::{Engine, prelude::BASE64_STANDARD};
use serde::Deserialize;
use serde_json::{Value, json};

/// What is asked.
#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Request {
    /// Its answer has the same.
    pub(super) uid: String,
    resource: Resource,
    #[serde(default)]
    sub_resource: String,
    operation: String,
    #[serde(default)]
    pub(super) namespace: String,
    #[serde(default)]
    pub(super) object: Value,
}

#[derive(Clone, Debug, Deserialize)]
struct Resource {
    #[serde(default)]
    group: String,
    resource: String,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Review {
    api_version: String,
    request: Request,
}

impl Request {
    /// Reads a request.
    ///
    /// # Errors
    /// When it is not one, in words. There is no answer without its uid.
    pub(super) fn read(body: &[u8]) -> Result<Self, String> {
        let review: Review =
            serde_json::from_slice(body).map_err(|error| format!("it is not an AdmissionReview: {error}"))?;
        if review.api_version != "admission.k8s.io/v1" {
            return Err(format!("it is of {}, and only admission.k8s.io/v1 is known", review.api_version));
        }
        Ok(review.request)
    }

    /// Whether a pod is about to be made.
    pub(super) fn makes_pod(&self) -> bool {
        self.operation == "CREATE"
            && self.resource.group.is_empty()
            && self.resource.resource == "pods"
            && self.sub_resource.is_empty()
            && self.object.is_object()
    }

    /// The answer: it is allowed, changed by this JSON Patch.
    pub(super) fn allowed(&self, patch: &[Value]) -> Value {
        let mut response = json!({"uid": self.uid, "allowed": true});
        if !patch.is_empty() {
            response["patchType"] = "JSONPatch".into();
            response["patch"] = BASE64_STANDARD.encode(Value::from(patch).to_string()).into();
        }
        json!({"apiVersion": "admission.k8s.io/v1", "kind": "AdmissionReview", "response": response})
    }
}
