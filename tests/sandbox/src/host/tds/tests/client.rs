//! tiberius, the client that issue 8's functions use, behind TLS of our own: rustls with ring, since what tiberius would
//! bring is aws-lc's or OpenSSL's (DESIGN section 9).

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;

use rustls::crypto::ring;
use rustls::pki_types::ServerName;
use rustls::version::{TLS12, TLS13};
use rustls::{ClientConfig, RootCertStore, SupportedProtocolVersion};
use tds_protocol::{EncryptionLevel, PacketType, PreLogin};
use tiberius::{AuthMethod, Client, Config};
use tokio::io::{AsyncRead, AsyncWrite, DuplexStream, copy_bidirectional, duplex};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;
use tokio_util::compat::{Compat, TokioAsyncReadCompatExt};

use super::super::packet::{self, FIRST_PACKET_SIZE};
use super::super::tunnel::Tunnel;
use super::super::{Authority, certificate::TDS_8};

/// A connection that is open.
pub(super) type Connection = Client<Compat<DuplexStream>>;

/// Who connects, and whom it trusts.
#[derive(Clone, Copy)]
pub(super) struct Caller<'a> {
    pub(super) at: SocketAddr,
    pub(super) authority: &'a Authority,
}

impl Caller<'_> {
    /// Logs in over TLS within TDS.
    pub(super) async fn log_in(&self, login: &str, password: &str) -> tiberius::Result<Connection> {
        self.log_in_with(config(login, password)).await
    }

    /// The same with more than a name and a password.
    pub(super) async fn log_in_with(&self, config: Config) -> tiberius::Result<Connection> {
        let mut stream = TcpStream::connect(self.at).await?;
        greet(&mut stream).await?;
        let mut stream = self.handshake(Tunnel::new(stream), &[&TLS12], None).await?;
        stream.get_mut().0.pass_through();
        let (near, far) = duplex(1 << 16);
        tokio::spawn(carry(far, stream));
        Client::connect(config, near.compat()).await
    }

    /// Logs in as TDS 8.0 does it: TLS comes first.
    pub(super) async fn log_in_strictly(
        &self,
        login: &str,
        password: &str,
    ) -> tiberius::Result<Client<Compat<TlsStream<TcpStream>>>> {
        let stream = TcpStream::connect(self.at).await?;
        let stream = self.handshake(stream, &[&TLS13], Some(TDS_8)).await?;
        Client::connect(config(login, password), stream.compat()).await
    }

    async fn handshake<S: AsyncRead + AsyncWrite + Unpin>(
        &self,
        stream: S,
        versions: &[&'static SupportedProtocolVersion],
        protocol: Option<&[u8]>,
    ) -> io::Result<TlsStream<S>> {
        let mut roots = RootCertStore::empty();
        roots.add(self.authority.der().clone()).map_err(io::Error::other)?;
        let mut config = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
            .with_protocol_versions(versions)
            .map_err(io::Error::other)?
            .with_root_certificates(roots)
            .with_no_client_auth();
        config.alpn_protocols = protocol.map(<[u8]>::to_vec).into_iter().collect();
        let name = ServerName::try_from("localhost").map_err(io::Error::other)?;
        TlsConnector::from(Arc::new(config)).connect(name, stream).await
    }
}

/// A log-in as tiberius is told of it; of encryption it knows nothing.
pub(super) fn config(login: &str, password: &str) -> Config {
    let mut config = Config::new();
    config.authentication(AuthMethod::sql_server(login, password));
    config.encryption(tiberius::EncryptionLevel::NotSupported);
    config.client_name("app-01");
    config.application_name("orders");
    config
}

/// PRELOGIN in tiberius's place, and the server's word that it encrypts.
async fn greet(stream: &mut TcpStream) -> io::Result<()> {
    let greeting = PreLogin::new().with_encryption(EncryptionLevel::On).encode();
    packet::write(stream, PacketType::PreLogin, &greeting, FIRST_PACKET_SIZE).await?;
    let answer = packet::read(stream).await?.ok_or(io::ErrorKind::UnexpectedEof)?;
    let answer = PreLogin::decode(answer.body.as_slice()).map_err(io::Error::other)?;
    assert_eq!(answer.encryption, EncryptionLevel::Required, "the server forces encryption");
    assert_eq!(
        answer.server_version.unwrap().to_string().split('.').next(),
        Some("16"),
        "its version is its product's"
    );
    Ok(())
}

/// Answers tiberius's own PRELOGIN and carries everything after it.
async fn carry(mut near: DuplexStream, mut far: TlsStream<Tunnel<TcpStream>>) -> io::Result<()> {
    packet::read(&mut near).await?;
    let answer = PreLogin::new().with_encryption(EncryptionLevel::NotSupported).encode();
    packet::write(&mut near, PacketType::TabularResult, &answer, FIRST_PACKET_SIZE).await?;
    copy_bidirectional(&mut near, &mut far).await.map(|_| ())
}
