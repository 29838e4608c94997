//! TLS for SQL Server's protocol, TDS 7: the handshake travels inside PRELOGIN packets, and everything after it is
//! plain TLS (MS-TDS 2.2.6.5 and 3.2.5.1).
//!
//! tiberius has this too, with aws-lc or OpenSSL only. So the PRELOGIN and the handshake are ours, with the same rustls
//! as everywhere; tiberius is given the encrypted stream, and to its own PRELOGIN the answer that the server gave.

use std::io::{Error, ErrorKind, Result};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use rustls::pki_types::ServerName;
use rustls::version::TLS12;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, ReadBuf};
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

use crate::tls::Trust;

const HEADER: usize = 8;
/// The packet size before a login has agreed on another.
const PACKET: usize = 4096;
const PRELOGIN: u8 = 0x12;
const END_OF_MESSAGE: u8 = 0x01;
/// The options of a PRELOGIN, and the values of ENCRYPTION with which a server agrees to encrypt everything.
const ENCRYPTION: u8 = 0x01;
const TERMINATOR: u8 = 0xff;
const ENCRYPT_ON: u8 = 0x01;
const ENCRYPT_REQ: u8 = 0x03;

/// Offset of each option's data, for five options and the terminator: VERSION, ENCRYPTION, INSTOPT, THREADID, MARS.
const OPTIONS: [u8; 39] = [
    0x00, 0, 26, 0, 6, ENCRYPTION, 0, 32, 0, 1, 0x02, 0, 33, 0, 1, 0x03, 0, 34, 0, 4, 0x04, 0, 38, 0, 1,
    TERMINATOR, //
    0, 0, 0, 0, 0, 0, ENCRYPT_ON, 0, 0, 0, 0, 0, 0,
];

/// Encrypts a connection; the certificate must name the host.
pub(super) async fn encrypt<S: Stream>(mut stream: S, host: &str, trust: &Trust) -> Result<Encrypted<S>> {
    stream.write_all(&packet(&OPTIONS)).await?;
    stream.flush().await?;
    let answer = read_packet(&mut stream).await?;
    match encryption_of(&answer[HEADER..]) {
        Some(ENCRYPT_ON | ENCRYPT_REQ) => {}
        // There is no second try in plaintext.
        _ => return Err(Error::new(ErrorKind::Unsupported, "the server does not offer TLS")),
    }
    let name = ServerName::try_from(host.to_owned()).map_err(|error| Error::new(ErrorKind::InvalidInput, error))?;
    // TLS 1.3 may say more after its handshake, where nobody would know whether it is wrapped.
    let client = trust.client(&[&TLS12]).map_err(Error::other)?;
    let wrapped = Wrapped { inner: stream, handshaking: true, outgoing: Vec::new(), incoming: Incoming::default() };
    let mut tls = TlsConnector::from(Arc::new(client)).connect(name, wrapped).await?;
    tls.get_mut().0.handshaking = false;
    Ok(Encrypted { tls, answer, given: 0, swallowed: Vec::new(), prelogin_is_over: false })
}

/// A connection.
pub(super) trait Stream: AsyncRead + AsyncWrite + Unpin + Send {}
impl<S: AsyncRead + AsyncWrite + Unpin + Send> Stream for S {}

fn packet(payload: &[u8]) -> Vec<u8> {
    let length = u16::try_from(HEADER + payload.len()).unwrap_or(u16::MAX).to_be_bytes();
    let mut packet = vec![PRELOGIN, END_OF_MESSAGE, length[0], length[1], 0, 0, 1, 0];
    packet.extend_from_slice(payload);
    packet
}

fn length_in(header: &[u8]) -> Result<usize> {
    let length = usize::from(u16::from_be_bytes([header[2], header[3]]));
    length.checked_sub(HEADER).ok_or_else(|| Error::new(ErrorKind::InvalidData, "a TDS packet shorter than its header"))
}

/// One packet with its header; a server's PRELOGIN answer is never more.
async fn read_packet(stream: &mut impl Stream) -> Result<Vec<u8>> {
    let mut packet = vec![0; HEADER];
    stream.read_exact(&mut packet).await?;
    packet.resize(HEADER + length_in(&packet)?, 0);
    stream.read_exact(&mut packet[HEADER..]).await?;
    Ok(packet)
}

/// What a PRELOGIN says of ENCRYPTION. It is not to be trusted yet: nothing is read beyond its end.
fn encryption_of(payload: &[u8]) -> Option<u8> {
    let mut options = payload.chunks(5).take_while(|option| option[0] != TERMINATOR);
    let option = options.find(|option| option[0] == ENCRYPTION)?;
    let offset = usize::from(u16::from_be_bytes([*option.get(1)?, *option.get(2)?]));
    payload.get(offset).copied()
}

/// The connection as TLS sees it: wrapped into packets until the handshake is over.
struct Wrapped<S> {
    inner: S,
    handshaking: bool,
    outgoing: Vec<u8>,
    incoming: Incoming,
}

/// A packet that is being read: its header, then as much as the header says and not a byte more.
#[derive(Default)]
struct Incoming {
    header: Vec<u8>,
    left: usize,
}

/// Reads at most so many bytes.
fn poll_some<S: Stream>(inner: &mut S, context: &mut Context<'_>, most: usize) -> Poll<Result<Vec<u8>>> {
    let mut bytes = vec![0; most.min(PACKET)];
    let mut buffer = ReadBuf::new(&mut bytes);
    ready!(Pin::new(inner).poll_read(context, &mut buffer))?;
    let read = buffer.filled().len();
    bytes.truncate(read);
    Poll::Ready(Ok(bytes))
}

impl<S: Stream> AsyncRead for Wrapped<S> {
    fn poll_read(self: Pin<&mut Self>, context: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<Result<()>> {
        let this = self.get_mut();
        if !this.handshaking && this.incoming.left == 0 {
            return Pin::new(&mut this.inner).poll_read(context, buffer);
        }
        while this.incoming.left == 0 {
            let missing = HEADER - this.incoming.header.len();
            let read = ready!(poll_some(&mut this.inner, context, missing))?;
            if read.is_empty() {
                return Poll::Ready(Ok(()));
            }
            this.incoming.header.extend(read);
            if this.incoming.header.len() == HEADER {
                this.incoming.left = length_in(&this.incoming.header)?;
                this.incoming.header.clear();
            }
        }
        let most = this.incoming.left.min(buffer.remaining());
        let read = ready!(poll_some(&mut this.inner, context, most))?;
        this.incoming.left -= read.len();
        buffer.put_slice(&read);
        Poll::Ready(Ok(()))
    }
}

impl<S: Stream> Wrapped<S> {
    fn poll_send(&mut self, context: &mut Context<'_>) -> Poll<Result<()>> {
        while !self.outgoing.is_empty() {
            let sent = ready!(Pin::new(&mut self.inner).poll_write(context, &self.outgoing))?;
            if sent == 0 {
                return Poll::Ready(Err(ErrorKind::WriteZero.into()));
            }
            self.outgoing.drain(..sent);
        }
        Poll::Ready(Ok(()))
    }
}

impl<S: Stream> AsyncWrite for Wrapped<S> {
    fn poll_write(self: Pin<&mut Self>, context: &mut Context<'_>, bytes: &[u8]) -> Poll<Result<usize>> {
        let this = self.get_mut();
        ready!(this.poll_send(context))?;
        if !this.handshaking {
            return Pin::new(&mut this.inner).poll_write(context, bytes);
        }
        // A TLS record a packet, or as much of it as a packet takes.
        let taken = bytes.len().min(PACKET - HEADER);
        this.outgoing = packet(&bytes[..taken]);
        Poll::Ready(Ok(taken))
    }

    fn poll_flush(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Result<()>> {
        let this = self.get_mut();
        ready!(this.poll_send(context))?;
        Pin::new(&mut this.inner).poll_flush(context)
    }

    fn poll_shutdown(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Result<()>> {
        let this = self.get_mut();
        ready!(this.poll_send(context))?;
        Pin::new(&mut this.inner).poll_shutdown(context)
    }
}

/// The connection as tiberius sees it: its own PRELOGIN goes nowhere and is answered at once; all else is encrypted.
pub(super) struct Encrypted<S> {
    tls: TlsStream<Wrapped<S>>,
    answer: Vec<u8>,
    given: usize,
    swallowed: Vec<u8>,
    prelogin_is_over: bool,
}

impl<S: Stream> AsyncRead for Encrypted<S> {
    fn poll_read(self: Pin<&mut Self>, context: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<Result<()>> {
        let this = self.get_mut();
        if this.given < this.answer.len() {
            let end = this.answer.len().min(this.given + buffer.remaining());
            buffer.put_slice(&this.answer[this.given..end]);
            this.given = end;
            return Poll::Ready(Ok(()));
        }
        Pin::new(&mut this.tls).poll_read(context, buffer)
    }
}

impl<S: Stream> AsyncWrite for Encrypted<S> {
    fn poll_write(self: Pin<&mut Self>, context: &mut Context<'_>, bytes: &[u8]) -> Poll<Result<usize>> {
        let this = self.get_mut();
        if this.prelogin_is_over {
            return Pin::new(&mut this.tls).poll_write(context, bytes);
        }
        // Up to the end of the header, then up to the end of the packet.
        let end = if this.swallowed.len() < HEADER { HEADER } else { HEADER + length_in(&this.swallowed)? };
        let taken = bytes.len().min(end - this.swallowed.len());
        this.swallowed.extend_from_slice(&bytes[..taken]);
        if this.swallowed.len() >= HEADER {
            this.prelogin_is_over = this.swallowed.len() == HEADER + length_in(&this.swallowed)?;
        }
        Poll::Ready(Ok(taken))
    }

    fn poll_flush(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Result<()>> {
        Pin::new(&mut self.get_mut().tls).poll_flush(context)
    }

    fn poll_shutdown(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Result<()>> {
        Pin::new(&mut self.get_mut().tls).poll_shutdown(context)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_prelogin_asks_for_encryption_and_reads_back() {
        assert_eq!(encryption_of(&OPTIONS), Some(ENCRYPT_ON));
        assert_eq!(packet(&OPTIONS).len(), HEADER + OPTIONS.len());
    }

    #[test]
    fn an_answer_that_points_beyond_its_end_is_no_answer() {
        assert_eq!(encryption_of(&[ENCRYPTION, 0xff, 0xff, 0, 1, TERMINATOR]), None);
        assert_eq!(encryption_of(&[ENCRYPTION, 0]), None);
        assert_eq!(encryption_of(&[]), None);
    }

    #[tokio::test]
    async fn a_server_without_tls_is_refused_and_told_nothing() {
        let (client, mut server) = tokio::io::duplex(PACKET);
        let trust = Trust::rds().unwrap();
        let serve = async {
            read_packet(&mut server).await.unwrap();
            let mut none = OPTIONS;
            none[32] = 0x02;
            server.write_all(&packet(&none)).await.unwrap();
            let mut rest = Vec::new();
            server.read_to_end(&mut rest).await.unwrap();
            rest
        };
        let connect = async { encrypt(client, "localhost", &trust).await.err().map(|error| error.kind()) };
        let (rest, refused) = tokio::join!(serve, connect);
        assert_eq!((rest, refused), (Vec::new(), Some(ErrorKind::Unsupported)));
    }

    /// A server's side of the handshake, in packets as the client's.
    async fn serve(mut stream: tokio::io::DuplexStream, tls: rustls::ServerConfig) -> Result<(Vec<u8>, bool)> {
        read_packet(&mut stream).await?;
        stream.write_all(&packet(&OPTIONS)).await?;
        let wrapped = Wrapped { inner: stream, handshaking: true, outgoing: Vec::new(), incoming: Incoming::default() };
        let mut tls = tokio_rustls::TlsAcceptor::from(Arc::new(tls)).accept(wrapped).await?;
        let is_plain_tls_now = tls.get_ref().0.incoming.left == 0;
        tls.get_mut().0.handshaking = false;
        let mut heard = vec![0; 5];
        tls.read_exact(&mut heard).await?;
        tls.write_all(b"login ack").await?;
        tls.shutdown().await?;
        Ok((heard, is_plain_tls_now))
    }

    fn certified(name: &str) -> (Trust, rustls::ServerConfig) {
        let made = rcgen::generate_simple_self_signed([name.to_owned()]).unwrap();
        let trust = Trust::bundle(made.cert.pem().as_bytes()).unwrap();
        let key = rustls::pki_types::PrivateKeyDer::try_from(made.signing_key.serialize_der()).unwrap();
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let builder = rustls::ServerConfig::builder_with_provider(provider).with_safe_default_protocol_versions();
        let chain = vec![made.cert.der().clone()];
        (trust, builder.unwrap().with_no_client_auth().with_single_cert(chain, key).unwrap())
    }

    #[tokio::test]
    async fn the_handshake_travels_in_packets_and_what_follows_is_encrypted() {
        let (client, server) = tokio::io::duplex(PACKET);
        let (trust, tls) = certified("sql.example");
        let talk = async {
            let mut stream = encrypt(client, "sql.example", &trust).await.unwrap();
            // The client's own PRELOGIN, in two writes as any stream may split it.
            let own = packet(&OPTIONS);
            stream.write_all(&own[..5]).await.unwrap();
            stream.write_all(&own[5..]).await.unwrap();
            stream.flush().await.unwrap();
            let answer = read_packet(&mut stream).await.unwrap();
            stream.write_all(b"login").await.unwrap();
            stream.flush().await.unwrap();
            let mut rest = Vec::new();
            stream.read_to_end(&mut rest).await.unwrap();
            (answer, rest)
        };
        let (served, (answer, rest)) = tokio::join!(serve(server, tls), talk);
        assert_eq!(served.unwrap(), (b"login".to_vec(), true));
        assert_eq!(answer, packet(&OPTIONS), "the answer that the server gave");
        assert_eq!(rest, b"login ack");
    }

    #[tokio::test]
    async fn a_certificate_of_another_name_or_authority_is_refused_before_anything_is_said() {
        for (host, trust) in [("other.example", certified("sql.example").0), ("sql.example", Trust::rds().unwrap())] {
            let (client, server) = tokio::io::duplex(PACKET);
            let (own, tls) = certified("sql.example");
            let trust = if host == "other.example" { own } else { trust };
            let connect = async { encrypt(client, host, &trust).await.err().map(|error| error.to_string()) };
            let (served, refused) = tokio::join!(serve(server, tls), connect);
            assert!(served.is_err(), "no byte of a login came");
            let refused = refused.unwrap();
            assert!(refused.contains("certificate"), "{refused}");
        }
    }
}
