//! The API server, asked with plain JSON.
use foremesh_kubernetes::{ClusterSettings, client, resources::definitions};
use kube::{
    Client,
    api::{Api, ApiResource, DynamicObject, Patch, PatchParams},
    core::GroupVersionKind,
};
use serde_json::{Value, json};
use std::time::Duration;

pub(super) struct Server {
    pub(super) client: Client,
}

impl Server {
    /// With the definitions applied.
    pub(super) async fn connect() -> Self {
        let client = client(&ClusterSettings::default()).await.unwrap();
        let crd = ApiResource::from_gvk(&GroupVersionKind::gvk(
            "apiextensions.k8s.io",
            "v1",
            "CustomResourceDefinition",
        ));
        let api: Api<DynamicObject> = Api::all_with(client.clone(), &crd);
        let server = Self { client };
        for definition in definitions() {
            let name = definition["metadata"]["name"].as_str().unwrap();
            let how = PatchParams::apply("foremesh").force();
            api.patch(name, &how, &Patch::Apply(&definition)).await.unwrap();
            let plural = definition["spec"]["names"]["plural"].as_str().unwrap();
            for _ in 0..100 {
                if server.get(&format!("/apis/foremesh.dev/v1alpha1/{plural}")).await.is_ok() {
                    break;
                }
                tokio::time::sleep(Duration::from_millis(100)).await;
            }
        }
        server
    }

    pub(super) async fn get(&self, path: &str) -> Result<Value, String> {
        self.send("GET", path, None).await
    }

    pub(super) async fn send(&self, method: &str, path: &str, body: Option<&Value>) -> Result<Value, String> {
        let bytes = body.map(|body| serde_json::to_vec(body).unwrap()).unwrap_or_default();
        let kind = if method == "PATCH" { "application/merge-patch+json" } else { "application/json" };
        let request = hyper::Request::builder()
            .method(method)
            .uri(path)
            .header("content-type", kind)
            .body(bytes)
            .unwrap();
        match self.client.request::<Value>(request).await {
            Ok(answer) => Ok(answer),
            Err(kube::Error::Api(status)) => Err(status.message.clone()),
            Err(error) => panic!("{method} {path}: {error:?}"),
        }
    }

    /// What a dry run of an object says that is checked as `kubectl apply` does.
    pub(super) async fn try_to_create(&self, plural: &str, kind: &str, spec: &Value) -> Result<(), String> {
        let object = json!({
            "apiVersion": "foremesh.dev/v1alpha1", "kind": kind,
            "metadata": {"name": "tried", "namespace": "default"}, "spec": spec,
        });
        let path = format!(
            "/apis/foremesh.dev/v1alpha1/namespaces/default/{plural}?dryRun=All&fieldValidation=Strict"
        );
        self.send("POST", &path, Some(&object)).await.map(drop)
    }
}
