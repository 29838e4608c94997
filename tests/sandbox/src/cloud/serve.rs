//! HTTP on loopback: what the Lambda binaries reach through `AWS_ENDPOINT_URL`, and what people do.
//!
//! Hyper itself and not axum, because a lost reply must look like one: the connection closes with no response at all.

use std::convert::Infallible;
use std::future::Future;
use std::sync::Arc;

use http_body_util::{BodyExt, Full};
use hyper::body::{Bytes, Incoming};
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use tokio::net::{TcpListener, TcpStream};

use super::{Cloud, HttpOutcome};

/// The reply that never comes.
#[derive(Debug, thiserror::Error)]
#[error("a fault dropped the connection before the reply")]
struct ReplyDropped;

/// Who answers requests.
pub trait Answers: Send + Sync + 'static {
    /// Answers one request.
    fn answer(self: &Arc<Self>, request: http::Request<Vec<u8>>) -> impl Future<Output = HttpOutcome> + Send;
}

impl Answers for Cloud {
    async fn answer(self: &Arc<Self>, request: http::Request<Vec<u8>>) -> HttpOutcome {
        let _busy = self.clock().busy();
        self.handle_http(request)
    }
}

/// Serves requests until the task is dropped. Bind the listener to 127.0.0.1.
///
/// # Errors
/// What the listener reports when it can accept no more.
pub async fn serve(answers: Arc<impl Answers>, listener: TcpListener) -> Result<Infallible, std::io::Error> {
    loop {
        let (stream, _) = listener.accept().await?;
        let answers = Arc::clone(&answers);
        tokio::spawn(async move { serve_connection(answers, stream).await });
    }
}

async fn serve_connection(answers: Arc<impl Answers>, stream: TcpStream) {
    let service = service_fn(move |request| answer(Arc::clone(&answers), request));
    // A client that hangs up, and a reply that a fault dropped, end the connection: that is all there is to do.
    let _ = hyper::server::conn::http1::Builder::new().serve_connection(TokioIo::new(stream), service).await;
}

async fn answer(
    answers: Arc<impl Answers>,
    request: http::Request<Incoming>,
) -> Result<http::Response<Full<Bytes>>, ReplyDropped> {
    let (parts, body) = request.into_parts();
    let Ok(body) = body.collect().await else { return Err(ReplyDropped) };
    match answers.answer(http::Request::from_parts(parts, body.to_bytes().to_vec())).await {
        HttpOutcome::Response(response) => Ok(response.map(|body| Full::new(Bytes::from(body)))),
        HttpOutcome::Dropped => Err(ReplyDropped),
    }
}
