//! Values and row sets: what a statement answers, and what a client gives it as parameters.

use std::io;

use bytes::Buf;
use tds_protocol::codec::write_b_varchar;
use tds_protocol::{Collation, TypeId};

use super::login7::utf16;
use super::packet::malformed;

/// A value of one of the types that sys.* views have.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Value {
    /// NULL.
    Null,
    /// nvarchar.
    Text(String),
    /// int.
    Int(i32),
    /// bigint.
    BigInt(i64),
    /// bit.
    Bit(bool),
    /// varbinary.
    Binary(Vec<u8>),
}

/// A column's type.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// nvarchar(4000), or nvarchar(max) where a value is longer.
    Text,
    /// int.
    Int,
    /// bigint.
    BigInt,
    /// bit.
    Bit,
    /// varbinary(8000).
    Binary,
}

/// What one SELECT answers.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RowSet {
    /// Names and types.
    pub columns: Vec<(String, Kind)>,
    /// The rows; each has a value, or NULL, for each column.
    pub rows: Vec<Vec<Value>>,
}

/// SQL_Latin1_General_CP1_CI_AS, the default of an English Windows.
const COLLATION: Collation = Collation { lcid: 0x00D0_0409, sort_id: 52 };
/// The length that means `max`, which changes how values are written.
const MAX: u16 = 0xFFFF;
/// The longest nvarchar that is not `max`, in bytes.
const LONGEST: usize = 8000;
/// COLMETADATA: a column that may be NULL.
const NULLABLE: u16 = 1;

impl RowSet {
    /// One column of text without a name, as an expression has it.
    pub fn of_text(rows: Vec<String>) -> RowSet {
        let rows = rows.into_iter().map(|row| vec![Value::Text(row)]).collect();
        RowSet { columns: vec![(String::new(), Kind::Text)], rows }
    }

    /// COLMETADATA without its token: how many columns, then each.
    pub(super) fn write_columns(&self, wire: &mut Vec<u8>) {
        wire.extend(u16::try_from(self.columns.len()).unwrap_or_default().to_le_bytes());
        for (at, (name, kind)) in self.columns.iter().enumerate() {
            wire.extend(0u32.to_le_bytes());
            wire.extend(NULLABLE.to_le_bytes());
            self.write_type(at, *kind, wire);
            write_b_varchar(wire, name);
        }
    }

    fn write_type(&self, column: usize, kind: Kind, wire: &mut Vec<u8>) {
        match kind {
            Kind::Text => {
                wire.push(TypeId::NVarChar as u8);
                let length = if self.is_long(column) { MAX } else { LONGEST as u16 };
                wire.extend(length.to_le_bytes());
                wire.extend(COLLATION.to_bytes());
            }
            Kind::Int => wire.extend([TypeId::IntN as u8, 4]),
            Kind::BigInt => wire.extend([TypeId::IntN as u8, 8]),
            Kind::Bit => wire.extend([TypeId::BitN as u8, 1]),
            Kind::Binary => {
                wire.push(TypeId::BigVarBinary as u8);
                wire.extend((LONGEST as u16).to_le_bytes());
            }
        }
    }

    fn is_long(&self, column: usize) -> bool {
        let is_long = |value: &Value| matches!(value, Value::Text(text) if text.encode_utf16().count() * 2 > LONGEST);
        self.rows.iter().any(|row| row.get(column).is_some_and(is_long))
    }

    /// ROW without its token. A value that is missing or of another type than its column is NULL.
    pub(super) fn write_row(&self, row: &[Value], wire: &mut Vec<u8>) {
        for (at, (_, kind)) in self.columns.iter().enumerate() {
            match (row.get(at).unwrap_or(&Value::Null), kind) {
                (Value::Text(text), Kind::Text) => {
                    let bytes: Vec<u8> = text.encode_utf16().flat_map(u16::to_le_bytes).collect();
                    if self.is_long(at) { write_chunked(&bytes, wire) } else { write_counted(&bytes, wire) }
                }
                (Value::Binary(bytes), Kind::Binary) => write_counted(bytes, wire),
                (Value::Int(number), Kind::Int) => write_short(&number.to_le_bytes(), wire),
                (Value::BigInt(number), Kind::BigInt) => write_short(&number.to_le_bytes(), wire),
                (Value::Bit(bit), Kind::Bit) => write_short(&[u8::from(*bit)], wire),
                (_, Kind::Text) if self.is_long(at) => wire.extend(u64::MAX.to_le_bytes()),
                (_, Kind::Text | Kind::Binary) => wire.extend(MAX.to_le_bytes()),
                (_, Kind::Int | Kind::BigInt | Kind::Bit) => wire.push(0),
            }
        }
    }
}

fn write_short(bytes: &[u8], wire: &mut Vec<u8>) {
    wire.push(bytes.len() as u8);
    wire.extend_from_slice(bytes);
}

fn write_counted(bytes: &[u8], wire: &mut Vec<u8>) {
    let bytes = &bytes[..bytes.len().min(LONGEST)];
    wire.extend((bytes.len() as u16).to_le_bytes());
    wire.extend_from_slice(bytes);
}

/// A `max` value: its length, one chunk, and the end.
fn write_chunked(bytes: &[u8], wire: &mut Vec<u8>) {
    wire.extend((bytes.len() as u64).to_le_bytes());
    wire.extend((bytes.len() as u32).to_le_bytes());
    wire.extend_from_slice(bytes);
    wire.extend(0u32.to_le_bytes());
}

/// Reads a parameter's type and value, of the types that [`Value`] has.
pub(super) fn read(wire: &mut &[u8]) -> io::Result<Value> {
    let code = wire.try_get_u8().map_err(malformed)?;
    match TypeId::from_u8(code) {
        Some(TypeId::NVarChar) => Ok(read_long(wire, true)?.map_or(Value::Null, |bytes| Value::Text(utf16(&bytes)))),
        Some(TypeId::BigVarChar) => {
            let bytes = read_long(wire, true)?;
            Ok(bytes.map_or(Value::Null, |bytes| Value::Text(String::from_utf8_lossy(&bytes).into_owned())))
        }
        Some(TypeId::BigVarBinary) => Ok(read_long(wire, false)?.map_or(Value::Null, Value::Binary)),
        Some(TypeId::IntN) => integer(&read_short(wire)?),
        Some(TypeId::BitN) => Ok(read_short(wire)?.first().map_or(Value::Null, |bit| Value::Bit(*bit != 0))),
        Some(TypeId::Int4) => Ok(Value::Int(wire.try_get_i32_le().map_err(malformed)?)),
        Some(TypeId::Int8) => Ok(Value::BigInt(wire.try_get_i64_le().map_err(malformed)?)),
        _ => Err(malformed(format!("a parameter of type 0x{code:02X}, which this server does not read"))),
    }
}

fn integer(bytes: &[u8]) -> io::Result<Value> {
    match bytes {
        [] => Ok(Value::Null),
        [byte] => Ok(Value::Int((*byte).into())),
        [low, high] => Ok(Value::Int(i16::from_le_bytes([*low, *high]).into())),
        [a, b, c, d] => Ok(Value::Int(i32::from_le_bytes([*a, *b, *c, *d]))),
        bytes => bytes.try_into().map(|bytes| Value::BigInt(i64::from_le_bytes(bytes))).map_err(malformed),
    }
}

/// The type's length, then a value with a length of one byte.
fn read_short(wire: &mut &[u8]) -> io::Result<Vec<u8>> {
    wire.try_get_u8().map_err(malformed)?;
    let length = wire.try_get_u8().map_err(malformed)?;
    take(wire, length.into())
}

/// The type's length, maybe a collation, then a value with a length of two bytes or in chunks; `None` is NULL.
fn read_long(wire: &mut &[u8], is_text: bool) -> io::Result<Option<Vec<u8>>> {
    let longest = wire.try_get_u16_le().map_err(malformed)?;
    take(wire, if is_text { 5 } else { 0 })?;
    if longest == MAX {
        return read_chunked(wire);
    }
    match wire.try_get_u16_le().map_err(malformed)? {
        MAX => Ok(None),
        length => take(wire, length.into()).map(Some),
    }
}

fn read_chunked(wire: &mut &[u8]) -> io::Result<Option<Vec<u8>>> {
    if wire.try_get_u64_le().map_err(malformed)? == u64::MAX {
        return Ok(None);
    }
    let mut bytes = Vec::new();
    loop {
        let length = wire.try_get_u32_le().map_err(malformed)?;
        if length == 0 {
            return Ok(Some(bytes));
        }
        bytes.extend(take(wire, length as usize)?);
    }
}

fn take(wire: &mut &[u8], length: usize) -> io::Result<Vec<u8>> {
    let (taken, rest) = wire.split_at_checked(length).ok_or_else(|| malformed("a parameter ends within its value"))?;
    *wire = rest;
    Ok(taken.to_vec())
}
