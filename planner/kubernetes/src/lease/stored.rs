//! The Lease object: what is read of it, and what is written into it.
use super::{LeaseSettings, decide::Record};
use foremesh_core::time::Timestamp;
use k8s_openapi::{
    api::coordination::v1::{Lease, LeaseSpec},
    apimachinery::pkg::apis::meta::v1::{MicroTime, ObjectMeta},
    jiff,
};
use std::time::Duration;

pub(super) fn record(lease: &Lease) -> Record {
    let spec = lease.spec.clone().unwrap_or_default();
    let seconds = spec.lease_duration_seconds.and_then(|seconds| u64::try_from(seconds).ok());
    Record {
        holder: spec.holder_identity.filter(|holder| !holder.is_empty()),
        duration: seconds.filter(|seconds| *seconds > 0).map(Duration::from_secs),
        transitions: spec.lease_transitions.and_then(|count| u32::try_from(count).ok()).unwrap_or(0),
        version: lease.metadata.resource_version.clone().unwrap_or_default(),
    }
}

/// A lease that nobody has made yet.
pub(super) fn unheld(settings: &LeaseSettings) -> Lease {
    let managed = ("app.kubernetes.io/managed-by".to_owned(), "foremesh".to_owned());
    Lease {
        metadata: ObjectMeta {
            name: Some(settings.name.clone()),
            labels: Some([managed].into()),
            ..ObjectMeta::default()
        },
        spec: None,
    }
}

/// What is written into a lease.
pub(super) enum Entry<'a> {
    /// A new holder, and which one it is.
    Taken { by: &'a str, transitions: u32 },
    /// The holder goes on.
    Renewed,
    /// Nobody holds it any more.
    Released,
}

/// The same lease with what is written; all else stays. Times are for humans, and of the wall clock.
pub(super) fn written(lease: Lease, entry: &Entry<'_>, settings: &LeaseSettings, now: Timestamp) -> Lease {
    let at = jiff::Timestamp::from_millisecond(now.unix_ms()).ok().map(MicroTime);
    let seconds = i32::try_from(settings.duration.as_secs()).unwrap_or(i32::MAX);
    let spec = lease.spec.unwrap_or_default();
    let spec = match entry {
        Entry::Taken { by, transitions } => LeaseSpec {
            holder_identity: Some((*by).to_owned()),
            lease_duration_seconds: Some(seconds),
            acquire_time: at.clone(),
            renew_time: at,
            lease_transitions: Some(i32::try_from(*transitions).unwrap_or(i32::MAX)),
            ..spec
        },
        Entry::Renewed => LeaseSpec { lease_duration_seconds: Some(seconds), renew_time: at, ..spec },
        Entry::Released => LeaseSpec {
            holder_identity: Some(String::new()),
            lease_duration_seconds: Some(1),
            renew_time: at,
            ..spec
        },
    };
    Lease { spec: Some(spec), ..lease }
}
