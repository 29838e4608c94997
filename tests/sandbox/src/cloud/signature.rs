//! Signature Version 4, both ways: hosts and stand-ins sign with it, and a user's signature is recomputed here.
//!
//! Both use the SDK's own signer, so that what is accepted is what AWS would accept.

use std::time::{Duration, SystemTime};

use aws_credential_types::Credentials;
use aws_sigv4::http_request::{
    PayloadChecksumKind, PercentEncodingMode, SignableBody, SignableRequest, SigningInstructions, SigningSettings,
    UriPathNormalizationMode, sign as compute,
};
use aws_sigv4::sign::v4;
use aws_smithy_runtime_api::client::identity::Identity;
use jiff::Timestamp;

use super::{Service, ServiceError};

/// Who signed, for which endpoint: what the Authorization header says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Scope {
    pub(super) access_key_id: String,
    pub(super) region: String,
    pub(super) service: Service,
    signed_headers: Vec<String>,
    signature: String,
}

impl Scope {
    /// `AWS4-HMAC-SHA256 Credential=ID/DATE/REGION/SERVICE/aws4_request, SignedHeaders=…, Signature=…`
    pub(super) fn of(request: &http::Request<Vec<u8>>) -> Result<Scope, ServiceError> {
        let header = request.headers().get("authorization").and_then(|header| header.to_str().ok());
        let header = header.ok_or_else(|| {
            ServiceError::new(403, "MissingAuthenticationToken", "Request is missing Authentication Token")
        })?;
        Scope::parse(header).unwrap_or_else(|| {
            let message = format!(
                "Authorization header is no AWS4-HMAC-SHA256 one with Credential, SignedHeaders and Signature: {}",
                header.split(' ').next().unwrap_or_default()
            );
            Err(ServiceError::new(403, "IncompleteSignature", message))
        })
    }

    fn parse(header: &str) -> Option<Result<Scope, ServiceError>> {
        let fields = header.strip_prefix("AWS4-HMAC-SHA256 ")?;
        let field = |name: &str| fields.split(',').find_map(|field| field.trim().strip_prefix(name)?.strip_prefix('='));
        let mut credential = field("Credential")?.split('/');
        let access_key_id = credential.next()?.to_owned();
        let (_date, region, service) = (credential.next()?, credential.next()?, credential.next()?);
        let (signed_headers, signature) = (field("SignedHeaders")?, field("Signature")?);
        let Some(service) = Service::by_name(service) else {
            let served = Service::ALL.map(Service::name).join(", ");
            let message = format!("the local AWS has no service `{service}`; it serves {served}");
            return Some(Err(ServiceError::new(400, "UnknownOperationException", message)));
        };
        Some(Ok(Scope {
            access_key_id,
            region: region.to_owned(),
            service,
            signed_headers: signed_headers.split(';').map(str::to_owned).collect(),
            signature: signature.to_owned(),
        }))
    }
}

fn refused(error: impl std::fmt::Display) -> ServiceError {
    ServiceError::new(400, "IncompleteSignature", format!("the request cannot be signed: {error}"))
}

fn settings(service: Service, with_payload_hash: bool) -> SigningSettings {
    let mut settings = SigningSettings::default();
    if service == Service::S3 {
        settings.percent_encoding_mode = PercentEncodingMode::Single;
        settings.uri_path_normalization_mode = UriPathNormalizationMode::Disabled;
    }
    if with_payload_hash {
        settings.payload_checksum_kind = PayloadChecksumKind::XAmzSha256;
    }
    settings
}

/// Signs a request with a user's key at a simulated time.
pub(super) fn sign(
    mut request: http::Request<Vec<u8>>,
    (region, service): (&str, Service),
    (access_key_id, secret_access_key): (&str, &str),
    now: Timestamp,
) -> Result<http::Request<Vec<u8>>, ServiceError> {
    let identity: Identity = Credentials::new(access_key_id, secret_access_key, None, None, "sandbox").into();
    let settings = settings(service, service == Service::S3);
    let names: Vec<String> = request.headers().keys().map(|name| name.as_str().to_owned()).collect();
    let (instructions, _) = calculate(&request, &names, (region, service), &identity, settings, system_time(now))?;
    instructions.apply_to_request_http1x(&mut request);
    Ok(request)
}

/// Whether the signature is what this secret makes of the request.
pub(super) fn matches(request: &http::Request<Vec<u8>>, scope: &Scope, secret_access_key: &str) -> bool {
    let identity: Identity = Credentials::new(&scope.access_key_id, secret_access_key, None, None, "sandbox").into();
    let with_payload_hash = scope.signed_headers.iter().any(|name| name == "x-amz-content-sha256");
    let settings = settings(scope.service, with_payload_hash);
    // The signer adds these itself.
    let added = ["x-amz-date", "x-amz-content-sha256"];
    let names: Vec<String> =
        scope.signed_headers.iter().filter(|name| !added.contains(&name.as_str())).cloned().collect();
    let Some(time) = signing_time(request) else { return false };
    calculate(request, &names, (&scope.region, scope.service), &identity, settings, time)
        .is_ok_and(|(_, signature)| signature == scope.signature)
}

fn signing_time(request: &http::Request<Vec<u8>>) -> Option<SystemTime> {
    let text = request.headers().get("x-amz-date")?.to_str().ok()?;
    text.parse().ok().map(system_time)
}

fn system_time(time: Timestamp) -> SystemTime {
    SystemTime::UNIX_EPOCH + Duration::from_secs(u64::try_from(time.as_second()).unwrap_or_default())
}

fn calculate(
    request: &http::Request<Vec<u8>>,
    header_names: &[String],
    (region, service): (&str, Service),
    identity: &Identity,
    settings: SigningSettings,
    time: SystemTime,
) -> Result<(SigningInstructions, String), ServiceError> {
    let params = v4::SigningParams::builder()
        .identity(identity)
        .region(region)
        .name(service.name())
        .time(time)
        .settings(settings)
        .build()
        .map_err(refused)?
        .into();
    let headers = header_names
        .iter()
        .filter_map(|name| Some((name.as_str(), request.headers().get(name.as_str())?.to_str().ok()?)));
    let signable = SignableRequest::new(
        request.method().as_str(),
        absolute_uri(request),
        headers,
        SignableBody::Bytes(request.body()),
    )
    .map_err(refused)?;
    Ok(compute(signable, &params).map_err(refused)?.into_parts())
}

/// A request that came through a socket names its host in a header only.
fn absolute_uri(request: &http::Request<Vec<u8>>) -> String {
    let uri = request.uri();
    if uri.authority().is_some() {
        return uri.to_string();
    }
    let host = request.headers().get("host").and_then(|host| host.to_str().ok()).unwrap_or("localhost");
    format!("http://{host}{}", uri.path_and_query().map_or("/", |path| path.as_str()))
}
