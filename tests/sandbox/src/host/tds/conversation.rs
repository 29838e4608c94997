//! One connection from its first byte to its last: PRELOGIN, TLS, LOGIN7, then requests.

use std::io;

use tds_protocol::{EncryptionLevel, PacketType, PreLogin, TdsVersion};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;

use super::certificate::Certificate;
use super::login7::LogIn;
use super::packet::{self, FIRST_PACKET_SIZE, Message, malformed};
use super::request::Asked;
use super::tunnel::Tunnel;
use super::{Instance, Spid, token};
use crate::host::sql_server::SqlMessage;

/// The first byte of a TLS handshake; TDS's own first message begins with another one.
const TLS_HANDSHAKE: u8 = 0x16;

/// Talks with a client until it hangs up, or is refused.
pub(super) async fn hold(stream: TcpStream, instance: &dyn Instance, certificate: &Certificate) -> io::Result<()> {
    // A service that is stopped listens nowhere; the port is kept, so the connection is dropped instead.
    if !instance.is_running() {
        return Ok(());
    }
    let mut first = [0];
    stream.peek(&mut first).await?;
    if first[0] == TLS_HANDSHAKE {
        let mut stream = certificate.first.accept(stream).await?;
        pre_login(&mut stream, instance).await?;
        return session(&mut stream, instance).await;
    }
    let mut stream = stream;
    let encryption = pre_login(&mut stream, instance).await?;
    // Force Encryption is on: a client that cannot encrypt was told so, and goes.
    if encryption == EncryptionLevel::NotSupported {
        return Ok(());
    }
    let mut stream = certificate.within.accept(Tunnel::new(stream)).await?;
    stream.get_mut().0.pass_through();
    session(&mut stream, instance).await
}

/// What the client says of encryption; it is told that it must.
async fn pre_login<S: AsyncRead + AsyncWrite + Unpin>(
    stream: &mut S,
    instance: &dyn Instance,
) -> io::Result<EncryptionLevel> {
    let message = expect(stream, PacketType::PreLogin).await?;
    let asked = PreLogin::decode(message.body.as_slice()).map_err(malformed)?;
    // A server's VERSION is the product's.
    let version = TdsVersion::new(u32::from_be_bytes(instance.version()));
    let answer = PreLogin::new().with_version(version).with_encryption(EncryptionLevel::Required);
    packet::write(stream, PacketType::TabularResult, &answer.encode(), FIRST_PACKET_SIZE).await?;
    Ok(asked.encryption)
}

async fn session<S: AsyncRead + AsyncWrite + Unpin>(stream: &mut S, instance: &dyn Instance) -> io::Result<()> {
    let message = expect(stream, PacketType::Tds7Login).await?;
    let log_in = LogIn::read(&message.body)?;
    let size = log_in.packet_size;
    let accepted = if log_in.integrated { Err(vec![no_windows_here()]) } else { instance.log_in(&log_in) };
    let answer = match &accepted {
        Ok(_) => {
            let database = log_in.database.as_deref().unwrap_or("master");
            token::logged_in(instance.version(), database, size)
        }
        Err(messages) => token::refused(messages),
    };
    packet::write(stream, PacketType::TabularResult, &answer, FIRST_PACKET_SIZE).await?;
    let Ok(spid) = accepted else { return Ok(()) };
    // However the conversation ends, by a fault of the client's or with this task: the session ends with it.
    let session = Session { instance, spid };
    while let Some(message) = packet::read(stream).await? {
        let answer = session.answer(&Asked::read(&message)?);
        packet::write(stream, PacketType::TabularResult, &answer, size).await?;
    }
    Ok(())
}

/// A session that is open.
struct Session<'a> {
    instance: &'a dyn Instance,
    spid: Spid,
}

impl Session<'_> {
    fn answer(&self, asked: &Asked) -> Vec<u8> {
        match asked {
            Asked::Batch(request) => match self.instance.execute(self.spid, request) {
                Ok(sets) => token::batch(&sets),
                Err(messages) => token::refused(&messages),
            },
            Asked::Execute(request) => match self.instance.execute(self.spid, request) {
                Ok(sets) => token::procedure(&sets),
                Err(messages) => token::refused(&messages),
            },
            Asked::Procedure(name) => {
                token::refused(&[error(2812, 16, format!("Could not find stored procedure '{name}'."))])
            }
            Asked::Attention => token::attended(),
            Asked::Unknown => {
                let text = "The sandbox's SQL Server answers SQLBatch and sp_executesql only.".to_owned();
                token::refused(&[error(4002, 16, text)])
            }
        }
    }
}

impl Drop for Session<'_> {
    fn drop(&mut self) {
        self.instance.log_out(self.spid);
    }
}

async fn expect<S: AsyncRead + Unpin>(stream: &mut S, kind: PacketType) -> io::Result<Message> {
    let message = packet::read(stream).await?.ok_or(io::ErrorKind::UnexpectedEof)?;
    if message.kind == kind { Ok(message) } else { Err(malformed(format!("{:?} instead of {kind:?}", message.kind))) }
}

/// Msg 18452: nothing here vouches for Windows accounts over TCP.
fn no_windows_here() -> SqlMessage {
    let text = "Login failed. The login is from an untrusted domain and cannot be used with Integrated authentication.";
    error(18452, 14, text.to_owned())
}

fn error(number: u32, severity: u8, text: String) -> SqlMessage {
    SqlMessage { number, severity, text }
}
