//! A planner beside the API server of a testbed, with a name in the mesh.
use super::{Cluster, Namespace};
use crate::{hand_over::Files, place::root, served::Served};
use std::ops::{Deref, DerefMut};
use tempfile::TempDir;

/// Address of the machine that the API server runs on, as pods reach it.
const ADDRESS: &str = "172.30.0.10";

/// A planner that runs inside; dropping it ends it.
#[derive(Debug)]
pub struct InCluster {
    served: Served,
    _directory: TempDir,
    space: Namespace,
}

impl InCluster {
    /// Starts a planner for the opted-in namespaces that only reads, with the service `foremesh` in a namespace of its own.
    ///
    /// # Panics
    /// When it does not answer in time, with its log.
    pub async fn start(cluster: &'static Cluster, namespace: &'static str, port: u16, policy: &str) -> Self {
        Self::start_with(cluster, namespace, port, policy, "{kubernetes: {}}").await
    }

    /// Starts one that moves workloads; its webhook is at the next port.
    ///
    /// # Panics
    /// When it does not answer in time, with its log.
    pub async fn start_moving(
        cluster: &'static Cluster,
        namespace: &'static str,
        port: u16,
        policy: &str,
    ) -> Self {
        let account =
            "{apiVersion: v1, kind: ServiceAccount, metadata: {name: foremesh, namespace: istio-system}}";
        cluster.apply(account).await.unwrap_or_else(|error| panic!("{error}"));
        let platform = format!(
            "{{kubernetes: {{moves: {{namespace: {namespace}, webhook: {{listen: '0.0.0.0:{}', host: {ADDRESS}}}}}}}}}\n\
             planning: {{requests_per_money: 100000.0, default_move_duration_ms: 10000}}\n\
             rollout: {{revalidateAfter: 2s, holdPerStep: 4s, settle: 4s, gateWait: 20s, drainQuiet: 2s, \
             observationLag: 2500ms, poll: 250ms, minSamples: 100}}",
            port + 1
        );
        Self::start_with(cluster, namespace, port, policy, &platform).await
    }

    async fn start_with(
        cluster: &'static Cluster,
        namespace: &'static str,
        port: u16,
        policy: &str,
        platform: &str,
    ) -> Self {
        let space = Namespace::plain(cluster, namespace).await;
        // A service without a selector, so that its endpoint is where the planner is.
        space
            .apply(&format!(
                "{{apiVersion: v1, kind: Service, metadata: {{name: foremesh}}, \
                   spec: {{ports: [{{name: http, port: 8700, targetPort: {port}}}]}}}}\n---\n\
                 {{apiVersion: discovery.k8s.io/v1, kind: EndpointSlice, addressType: IPv4, \
                   metadata: {{name: foremesh, labels: {{kubernetes.io/service-name: foremesh}}}}, \
                   ports: [{{name: http, port: {port}}}], \
                   endpoints: [{{addresses: [{ADDRESS}], conditions: {{ready: true}}}}]}}\n"
            ))
            .await;
        let directory = TempDir::new().expect("a directory can be made");
        let file = |name: &str, text: &str| {
            let path = directory.path().join(name);
            std::fs::write(&path, text).expect("a file can be written");
            path
        };
        file("policy.yaml", policy);
        let module = root().join("build/foremesh_filter.wasm");
        let settings = file(
            "foremesh.yaml",
            &format!(
                "listen: 0.0.0.0:{port}\nstateDirectory: state\nplatform: {platform}\nfilterModule: {}\n\
                 policies: [policy.yaml]\nstep: 1s\nseason: 24s\nhorizon: 12s\ninterval: 1s\nlateness: 3s\n",
                module.display()
            ),
        );
        let files = Files { settings, state: directory.path().join("state") };
        let mut served = Served::new(cluster, files, format!("http://{ADDRESS}:{port}"));
        served.start().await;
        Self { served, _directory: directory, space }
    }

    /// Host name that sidecars reach it by.
    pub fn host(&self) -> String {
        format!("foremesh.{}.svc.cluster.local", self.space.name())
    }
}

impl Deref for InCluster {
    type Target = Served;

    fn deref(&self) -> &Served {
        &self.served
    }
}

impl DerefMut for InCluster {
    fn deref_mut(&mut self) -> &mut Served {
        &mut self.served
    }
}
