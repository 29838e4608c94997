//! A certificate authority that lives as long as one run of the tests.

use std::path::Path;

use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair};

/// A certificate authority and the bundle that trusts it.
pub struct Authority {
    issuer: CertifiedIssuer<'static, KeyPair>,
}

impl Default for Authority {
    fn default() -> Self {
        Authority::new()
    }
}

impl Authority {
    /// A new one.
    pub fn new() -> Authority {
        let mut params = CertificateParams::new(Vec::new()).expect("no names are valid names");
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let key = KeyPair::generate().expect("a key can be made");
        Authority { issuer: CertifiedIssuer::self_signed(params, key).expect("the authority signs itself") }
    }

    /// The bundle, as a setting names it.
    pub fn bundle(&self) -> String {
        self.issuer.pem()
    }

    /// Writes a server's key and certificate for these names into a folder.
    pub fn certify(&self, folder: &Path, names: &[&str]) {
        let names: Vec<String> = names.iter().map(|name| (*name).to_owned()).collect();
        let key = KeyPair::generate().expect("a key can be made");
        let params = CertificateParams::new(names).expect("the names are valid");
        let certificate = params.signed_by(&key, &self.issuer).expect("the authority signs");
        let write =
            |name: &str, text: String| std::fs::write(folder.join(name), text).expect("the folder can be written");
        write("ca.pem", self.bundle());
        write("server.pem", certificate.pem());
        write("server.key", key.serialize_pem());
    }
}
