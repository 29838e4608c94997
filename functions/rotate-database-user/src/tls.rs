//! Whom the databases' clients trust: the certificate authorities of RDS, or those of the bundle that a setting names.
//!
//! There is no way round it: no system store, no plaintext, no skipped host name. AWS's own functions fall back to
//! plaintext where the secret has no `ssl` (FACTS G).

use std::sync::Arc;

use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;
use rustls::{ClientConfig, RootCertStore};

/// RDS's own, of every region.
const RDS: &str = include_str!("rds-ca.pem");

/// Who signs the servers' certificates.
#[derive(Clone)]
pub struct Trust {
    pem: Arc<[u8]>,
    roots: Arc<RootCertStore>,
}

/// A bundle that is none.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the bundle holds no certificate authority that can be read: {0}")]
pub struct BadBundle(String);

impl Trust {
    /// Trusts RDS's certificate authorities.
    pub fn rds() -> Result<Trust, BadBundle> {
        Trust::bundle(RDS.as_bytes())
    }

    /// Trusts the certificate authorities of a PEM bundle, and nobody else.
    pub fn bundle(pem: &[u8]) -> Result<Trust, BadBundle> {
        let mut roots = RootCertStore::empty();
        for certificate in CertificateDer::pem_slice_iter(pem) {
            let certificate = certificate.map_err(|error| BadBundle(error.to_string()))?;
            roots.add(certificate).map_err(|error| BadBundle(error.to_string()))?;
        }
        if roots.is_empty() {
            return Err(BadBundle("it is empty".to_owned()));
        }
        // One of the clients asks for the process's provider; who is second finds it there.
        let _installed_before = rustls::crypto::ring::default_provider().install_default();
        Ok(Trust { pem: pem.into(), roots: Arc::new(roots) })
    }

    /// The bundle itself, for a client that reads PEM.
    pub fn pem(&self) -> &[u8] {
        &self.pem
    }

    /// The TLS client; `versions` are the engine's.
    pub fn client(&self, versions: &[&'static rustls::SupportedProtocolVersion]) -> Result<ClientConfig, String> {
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let builder = ClientConfig::builder_with_provider(provider).with_protocol_versions(versions);
        let builder = builder.map_err(|error| error.to_string())?;
        Ok(builder.with_root_certificates(self.roots.clone()).with_no_client_auth())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_certificate_of_the_bundle_can_be_read_and_none_is_lost() {
        let written = RDS.matches("-----BEGIN CERTIFICATE-----").count();
        assert!(written > 80, "every region has three");
        assert_eq!(Trust::rds().unwrap().roots.len(), written);
        for region in ["us-east-1", "eu-west-1", "ap-southeast-2", "sa-east-1"] {
            assert!(RDS.contains(&format!("# Amazon RDS {region} Root CA RSA2048 G1")), "{region}");
        }
    }

    #[test]
    fn a_bundle_without_a_certificate_is_refused() {
        assert!(Trust::bundle(b"").is_err());
        assert!(Trust::bundle(b"-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n").is_err());
    }
}
