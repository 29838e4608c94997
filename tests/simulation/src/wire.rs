//! The wire between the functions and AWS: where every call has a number, and where things go wrong.
//!
//! The seam is the SDK's HTTP client, so that request building, parsing and the SDK's own retries are the real ones.
//! Every call takes a little simulated time, drawn from the history's seed: two executions at once meet at every call
//! in another order for another seed, and in the same order for the same.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use aws_smithy_runtime_api::client::http::{
    HttpClient, HttpConnector, HttpConnectorFuture, HttpConnectorSettings, SharedHttpClient, SharedHttpConnector,
};
use aws_smithy_runtime_api::client::orchestrator::{HttpRequest, HttpResponse};
use aws_smithy_runtime_api::client::result::ConnectorError;
use aws_smithy_runtime_api::client::runtime_components::RuntimeComponents;
use aws_smithy_types::body::SdkBody;
use sandbox::clock::Clock;
use sandbox::cloud::{Cloud, HttpOutcome, Service};
use tokio::sync::Notify;

/// What goes wrong at one call.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Fault {
    /// AWS throttles it; it has no effect.
    Throttled,
    /// AWS denies it; it has no effect.
    Denied,
    /// AWS does not know what it is about; it has no effect.
    NotFound,
    /// AWS fails inside; it has no effect.
    Internal,
    /// It takes effect, and the connection drops before the reply.
    ReplyLost,
    /// The function dies before it.
    DiesBefore,
    /// It takes effect, and the function dies before it learns so.
    DiesAfter,
    /// Lambda gives the invocation up and Step Functions tries again, while this one goes on and makes the call later.
    GoesOnLate,
}

impl Fault {
    /// Every kind.
    pub const ALL: [Fault; 8] = [
        Fault::Throttled,
        Fault::Denied,
        Fault::NotFound,
        Fault::Internal,
        Fault::ReplyLost,
        Fault::DiesBefore,
        Fault::DiesAfter,
        Fault::GoesOnLate,
    ];
}

/// How late a function acts that was given up: within its own time-out of a minute, and after its successor.
const LATE: Duration = Duration::from_secs(40);

/// One call that a function made.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Point {
    /// The function.
    pub function: String,
    /// The service.
    pub service: Service,
    /// The operation.
    pub operation: String,
}

/// The calls so far, and the faults that wait for theirs.
#[derive(Debug)]
pub struct Wire {
    inner: Mutex<Inner>,
}

#[derive(Debug)]
struct Inner {
    random: fastrand::Rng,
    points: Vec<Point>,
    faults: BTreeMap<usize, Fault>,
    /// What goes wrong with every call of an operation by a function.
    lasting: Vec<(String, String, Fault)>,
    struck: Vec<(usize, Fault)>,
}

/// One invocation of a function, as the wire knows it.
#[derive(Debug, Default)]
pub struct Invocation {
    /// Told when the function dies.
    pub died: Notify,
    /// Told when Lambda gives it up.
    pub lost: Notify,
    /// Told when it may go on by itself.
    pub goes_on: Notify,
}

impl Wire {
    /// A wire whose calls take times drawn from a seed, with faults by the number of the call.
    pub fn new(seed: u64, faults: BTreeMap<usize, Fault>) -> Arc<Wire> {
        let random = fastrand::Rng::with_seed(seed);
        Arc::new(Wire {
            inner: Mutex::new(Inner { random, points: Vec::new(), faults, lasting: Vec::new(), struck: Vec::new() }),
        })
    }

    /// Every call so far; its place is its number.
    pub fn points(&self) -> Vec<Point> {
        self.lock().points.clone()
    }

    /// The faults that came to pass.
    pub fn struck(&self) -> Vec<(usize, Fault)> {
        self.lock().struck.clone()
    }

    /// No fault that waits comes to pass any more.
    pub fn heal(&self) {
        let mut inner = self.lock();
        inner.faults.clear();
        inner.lasting.clear();
    }

    /// A fault at every call of an operation by a function, until the wire is healed.
    pub fn strike_every(&self, function: &str, operation: &str, fault: Fault) {
        self.lock().lasting.push((function.to_owned(), operation.to_owned(), fault));
    }

    /// A fault at the call that is so many calls from now; 0 is the next one.
    pub fn strike(&self, calls_from_now: usize, fault: Fault) {
        let mut inner = self.lock();
        let number = inner.points.len() + calls_from_now;
        inner.faults.insert(number, fault);
    }

    /// An HTTP client for one invocation of a function.
    pub fn client(
        self: &Arc<Wire>,
        cloud: &Arc<Cloud>,
        function: &str,
        invocation: &Arc<Invocation>,
    ) -> SharedHttpClient {
        SharedHttpClient::new(Connector {
            wire: Arc::clone(self),
            cloud: Arc::clone(cloud),
            function: function.to_owned(),
            invocation: Arc::clone(invocation),
        })
    }

    /// Notes a call; how long it takes, and what goes wrong with it.
    fn note(&self, point: Point) -> (Duration, Option<Fault>) {
        let mut inner = self.lock();
        let number = inner.points.len();
        let takes = Duration::from_millis(inner.random.u64(5..60));
        let lasts = |(function, operation, fault): &(String, String, Fault)| {
            (*function == point.function && *operation == point.operation).then_some(*fault)
        };
        let fault = inner.faults.remove(&number).or_else(|| inner.lasting.iter().find_map(lasts));
        inner.struck.extend(fault.map(|fault| (number, fault)));
        inner.points.push(point);
        (takes, fault)
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[derive(Clone, Debug)]
struct Connector {
    wire: Arc<Wire>,
    cloud: Arc<Cloud>,
    function: String,
    invocation: Arc<Invocation>,
}

impl HttpClient for Connector {
    fn http_connector(&self, _: &HttpConnectorSettings, _: &RuntimeComponents) -> SharedHttpConnector {
        SharedHttpConnector::new(self.clone())
    }
}

impl HttpConnector for Connector {
    fn call(&self, request: HttpRequest) -> HttpConnectorFuture {
        let connector = self.clone();
        HttpConnectorFuture::new(async move { connector.make(&read(request)?).await })
    }
}

fn read(request: HttpRequest) -> Result<http::Request<Vec<u8>>, ConnectorError> {
    let request = request.try_into_http1x().map_err(|error| ConnectorError::user(error.into()))?;
    let (parts, body) = request.into_parts();
    let bytes = body.bytes().map(<[u8]>::to_vec).unwrap_or_default();
    Ok(http::Request::from_parts(parts, bytes))
}

impl Connector {
    async fn make(&self, request: &http::Request<Vec<u8>>) -> Result<HttpResponse, ConnectorError> {
        let Some((service, operation)) = Cloud::asked(request) else { return self.answer(request) };
        let point = Point { function: self.function.clone(), service, operation };
        let (takes, fault) = self.wire.note(point.clone());
        let clock: &Clock = self.cloud.clock();
        clock.sleep(takes).await;
        match fault {
            None => self.answer(request),
            Some(Fault::DiesBefore) => self.die().await,
            Some(Fault::DiesAfter) => {
                // Whatever AWS says, nobody hears it.
                let _ = self.answer(request);
                self.die().await
            }
            Some(Fault::GoesOnLate) => {
                self.invocation.lost.notify_one();
                self.invocation.goes_on.notified().await;
                clock.sleep(LATE).await;
                self.answer(request)
            }
            Some(Fault::ReplyLost) => {
                let _ = self.answer(request);
                Err(ConnectorError::io("the connection was dropped before the reply arrived".into()))
            }
            Some(refused @ (Fault::Throttled | Fault::Denied | Fault::NotFound | Fault::Internal)) => {
                self.cloud.inject(refusal(&point, refused));
                self.answer(request)
            }
        }
    }

    fn answer(&self, request: &http::Request<Vec<u8>>) -> Result<HttpResponse, ConnectorError> {
        match self.cloud.handle_http(request.clone()) {
            HttpOutcome::Response(response) => HttpResponse::try_from(response.map(SdkBody::from))
                .map_err(|error| ConnectorError::other(error.into(), None)),
            HttpOutcome::Dropped => {
                Err(ConnectorError::io("the connection was dropped before the reply arrived".into()))
            }
        }
    }

    /// The function dies here: nothing of it goes on.
    async fn die(&self) -> Result<HttpResponse, ConnectorError> {
        self.invocation.died.notify_one();
        std::future::pending().await
    }
}

/// How a service refuses its very next call.
fn refusal(point: &Point, fault: Fault) -> sandbox::cloud::Fault {
    let service = point.service;
    use sandbox::cloud::FaultKind::{RefuseBefore, ThrottleBefore};
    let refuse = |code: &str, status| RefuseBefore(code.to_owned(), status);
    let kind = match (fault, service) {
        (Fault::Denied, Service::Iam | Service::Sts | Service::S3) => refuse("AccessDenied", 403),
        (Fault::Denied, Service::Ec2) => refuse("UnauthorizedOperation", 403),
        (Fault::Denied, Service::Sns) => refuse("AuthorizationError", 403),
        (Fault::Denied, Service::SecretsManager | Service::Ssm | Service::States | Service::Logs) => {
            refuse("AccessDeniedException", 400)
        }
        (Fault::NotFound, Service::Iam) => refuse("NoSuchEntity", 404),
        (Fault::NotFound, Service::Ec2) => refuse("InvalidInstanceID.NotFound", 400),
        (Fault::NotFound, Service::Ssm) => refuse("InvalidCommandId", 400),
        (Fault::NotFound, Service::States) => refuse("ExecutionDoesNotExist", 400),
        (Fault::NotFound, Service::Sts | Service::S3 | Service::Sns) => refuse("NotFound", 404),
        (Fault::NotFound, Service::SecretsManager | Service::Logs) => refuse("ResourceNotFoundException", 400),
        (Fault::Internal, Service::SecretsManager) => refuse("InternalServiceError", 500),
        (Fault::Internal, Service::Ssm) => refuse("InternalServerError", 500),
        (Fault::Internal, Service::Iam) => refuse("ServiceFailure", 500),
        (Fault::Internal, _) => refuse("InternalError", 500),
        _ => ThrottleBefore,
    };
    sandbox::cloud::Fault { service, action: point.operation.clone(), nth: 1, kind }
}
