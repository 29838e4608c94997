//! What a server says: the tokens of a TDS answer. The protocol crate reads them all and writes only DONE, since it is a
//! client's; what is written here is read back by it in the tests, and by tiberius.

use tds_protocol::codec::{utf16_byte_len, write_b_varchar, write_us_varchar};
use tds_protocol::{Done, DoneInProc, DoneProc, DoneStatus, EnvChangeType, TokenType};

use super::value::RowSet;
use crate::host::sql_server::SqlMessage;

/// TDS 7.4, as LOGINACK writes it.
const TDS_VERSION: u32 = 0x7400_0004;
/// The interface of LOGINACK: T-SQL.
const SQL_TSQL: u8 = 1;
/// The command in the DONE of a SELECT.
const SELECT: u16 = 0xC1;
/// What an instance calls itself in its messages.
const SERVER: &str = "SQLHOST";

/// The answer to a login that was accepted.
pub(super) fn logged_in(version: [u8; 4], database: &str, packet_size: usize) -> Vec<u8> {
    let mut wire = Vec::new();
    environment_change(&mut wire, EnvChangeType::Database, database, "master");
    let text = format!("Changed database context to '{database}'.");
    message(&mut wire, TokenType::Info, &SqlMessage { number: 5701, severity: 0, text });
    login_acknowledgement(&mut wire, version);
    environment_change(&mut wire, EnvChangeType::PacketSize, &packet_size.to_string(), "4096");
    done(&mut wire, DoneStatus::default());
    wire
}

/// The answer to whatever failed.
pub(super) fn refused(messages: &[SqlMessage]) -> Vec<u8> {
    let mut wire = Vec::new();
    messages.iter().for_each(|text| message(&mut wire, TokenType::Error, text));
    done(&mut wire, status(|status| status.error = true));
    wire
}

/// The answer to an attention.
pub(super) fn attended() -> Vec<u8> {
    let mut wire = Vec::new();
    done(&mut wire, status(|status| status.attn = true));
    wire
}

/// The answer to a batch: its row sets, the last DONE without more to follow.
pub(super) fn batch(sets: &[RowSet]) -> Vec<u8> {
    let mut wire = Vec::new();
    for (at, set) in sets.iter().enumerate() {
        let more = at + 1 < sets.len();
        let row_count = rows(&mut wire, set);
        let counted = status(|status| (status.count, status.more) = (true, more));
        Done { status: counted, cur_cmd: SELECT, row_count }.encode(&mut wire);
    }
    if sets.is_empty() {
        done(&mut wire, DoneStatus::default());
    }
    wire
}

/// The answer to sp_executesql: row sets within a procedure, its return status, and its end.
pub(super) fn procedure(sets: &[RowSet]) -> Vec<u8> {
    let mut wire = Vec::new();
    for set in sets {
        let row_count = rows(&mut wire, set);
        let counted = status(|status| (status.count, status.more) = (true, true));
        DoneInProc { status: counted, cur_cmd: SELECT, row_count }.encode(&mut wire);
    }
    wire.push(TokenType::ReturnStatus as u8);
    wire.extend(0i32.to_le_bytes());
    DoneProc { status: DoneStatus::default(), cur_cmd: 0, row_count: 0 }.encode(&mut wire);
    wire
}

fn rows(wire: &mut Vec<u8>, set: &RowSet) -> u64 {
    wire.push(TokenType::ColMetaData as u8);
    set.write_columns(wire);
    for row in &set.rows {
        wire.push(TokenType::Row as u8);
        set.write_row(row, wire);
    }
    set.rows.len() as u64
}

fn status(set: impl FnOnce(&mut DoneStatus)) -> DoneStatus {
    let mut status = DoneStatus::default();
    set(&mut status);
    status
}

fn done(wire: &mut Vec<u8>, status: DoneStatus) {
    Done { status, cur_cmd: 0, row_count: 0 }.encode(wire);
}

/// ERROR and INFO have one form.
fn message(wire: &mut Vec<u8>, token: TokenType, SqlMessage { number, severity, text }: &SqlMessage) {
    let mut body = Vec::new();
    body.extend(number.to_le_bytes());
    // The state: SQL Server shows 1 to whoever cannot log in, whatever the cause.
    body.extend([1, *severity]);
    write_us_varchar(&mut body, text);
    write_b_varchar(&mut body, SERVER);
    write_b_varchar(&mut body, "");
    body.extend(1u32.to_le_bytes());
    write_token(wire, token, &body);
}

fn environment_change(wire: &mut Vec<u8>, what: EnvChangeType, new: &str, old: &str) {
    let mut body = Vec::with_capacity(3 + utf16_byte_len(new) + utf16_byte_len(old));
    body.push(what as u8);
    write_b_varchar(&mut body, new);
    write_b_varchar(&mut body, old);
    write_token(wire, TokenType::EnvChange, &body);
}

fn login_acknowledgement(wire: &mut Vec<u8>, version: [u8; 4]) {
    let mut body = vec![SQL_TSQL];
    body.extend(TDS_VERSION.to_be_bytes());
    write_b_varchar(&mut body, "Microsoft SQL Server");
    body.extend(version);
    write_token(wire, TokenType::LoginAck, &body);
}

/// A token with its length in front.
fn write_token(wire: &mut Vec<u8>, token: TokenType, body: &[u8]) {
    wire.push(token as u8);
    wire.extend(u16::try_from(body.len()).unwrap_or(u16::MAX).to_le_bytes());
    wire.extend_from_slice(body);
}
