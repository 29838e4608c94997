//! Requests as the SDKs and the CLI send them, and answers as they parse them.
//!
//! The SigV4 Authorization header says who asks, which region's endpoint is meant and which service; so one address
//! serves every service in every region.

use serde_json::{Value, json};

use super::signature::{self, Scope};
use super::wire::{Spelling, escape, parse_form, with_ec2_names, xml_members};
use super::{Call, Caller, Cloud, Service, ServiceError};

/// What became of a request.
#[derive(Debug)]
pub enum HttpOutcome {
    /// An answer, well or badly.
    Response(http::Response<Vec<u8>>),
    /// The connection dropped with no answer; the call may have taken effect.
    Dropped,
}

/// One request, understood.
struct Understood {
    call: Call,
    request_id: String,
}

impl Cloud {
    /// One HTTP request as an SDK sends it.
    pub fn handle_http(&self, request: http::Request<Vec<u8>>) -> HttpOutcome {
        let understood = match self.understand(&request) {
            Ok(understood) => understood,
            Err((service, error)) => return HttpOutcome::Response(refusal(service, &error, "unread")),
        };
        let (service, action) = (understood.call.service, understood.call.action.clone());
        match self.perform(understood.call) {
            Some(Ok(answer)) => HttpOutcome::Response(success(service, &action, &answer, &understood.request_id)),
            Some(Err(error)) => HttpOutcome::Response(refusal(service, &error, &understood.request_id)),
            None => HttpOutcome::Dropped,
        }
    }

    /// The service and the operation that a request asks for, where it can be understood.
    pub fn asked(request: &http::Request<Vec<u8>>) -> Option<(Service, String)> {
        let scope = Scope::of(request).ok()?;
        let (action, _) = operation(request, scope.service).ok()?;
        Some((scope.service, action))
    }

    /// The same for callers inside the sandbox, which need no XML.
    pub(super) fn handle_parsed(&self, request: &http::Request<Vec<u8>>) -> Result<Value, ServiceError> {
        let understood = self.understand(request).map_err(|(_, error)| error)?;
        self.perform(understood.call).unwrap_or_else(|| Err(ServiceError::connection_dropped()))
    }

    fn understand(&self, request: &http::Request<Vec<u8>>) -> Result<Understood, (Service, ServiceError)> {
        let scope = Scope::of(request).map_err(|error| nowhere(request, error))?;
        let (action, input) = operation(request, scope.service).map_err(|error| (scope.service, error))?;
        let mut state = self.state();
        let (caller, signature_matches) = match state.sessions.get(&scope.access_key_id) {
            Some(session) => (session.caller.clone(), true),
            None if state.is_a_persons(&scope) => (Caller::Person, true),
            None => {
                let key = state.keys.get(&scope.access_key_id);
                let matches = key.is_some_and(|key| signature::matches(request, &scope, key.secret.expose()));
                (Caller::access_key(&scope.access_key_id), matches)
            }
        };
        let request_id = state.identifiers.uuid();
        let call = Call { caller, region: scope.region, service: scope.service, action, input, signature_matches };
        Ok(Understood { call, request_id })
    }
}

/// Who names no service is answered in the protocol that the request looks like; the JSON ones call it an exception.
fn nowhere(request: &http::Request<Vec<u8>>, error: ServiceError) -> (Service, ServiceError) {
    if !request.headers().contains_key("x-amz-target") {
        return (Service::Sts, error);
    }
    let code = format!("{}Exception", error.code.trim_end_matches("Exception"));
    (Service::States, ServiceError { code, ..error })
}

/// The action and its input, by the service's protocol.
fn operation(request: &http::Request<Vec<u8>>, service: Service) -> Result<(String, Value), ServiceError> {
    let malformed = |message: String| ServiceError::new(400, "SerializationException", message);
    match service {
        Service::SecretsManager | Service::Ssm | Service::States | Service::Logs | Service::Events => {
            let target = request.headers().get("x-amz-target").and_then(|target| target.to_str().ok());
            let action = target.and_then(|target| target.rsplit('.').next()).unwrap_or_default().to_owned();
            let body: &[u8] = if request.body().is_empty() { b"{}" } else { request.body() };
            let input =
                serde_json::from_slice(body).map_err(|error| malformed(format!("the body is no JSON: {error}")))?;
            Ok((action, input))
        }
        Service::Iam | Service::Sts | Service::Sns => Ok(parse_form(request.body())),
        Service::Ec2 => {
            let (action, input) = parse_form(request.body());
            Ok((action, with_ec2_names(input)))
        }
        Service::S3 => object_call(request).ok_or_else(|| {
            ServiceError::new(501, "NotImplemented", "the local AWS serves S3's PutObject and ListObjectsV2 only")
        }),
    }
}

/// `PUT /key` and `GET /?list-type=2` at `bucket.s3.region…`, or below `/bucket` at any other host.
fn object_call(request: &http::Request<Vec<u8>>) -> Option<(String, Value)> {
    let header = || request.headers().get("host").and_then(|host| host.to_str().ok());
    let host = request.uri().host().or_else(header).unwrap_or_default();
    let path = request.uri().path().trim_start_matches('/');
    let (bucket, key) = match host.split_once(".s3.") {
        Some((bucket, _)) => (bucket, path),
        None => path.split_once('/').unwrap_or((path, "")),
    };
    let query: Vec<(String, String)> =
        form_urlencoded::parse(request.uri().query().unwrap_or_default().as_bytes()).into_owned().collect();
    let is_list = query.contains(&("list-type".to_owned(), "2".to_owned()));
    if request.method() == http::Method::PUT && !key.is_empty() {
        let input = json!({ "Bucket": bucket, "Key": key, "ContentLength": request.body().len() });
        return Some(("PutObject".to_owned(), input));
    }
    if request.method() == http::Method::GET && key.is_empty() && is_list {
        let mut input: serde_json::Map<String, Value> =
            query.into_iter().map(|(name, value)| (name, Value::from(value))).collect();
        input.insert("Bucket".to_owned(), Value::from(bucket));
        return Some(("ListObjectsV2".to_owned(), Value::Object(input)));
    }
    None
}

fn response(status: u16, content_type: &str, request_id: &str, body: String) -> http::Response<Vec<u8>> {
    let built = http::Response::builder()
        .status(status)
        .header("content-type", content_type)
        .header("x-amzn-requestid", request_id)
        .body(body.into_bytes());
    built.unwrap_or_else(|_| http::Response::new(Vec::new()))
}

fn success(service: Service, action: &str, answer: &Value, id: &str) -> http::Response<Vec<u8>> {
    match service {
        Service::SecretsManager | Service::Ssm | Service::Logs | Service::Events => {
            response(200, "application/x-amz-json-1.1", id, answer.to_string())
        }
        Service::States => response(200, "application/x-amz-json-1.0", id, answer.to_string()),
        Service::Iam | Service::Sts | Service::Sns => {
            let members = xml_members(answer, Spelling::Query);
            let name = service.name();
            let body = format!(
                "<{action}Response xmlns=\"https://{name}.amazonaws.com/doc/\"><{action}Result>{members}</{action}Result>\
                 <ResponseMetadata><RequestId>{id}</RequestId></ResponseMetadata></{action}Response>"
            );
            response(200, "text/xml", id, body)
        }
        Service::Ec2 => {
            let members = xml_members(answer, Spelling::Ec2);
            let body = format!(
                "<{action}Response xmlns=\"http://ec2.amazonaws.com/doc/2016-11-15/\"><requestId>{id}</requestId>\
                 {members}</{action}Response>"
            );
            response(200, "text/xml;charset=UTF-8", id, body)
        }
        Service::S3 if action == "ListObjectsV2" => {
            let members = xml_members(answer, Spelling::Flat);
            let body = format!(
                "<ListBucketResult xmlns=\"http://s3.amazonaws.com/doc/2006-03-01/\">{members}</ListBucketResult>"
            );
            response(200, "application/xml", id, body)
        }
        Service::S3 => response(200, "application/xml", id, String::new()),
    }
}

fn refusal(service: Service, error: &ServiceError, id: &str) -> http::Response<Vec<u8>> {
    let (code, message) = (escape(&error.code), escape(&error.message));
    match service {
        Service::SecretsManager | Service::Ssm | Service::States | Service::Logs | Service::Events => {
            let version = if service == Service::States { "1.0" } else { "1.1" };
            let body = json!({ "__type": error.code, "message": error.message });
            response(error.status, &format!("application/x-amz-json-{version}"), id, body.to_string())
        }
        Service::Iam | Service::Sts | Service::Sns => {
            let kind = if error.status < 500 { "Sender" } else { "Receiver" };
            let body = format!(
                "<ErrorResponse><Error><Type>{kind}</Type><Code>{code}</Code><Message>{message}</Message></Error>\
                 <RequestId>{id}</RequestId></ErrorResponse>"
            );
            response(error.status, "text/xml", id, body)
        }
        Service::Ec2 => {
            let body = format!(
                "<Response><Errors><Error><Code>{code}</Code><Message>{message}</Message></Error></Errors>\
                 <RequestID>{id}</RequestID></Response>"
            );
            response(error.status, "text/xml;charset=UTF-8", id, body)
        }
        Service::S3 => {
            let body =
                format!("<Error><Code>{code}</Code><Message>{message}</Message><RequestId>{id}</RequestId></Error>");
            response(error.status, "application/xml", id, body)
        }
    }
}
