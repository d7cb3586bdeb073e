//! What the webhook is known by: a certificate, its key, and the authorities that the API server is told to trust.
//!
//! Each certificate has an authority of its own, whose key is thrown away once it has signed: nothing that is stored can
//! make another certificate. So a new certificate means a new authority, and the one before is trusted beside it until it
//! ends, because other planners serve its certificate for a while yet.
use crate::{ClusterError, error::in_full};
use base64::{Engine, prelude::BASE64_STANDARD};
use foremesh_core::time::Timestamp;
use rcgen::{
    BasicConstraints, CertificateParams, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair,
    KeyUsagePurpose,
};
use rustls::{
    crypto::CryptoProvider,
    pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject},
    sign::CertifiedKey,
};
use serde::{Deserialize, Serialize};
use std::{collections::BTreeSet, fmt, time::Duration};

const DAY_MS: i64 = 86_400_000;
/// How long a certificate and its authority are valid.
const VALID_MS: i64 = 90 * DAY_MS;
/// It is replaced so long before its end.
const RENEWED_BEFORE_MS: i64 = 30 * DAY_MS;
/// It is valid from so long ago: clocks of API servers may be behind.
const BACKDATED_MS: i64 = 3_600_000;
/// More are not kept: hosts that change all the time must not fill the Secret.
const MOST_TRUSTED: usize = 4;

/// A certificate with its key, and whom to trust.
#[derive(Clone, PartialEq, Eq)]
pub(super) struct Identity {
    /// PEM.
    pub(super) certificate: String,
    /// PEM.
    pub(super) key: String,
    pub(super) facts: Facts,
}

/// What is stored beside the certificate, so that it need not be taken apart.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Facts {
    /// Names and addresses that the certificate is for.
    pub(super) hosts: BTreeSet<String>,
    /// The authority of the certificate, then those before.
    pub(super) trusted: Vec<Authority>,
}

/// Somebody whose certificates are trusted.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Authority {
    /// PEM.
    certificate: String,
    /// End of its certificate, and of what it has signed.
    not_after_unix_ms: i64,
}

impl fmt::Debug for Identity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Identity").field("hosts", &self.facts.hosts).finish_non_exhaustive()
    }
}

impl Identity {
    /// Makes one for these hosts and, so that planners that differ in theirs come to an agreement, for those of before.
    ///
    /// # Errors
    /// When a host is no name and no address.
    pub(super) fn issue(
        hosts: &BTreeSet<String>,
        now: Timestamp,
        before: Option<&Facts>,
    ) -> Result<Self, ClusterError> {
        let earlier = before.map(|facts| facts.hosts.clone()).unwrap_or_default();
        let hosts: BTreeSet<String> = hosts.union(&earlier).cloned().collect();
        let (authority, certificate, key) = signed(&hosts, now).map_err(|error| {
            let hosts = hosts.iter().map(String::as_str).collect::<Vec<_>>().join(", ");
            ClusterError::new(
                format!("certificate of the placement webhook for {hosts}"),
                in_full(&error),
                "give it an address that is a DNS name or an IP address",
            )
        })?;
        let trusted =
            Authority { certificate: authority, not_after_unix_ms: now.plus_ms(VALID_MS).unix_ms() };
        let still = |authority: &&Authority| authority.not_after_unix_ms > now.unix_ms();
        let others = before.into_iter().flat_map(|facts| &facts.trusted).filter(still).cloned();
        let trusted = std::iter::once(trusted).chain(others).take(MOST_TRUSTED).collect();
        Ok(Self { certificate, key, facts: Facts { hosts, trusted } })
    }

    /// Whether another one is needed: for hosts that this one is not for, or because it ends soon.
    pub(super) fn is_due(&self, hosts: &BTreeSet<String>, now: Timestamp) -> bool {
        let ends = self.facts.trusted.first().map_or(i64::MIN, |authority| authority.not_after_unix_ms);
        !hosts.is_subset(&self.facts.hosts) || ends < now.plus_ms(RENEWED_BEFORE_MS).unix_ms()
    }

    /// Whom the API server is to trust, as `caBundle` has it.
    pub(super) fn ca_bundle(&self) -> String {
        BASE64_STANDARD.encode(self.authorities())
    }

    /// PEM of all that are trusted.
    pub(super) fn authorities(&self) -> String {
        self.facts.trusted.iter().map(|authority| authority.certificate.as_str()).collect()
    }

    /// In the form that connections are served with.
    ///
    /// # Errors
    /// When certificate and key cannot be read or do not belong together, in words.
    pub(super) fn certified(&self, provider: &CryptoProvider) -> Result<CertifiedKey, String> {
        let chain: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(self.certificate.as_bytes()).collect();
        let chain = chain.map_err(|error| in_full(&error))?;
        if chain.is_empty() {
            return Err("there is no certificate in it".to_owned());
        }
        let key = PrivateKeyDer::from_pem_slice(self.key.as_bytes()).map_err(|error| in_full(&error))?;
        CertifiedKey::from_der(chain, key, provider).map_err(|error| in_full(&error))
    }
}

/// PEM of an authority, of a certificate that it has signed, and of that certificate's key.
fn signed(hosts: &BTreeSet<String>, now: Timestamp) -> Result<(String, String, String), rcgen::Error> {
    let names: Vec<String> = hosts.iter().cloned().collect();
    let mut authority = params(Vec::new(), "authority", now)?;
    authority.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
    authority.key_usages = vec![KeyUsagePurpose::KeyCertSign];
    let authority_key = KeyPair::generate()?;
    let authority_certificate = authority.self_signed(&authority_key)?;

    let mut served = params(names, "webhook", now)?;
    served.key_usages = vec![KeyUsagePurpose::DigitalSignature];
    served.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
    served.use_authority_key_identifier_extension = true;
    let key = KeyPair::generate()?;
    let certificate = served.signed_by(&key, &Issuer::from_params(&authority, &authority_key))?;
    Ok((authority_certificate.pem(), certificate.pem(), key.serialize_pem()))
}

fn params(hosts: Vec<String>, what: &str, now: Timestamp) -> Result<CertificateParams, rcgen::Error> {
    let mut params = CertificateParams::new(hosts)?;
    // With the time, so that authorities of different times have different names.
    params.distinguished_name.push(DnType::CommonName, format!("foremesh {what} {}", now.unix_ms()));
    let epoch = rcgen::date_time_ymd(1970, 1, 1);
    let at = |at: Timestamp| epoch + Duration::from_millis(u64::try_from(at.unix_ms()).unwrap_or_default());
    params.not_before = at(now.plus_ms(-BACKDATED_MS));
    params.not_after = at(now.plus_ms(VALID_MS));
    Ok(params)
}
