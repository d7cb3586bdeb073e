//! What a cluster serves.
use crate::{ClusterError, ClusterSettings, cluster, error::in_full};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::APIResourceList;
use std::collections::BTreeSet;

/// The plural names of the kinds of a group and version, such as `extensions.istio.io/v1alpha1`; none when the cluster does
/// not know it.
///
/// # Errors
/// When the API server cannot be reached, or refuses to tell.
pub async fn served(
    settings: &ClusterSettings,
    group_version: &str,
) -> Result<BTreeSet<String>, ClusterError> {
    let client = cluster::client(settings).await?;
    match client.list_api_group_resources(group_version).await {
        Ok(APIResourceList { resources, .. }) => {
            Ok(resources.into_iter().map(|kind| kind.name).filter(|name| !name.contains('/')).collect())
        }
        Err(kube::Error::Api(status)) if status.code == 404 => Ok(BTreeSet::new()),
        Err(error) => Err(ClusterError::new(
            format!("kinds of {group_version}"),
            in_full(&error),
            "check that the API server answers and can be reached from here",
        )),
    }
}
