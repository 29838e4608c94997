//! The certificates that the sandbox's instances show: made when they are needed, signed by an authority that only this
//! process knows, or by nobody, as SQL Server's own is when nobody has given it one.

use std::io;
use std::sync::Arc;

use rcgen::{BasicConstraints, CertificateParams, DistinguishedName, DnType, IsCa, Issuer, KeyPair};
use rustls::ServerConfig;
use rustls::crypto::ring;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer};
use rustls::version::{TLS12, TLS13};
use tokio_rustls::TlsAcceptor;

/// What a TDS 8.0 client says in TLS, so that an endpoint can tell TDS from HTTP.
pub(super) const TDS_8: &[u8] = b"tds/8.0";

/// A certificate authority. Whoever trusts its certificate accepts the instances' ones.
pub struct Authority {
    issuer: Issuer<'static, KeyPair>,
    pem: String,
    der: CertificateDer<'static>,
}

impl Authority {
    /// A new one.
    ///
    /// # Errors
    /// When this machine has no randomness.
    pub fn new() -> io::Result<Authority> {
        let mut parameters = named("credential-rotation sandbox", &[]);
        parameters.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let key = KeyPair::generate().map_err(io::Error::other)?;
        let certificate = parameters.self_signed(&key).map_err(io::Error::other)?;
        let (pem, der) = (certificate.pem(), certificate.der().clone());
        Ok(Authority { issuer: Issuer::new(parameters, key), pem, der })
    }

    /// Its certificate, as a file for clients has it.
    pub fn pem(&self) -> &str {
        &self.pem
    }

    /// The same for a TLS library.
    pub fn der(&self) -> &CertificateDer<'static> {
        &self.der
    }

    /// A certificate for an instance that clients find by these names or addresses.
    ///
    /// # Errors
    /// When a name cannot be in a certificate.
    pub fn certify(&self, names: &[&str]) -> io::Result<Certificate> {
        let key = KeyPair::generate().map_err(io::Error::other)?;
        let certificate = named("SQL Server", names).signed_by(&key, &self.issuer).map_err(io::Error::other)?;
        Certificate::new(certificate.der().clone(), &key)
    }
}

/// A server's certificate with its key, ready for both ways in which TDS uses TLS.
#[derive(Clone)]
pub struct Certificate {
    /// TLS within TDS. SQL Server speaks 1.2 there: with 1.3 the end of the handshake cannot be told from what follows.
    pub(super) within: TlsAcceptor,
    /// TLS first, as TDS 8.0 has it.
    pub(super) first: TlsAcceptor,
}

impl Certificate {
    /// The one that SQL Server makes for itself when it has none: no client has a reason to trust it.
    ///
    /// # Errors
    /// When this machine has no randomness.
    pub fn self_signed() -> io::Result<Certificate> {
        let key = KeyPair::generate().map_err(io::Error::other)?;
        let parameters = named("SSL_Self_Signed_Fallback", &["localhost"]);
        let certificate = parameters.self_signed(&key).map_err(io::Error::other)?;
        Certificate::new(certificate.der().clone(), &key)
    }

    fn new(certificate: CertificateDer<'static>, key: &KeyPair) -> io::Result<Certificate> {
        let config = |versions: &[&'static rustls::SupportedProtocolVersion]| {
            let key = PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(key.serialize_der()));
            ServerConfig::builder_with_provider(Arc::new(ring::default_provider()))
                .with_protocol_versions(versions)
                .and_then(|builder| builder.with_no_client_auth().with_single_cert(vec![certificate.clone()], key))
                .map_err(io::Error::other)
        };
        let within = config(&[&TLS12])?;
        let mut first = config(&[&TLS12, &TLS13])?;
        first.alpn_protocols = vec![TDS_8.to_vec()];
        Ok(Certificate { within: Arc::new(within).into(), first: Arc::new(first).into() })
    }
}

/// What a certificate says of its holder; rcgen tells names from addresses.
fn named(common_name: &str, names: &[&str]) -> CertificateParams {
    let names: Vec<String> = names.iter().map(|name| (*name).to_owned()).collect();
    let mut parameters = CertificateParams::new(names).unwrap_or_default();
    parameters.distinguished_name = DistinguishedName::new();
    parameters.distinguished_name.push(DnType::CommonName, common_name);
    parameters
}
