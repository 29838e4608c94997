//! TLS inside TDS: until both sides have finished their handshake, each flight of it travels as a PRELOGIN message; from
//! then on TLS is outside and TDS packets are its content.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use tds_protocol::{PACKET_HEADER_SIZE, PacketHeader, PacketType};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use super::packet::{FIRST_PACKET_SIZE, framed, malformed};

/// What TLS reads and writes: the connection, with PRELOGIN packets round a handshake.
pub(super) struct Tunnel<S> {
    stream: S,
    wraps: bool,
    header: [u8; PACKET_HEADER_SIZE],
    header_read: usize,
    /// What is left of the packet that is being read.
    left: usize,
    /// A flight that is not framed yet.
    flight: Vec<u8>,
    /// Framed bytes that are on their way.
    outgoing: Vec<u8>,
}

impl<S> Tunnel<S> {
    /// A connection on which a handshake is about to begin.
    pub(super) fn new(stream: S) -> Tunnel<S> {
        let (header, flight, outgoing) = ([0; PACKET_HEADER_SIZE], Vec::new(), Vec::new());
        Tunnel { stream, wraps: true, header, header_read: 0, left: 0, flight, outgoing }
    }

    /// The handshake is over.
    pub(super) fn pass_through(&mut self) {
        self.wraps = false;
    }
}

impl<S: AsyncRead + Unpin> Tunnel<S> {
    /// Reads headers until there is something to read after one; false at the end.
    fn poll_packet(&mut self, context: &mut Context<'_>) -> Poll<io::Result<bool>> {
        while self.left == 0 {
            let mut rest = ReadBuf::new(&mut self.header[self.header_read..]);
            ready!(Pin::new(&mut self.stream).poll_read(context, &mut rest))?;
            let read = rest.filled().len();
            if read == 0 {
                return Poll::Ready(Ok(false));
            }
            self.header_read += read;
            if self.header_read == PACKET_HEADER_SIZE {
                let header = PacketHeader::decode(&mut self.header.as_slice()).map_err(malformed)?;
                if header.packet_type != PacketType::PreLogin {
                    return Poll::Ready(Err(malformed("something else than a TLS handshake after PRELOGIN")));
                }
                (self.left, self.header_read) = (header.payload_length(), 0);
            }
        }
        Poll::Ready(Ok(true))
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Tunnel<S> {
    fn poll_read(self: Pin<&mut Self>, context: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        if !this.wraps {
            return Pin::new(&mut this.stream).poll_read(context, buffer);
        }
        if !ready!(this.poll_packet(context))? {
            return Poll::Ready(Ok(()));
        }
        let length = this.left.min(buffer.remaining());
        let mut piece = ReadBuf::new(buffer.initialize_unfilled_to(length));
        ready!(Pin::new(&mut this.stream).poll_read(context, &mut piece))?;
        let read = piece.filled().len();
        this.left -= read;
        buffer.advance(read);
        Poll::Ready(Ok(()))
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Tunnel<S> {
    fn poll_write(self: Pin<&mut Self>, context: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        if !this.wraps {
            return Pin::new(&mut this.stream).poll_write(context, bytes);
        }
        this.flight.extend_from_slice(bytes);
        Poll::Ready(Ok(bytes.len()))
    }

    fn poll_flush(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        if !this.flight.is_empty() {
            this.outgoing.extend(framed(PacketType::PreLogin, &this.flight, FIRST_PACKET_SIZE));
            this.flight.clear();
        }
        while !this.outgoing.is_empty() {
            let written = ready!(Pin::new(&mut this.stream).poll_write(context, &this.outgoing))?;
            if written == 0 {
                return Poll::Ready(Err(io::ErrorKind::WriteZero.into()));
            }
            this.outgoing.drain(..written);
        }
        Pin::new(&mut this.stream).poll_flush(context)
    }

    fn poll_shutdown(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().stream).poll_shutdown(context)
    }
}
