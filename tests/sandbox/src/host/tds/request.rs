//! What a client asks after it has logged in: a batch of statements, or one statement with parameters.

use std::io;

use bytes::Buf;
use tds_protocol::codec::{read_b_varchar, read_utf16_string};
use tds_protocol::{PacketType, ProcId};

use super::login7::utf16;
use super::packet::{Message, malformed};
use super::value::{self, Value};

/// Statements to execute. No Debug: some hold a password.
#[derive(Clone, PartialEq, Eq)]
pub struct Request {
    /// The T-SQL.
    pub batch: String,
    /// The parameters of sp_executesql by name, `@P1`; a plain batch has none.
    pub parameters: Vec<(String, Value)>,
}

/// What a message asks for.
pub(super) enum Asked {
    /// SQLBatch.
    Batch(Request),
    /// sp_executesql.
    Execute(Request),
    /// Another procedure, which the sandbox does not have.
    Procedure(String),
    /// To stop what is under way; nothing is, since every answer is sent whole.
    Attention,
    /// A message of a kind that this server does not know.
    Unknown,
}

/// The name that means "the number follows".
const BY_NUMBER: u16 = 0xFFFF;

impl Asked {
    pub(super) fn read(message: &Message) -> io::Result<Asked> {
        if message.kind == PacketType::SqlBatch {
            let batch = utf16(after_headers(&message.body)?);
            return Ok(Asked::Batch(Request { batch, parameters: Vec::new() }));
        }
        if message.kind == PacketType::Rpc {
            return procedure(after_headers(&message.body)?);
        }
        Ok(if message.kind == PacketType::Attention { Asked::Attention } else { Asked::Unknown })
    }
}

/// ALL_HEADERS begins with its own length (MS-TDS 2.2.5.3).
fn after_headers(body: &[u8]) -> io::Result<&[u8]> {
    let length = (&mut &*body).try_get_u32_le().map_err(malformed)?;
    body.get(length as usize..).ok_or_else(|| malformed("headers that are longer than their message"))
}

fn procedure(mut wire: &[u8]) -> io::Result<Asked> {
    let length = wire.try_get_u16_le().map_err(malformed)?;
    let name = if length == BY_NUMBER {
        let number = wire.try_get_u16_le().map_err(malformed)?;
        if number == ProcId::ExecuteSql as u16 { EXECUTE_SQL.to_owned() } else { format!("number {number}") }
    } else {
        read_utf16_string(&mut wire, length.into()).ok_or_else(|| malformed("a procedure's name is cut"))?
    };
    // OptionFlags: recompile, no metadata.
    wire.try_get_u16_le().map_err(malformed)?;
    if !name.eq_ignore_ascii_case(EXECUTE_SQL) {
        return Ok(Asked::Procedure(name));
    }
    let mut parameters = Vec::new();
    while !wire.is_empty() {
        let name = read_b_varchar(&mut wire).ok_or_else(|| malformed("a parameter's name is cut"))?;
        // StatusFlags: by reference, default value.
        wire.try_get_u8().map_err(malformed)?;
        parameters.push((name, value::read(&mut wire)?));
    }
    // The statement, the declaration of the parameters, and then they.
    let mut parameters = parameters.into_iter();
    let Some((_, Value::Text(batch))) = parameters.next() else {
        return Err(malformed("sp_executesql without a statement"));
    };
    Ok(Asked::Execute(Request { batch, parameters: parameters.skip(1).collect() }))
}

const EXECUTE_SQL: &str = "sp_executesql";

#[cfg(test)]
mod tests {
    use tds_protocol::{RpcParam, RpcRequest, SqlBatch};

    use super::*;

    fn read(kind: PacketType, body: &[u8]) -> Asked {
        Asked::read(&Message { kind, body: body.to_vec() }).unwrap()
    }

    #[test]
    fn a_batch_is_read_without_its_headers() {
        let body = SqlBatch::new("SELECT N'ö'").encode();
        let Asked::Batch(request) = read(PacketType::SqlBatch, &body) else { panic!("no batch") };
        assert_eq!((request.batch.as_str(), request.parameters.len()), ("SELECT N'ö'", 0));
    }

    #[test]
    fn a_statement_with_parameters_is_read_with_their_types() {
        let (name, number) = (RpcParam::nvarchar("@P1", "app]"), RpcParam::int("@P2", -7));
        let body = RpcRequest::execute_sql("SELECT @P1, @P2", vec![name, number]).encode();
        let Asked::Execute(request) = read(PacketType::Rpc, &body) else { panic!("no statement") };
        assert_eq!(request.batch, "SELECT @P1, @P2");
        let expected = [("@P1".to_owned(), Value::Text("app]".to_owned())), ("@P2".to_owned(), Value::Int(-7))];
        assert_eq!(request.parameters, expected);
    }

    #[test]
    fn a_procedure_that_is_not_here_is_named() {
        let body = RpcRequest::named("xp_cmdshell").encode();
        let Asked::Procedure(name) = read(PacketType::Rpc, &body) else { panic!("no procedure") };
        assert_eq!(name, "xp_cmdshell");
    }

    #[test]
    fn headers_that_lie_about_their_length_are_refused() {
        let message = Message { kind: PacketType::SqlBatch, body: vec![0xFF; 10] };
        assert!(Asked::read(&message).is_err());
    }
}
