//! LOGIN7: who logs in, from where, by which program, to which database.
//!
//! The protocol crate writes this message and does not read it, since only a server does.

use std::io;

use super::packet::malformed;

/// Where the offsets of the variable part begin, in the order of the fields (MS-TDS 2.2.6.4).
const HOST_NAME: usize = 36;
const USER_NAME: usize = 40;
const PASSWORD: usize = 44;
const PROGRAM_NAME: usize = 48;
const DATABASE: usize = 68;
/// The packet size that the client wishes.
const PACKET_SIZE: usize = 8;
/// OptionFlags2, with the bit for integrated security.
const OPTION_FLAGS_2: usize = 25;
const INTEGRATED_SECURITY: u8 = 0x80;

/// What a client says when it logs in. No Debug: it holds a password.
pub struct LogIn {
    /// The computer, as the client calls it.
    pub host_name: String,
    /// The program.
    pub program_name: String,
    /// The login.
    pub user_name: String,
    /// Its password.
    pub password: String,
    /// The database to begin in, where the client names one.
    pub database: Option<String>,
    /// Whether Windows is to vouch for the client instead of a password.
    pub integrated: bool,
    /// The packet size that the client wishes.
    pub(super) packet_size: usize,
}

impl LogIn {
    /// Reads the message.
    pub(super) fn read(body: &[u8]) -> io::Result<LogIn> {
        let text = |at| text(body, at).map(|bytes| utf16(&bytes));
        let database = text(DATABASE)?;
        let flags = *body.get(OPTION_FLAGS_2).ok_or_else(cut)?;
        Ok(LogIn {
            host_name: text(HOST_NAME)?,
            program_name: text(PROGRAM_NAME)?,
            user_name: text(USER_NAME)?,
            password: password(body)?,
            database: (!database.is_empty()).then_some(database),
            integrated: flags & INTEGRATED_SECURITY != 0,
            packet_size: packet_size(body)?,
        })
    }
}

/// The password is obscured, not encrypted: TLS protects it (MS-TDS 2.2.6.4).
fn password(body: &[u8]) -> io::Result<String> {
    let obscured = text(body, PASSWORD)?;
    let clear: Vec<u8> = obscured.into_iter().map(|byte| (byte ^ 0xA5).rotate_left(4)).collect();
    Ok(utf16(&clear))
}

/// Zero is the server's own choice.
fn packet_size(body: &[u8]) -> io::Result<usize> {
    let bytes = body.get(PACKET_SIZE..PACKET_SIZE + 4).and_then(|bytes| bytes.try_into().ok()).ok_or_else(cut)?;
    let wished = usize::try_from(u32::from_le_bytes(bytes)).unwrap_or_default();
    Ok(if wished == 0 { super::packet::FIRST_PACKET_SIZE } else { wished.clamp(512, 32_767) })
}

/// A field's bytes: the fixed part has its offset and its length in characters.
fn text(body: &[u8], at: usize) -> io::Result<Vec<u8>> {
    let number = |at: usize| {
        let bytes = body.get(at..at + 2).and_then(|bytes| bytes.try_into().ok()).ok_or_else(cut)?;
        Ok::<usize, io::Error>(usize::from(u16::from_le_bytes(bytes)))
    };
    let (start, characters) = (number(at)?, number(at + 2)?);
    body.get(start..start + characters * 2).map(<[u8]>::to_vec).ok_or_else(cut)
}

/// UTF-16 as the wire has it; half a surrogate pair becomes the replacement character.
pub(super) fn utf16(bytes: &[u8]) -> String {
    let units: Vec<u16> = bytes.chunks_exact(2).map(|pair| u16::from_le_bytes([pair[0], pair[1]])).collect();
    String::from_utf16_lossy(&units)
}

fn cut() -> io::Error {
    malformed("LOGIN7 ends within a field")
}

#[cfg(test)]
mod tests {
    use tds_protocol::Login7;

    use super::*;

    #[test]
    fn what_the_protocol_crate_writes_is_read_field_by_field() {
        let written = Login7::new()
            .with_sql_auth("O'Brien [app] $(x) ö", "p'\"]);--🔑")
            .with_hostname("app-01")
            .with_app_name("orders")
            .with_database("sales")
            .encode();
        let read = LogIn::read(&written).unwrap();
        assert_eq!((read.user_name.as_str(), read.password.as_str()), ("O'Brien [app] $(x) ö", "p'\"]);--🔑"));
        assert_eq!((read.host_name.as_str(), read.program_name.as_str()), ("app-01", "orders"));
        assert_eq!((read.database.as_deref(), read.integrated), (Some("sales"), false));
        assert!(LogIn::read(&written[..60]).is_err(), "a cut message is refused");
    }

    #[test]
    fn a_client_that_brings_no_password_but_windows_is_told_apart() {
        let written = Login7::new().with_integrated_auth(vec![1, 2, 3]).encode();
        assert!(LogIn::read(&written).unwrap().integrated);
    }
}
