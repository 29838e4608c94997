//! TDS packets: a message of either side is one or more of them, the last one marked.

use std::io;

use tds_protocol::{PACKET_HEADER_SIZE, PacketHeader, PacketStatus, PacketType};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};

/// The size of packets until LOGIN7 asks for another.
pub(super) const FIRST_PACKET_SIZE: usize = tds_protocol::DEFAULT_PACKET_SIZE;

/// No statement that anybody sends here comes near it; whoever sends more is no client.
const LONGEST_MESSAGE: usize = 1 << 22;

/// One message, whole.
pub(super) struct Message {
    pub(super) kind: PacketType,
    pub(super) body: Vec<u8>,
}

/// Reads a message; `None` where the client has hung up between two.
pub(super) async fn read<S: AsyncRead + Unpin>(stream: &mut S) -> io::Result<Option<Message>> {
    let mut body = Vec::new();
    loop {
        let Some(header) = read_header(stream, body.is_empty()).await? else { return Ok(None) };
        let start = body.len();
        let end = start + header.payload_length();
        if end > LONGEST_MESSAGE {
            return Err(malformed("a message of more than 4 MiB"));
        }
        body.resize(end, 0);
        stream.read_exact(&mut body[start..]).await?;
        if header.is_end_of_message() {
            return Ok(Some(Message { kind: header.packet_type, body }));
        }
    }
}

async fn read_header<S: AsyncRead + Unpin>(stream: &mut S, may_end: bool) -> io::Result<Option<PacketHeader>> {
    let mut bytes = [0; PACKET_HEADER_SIZE];
    if let Err(error) = stream.read_exact(&mut bytes).await {
        return if may_end { Ok(None) } else { Err(error) };
    }
    PacketHeader::decode(&mut bytes.as_slice()).map(Some).map_err(malformed)
}

/// Writes a message in packets of at most `size` bytes.
pub(super) async fn write<S: AsyncWrite + Unpin>(
    stream: &mut S,
    kind: PacketType,
    body: &[u8],
    size: usize,
) -> io::Result<()> {
    stream.write_all(&framed(kind, body, size)).await?;
    stream.flush().await
}

/// A message as it is on the wire.
pub(super) fn framed(kind: PacketType, body: &[u8], size: usize) -> Vec<u8> {
    let room = size.clamp(512, tds_protocol::MAX_PACKET_SIZE) - PACKET_HEADER_SIZE;
    let pieces: Vec<&[u8]> = if body.is_empty() { vec![body] } else { body.chunks(room).collect() };
    let last = pieces.len() - 1;
    let mut wire = Vec::with_capacity(body.len() + pieces.len() * PACKET_HEADER_SIZE);
    for (number, piece) in pieces.into_iter().enumerate() {
        let status = if number == last { PacketStatus::END_OF_MESSAGE } else { PacketStatus::NORMAL };
        // `room` fits into the header's 16 bits, and packet numbers wrap by the protocol's own rule.
        let length = u16::try_from(piece.len() + PACKET_HEADER_SIZE).unwrap_or(u16::MAX);
        let id = u8::try_from((number + 1) % 256).unwrap_or_default();
        PacketHeader::new(kind, status, length).with_packet_id(id).encode(&mut wire);
        wire.extend_from_slice(piece);
    }
    wire
}

/// What no client sends.
pub(super) fn malformed(cause: impl ToString) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, format!("TDS: {}", cause.to_string()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_message_longer_than_a_packet_comes_back_whole() {
        let body: Vec<u8> = (0..20_000u32).map(|at| (at % 251) as u8).collect();
        let wire = framed(PacketType::TabularResult, &body, 4096);
        assert_eq!(wire.len(), body.len() + 5 * PACKET_HEADER_SIZE);
        let mut from = wire.as_slice();
        let message = read(&mut from).await.unwrap().unwrap();
        assert!(message.body == body && message.kind == PacketType::TabularResult);
        assert!(read(&mut from).await.unwrap().is_none(), "nothing is left");
    }

    #[tokio::test]
    async fn a_client_that_hangs_up_within_a_message_is_an_error() {
        let wire = framed(PacketType::SqlBatch, &[1; 100], 4096);
        assert!(read(&mut &wire[..50]).await.is_err());
    }
}
