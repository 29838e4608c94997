//! SQL Server on the wire: TDS over TLS on loopback, so that a real client logs in to the sandbox's instances with the
//! password that it has read, and fails as it would in earnest.
//!
//! The protocol is the crate `tds-protocol`'s: packets, PRELOGIN, types, and the tokens that it can write. It is made for
//! clients, so what only a server reads (LOGIN7, requests) or writes (the other tokens) is here. Microsoft's own
//! `mssql-mock-tds` has both, but lets everybody in and answers from a fixed list, and a password is what this is about.
//! What is written here is read back by that crate and by tiberius, the client that issue 8's functions use.
//!
//! Encryption is forced, as a SQL Server that holds rotated logins should: TLS within TDS, or first (TDS 8.0).
//!
//! Read in this order: [`conversation`], [`login7`], [`request`], [`value`], [`token`]; below them [`packet`], [`tunnel`]
//! and [`certificate`]; behind them [`served`] and [`catalog`].

mod catalog;
mod certificate;
mod conversation;
mod login7;
mod packet;
mod request;
mod served;
mod token;
mod tunnel;
mod value;

#[cfg(test)]
mod tests;

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;

use tokio::net::TcpListener;
use tokio::task::{JoinHandle, JoinSet};

pub use certificate::{Authority, Certificate};
pub use login7::LogIn;
pub use request::Request;
pub use value::{Kind, RowSet, Value};

use super::sql_server::SqlMessage;

/// The number of a session on its instance (@@SPID).
pub type Spid = u16;

/// What stands behind the protocol: an instance that knows its logins and its statements.
pub trait Instance: Send + Sync {
    /// Whether the service runs.
    fn is_running(&self) -> bool;

    /// The product's version: major, minor, and the build in two bytes.
    fn version(&self) -> [u8; 4];

    /// Opens a session.
    ///
    /// # Errors
    /// SQL Server's messages: 18456 and its like.
    fn log_in(&self, log_in: &LogIn) -> Result<Spid, Vec<SqlMessage>>;

    /// Executes statements in a session.
    ///
    /// # Errors
    /// SQL Server's messages, in the order in which it sends them.
    fn execute(&self, spid: Spid, request: &Request) -> Result<Vec<RowSet>, Vec<SqlMessage>>;

    /// Closes a session.
    fn log_out(&self, spid: Spid);
}

/// An instance that is being served, until this is dropped; its connections end with it.
pub struct Server {
    address: SocketAddr,
    serving: JoinHandle<()>,
}

impl Server {
    /// Serves an instance on a free port of loopback.
    ///
    /// # Errors
    /// When there is no port.
    pub async fn start(instance: Arc<dyn Instance>, certificate: Certificate) -> io::Result<Server> {
        let listener = TcpListener::bind(("127.0.0.1", 0)).await?;
        let address = listener.local_addr()?;
        let serving = tokio::spawn(serve(listener, instance, certificate));
        Ok(Server { address, serving })
    }

    /// Where clients find it.
    pub fn address(&self) -> SocketAddr {
        self.address
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.serving.abort();
    }
}

async fn serve(listener: TcpListener, instance: Arc<dyn Instance>, certificate: Certificate) {
    let mut conversations = JoinSet::new();
    while let Ok((stream, _)) = listener.accept().await {
        // Without Nagle's algorithm, as SQL Server: an answer does not wait for the next one.
        stream.set_nodelay(true).ok();
        let (instance, certificate) = (Arc::clone(&instance), certificate.clone());
        // A client that breaks off, or whose TLS refuses our certificate, is no error of the sandbox.
        conversations.spawn(async move { conversation::hold(stream, instance.as_ref(), &certificate).await.ok() });
        while conversations.try_join_next().is_some() {}
    }
}
