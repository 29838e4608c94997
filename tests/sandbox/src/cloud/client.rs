//! The SDK's HTTP client over the local AWS, in the same process and without a socket.
//!
//! The seam is the SDK's own (DESIGN.md section 7): request building, signing, parsing and retries stay real.

use std::sync::Arc;

use aws_smithy_runtime_api::client::http::{
    HttpClient, HttpConnector, HttpConnectorFuture, HttpConnectorSettings, SharedHttpClient, SharedHttpConnector,
};
use aws_smithy_runtime_api::client::orchestrator::{HttpRequest, HttpResponse};
use aws_smithy_runtime_api::client::result::ConnectorError;
use aws_smithy_runtime_api::client::runtime_components::RuntimeComponents;
use aws_smithy_types::body::SdkBody;

use super::{Cloud, HttpOutcome};

#[derive(Clone, Debug)]
struct InProcess(Arc<Cloud>);

impl Cloud {
    /// An HTTP client for any number of SDK clients.
    pub fn http_client(self: &Arc<Cloud>) -> SharedHttpClient {
        SharedHttpClient::new(InProcess(self.clone()))
    }
}

impl HttpClient for InProcess {
    fn http_connector(&self, _: &HttpConnectorSettings, _: &RuntimeComponents) -> SharedHttpConnector {
        SharedHttpConnector::new(self.clone())
    }
}

impl HttpConnector for InProcess {
    fn call(&self, request: HttpRequest) -> HttpConnectorFuture {
        HttpConnectorFuture::ready(self.answer(request))
    }
}

impl InProcess {
    fn answer(&self, request: HttpRequest) -> Result<HttpResponse, ConnectorError> {
        let request = request.try_into_http1x().map_err(|error| ConnectorError::user(error.into()))?;
        let (parts, body) = request.into_parts();
        let Some(bytes) = body.bytes() else {
            return Err(ConnectorError::user("the local AWS takes no streamed request body".into()));
        };
        match self.0.handle_http(http::Request::from_parts(parts, bytes.to_vec())) {
            HttpOutcome::Response(response) => HttpResponse::try_from(response.map(SdkBody::from))
                .map_err(|error| ConnectorError::other(error.into(), None)),
            HttpOutcome::Dropped => {
                Err(ConnectorError::io("the connection was dropped before the reply arrived".into()))
            }
        }
    }
}
