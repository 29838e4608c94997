//! `sandbox serve`: a world that strangers' tools can drive. One address on loopback serves every AWS service to whoever
//! signs a request, and, under `/sandbox/` and without a signature, what AWS has no API for.
//!
//! | call | body | what it does |
//! |---|---|---|
//! | `GET /sandbox/fleet` | | every host: state, keys that it holds, ledger |
//! | `GET /sandbox/keys` | | the user's access keys and their status |
//! | `GET /sandbox/findings` | | guarantees that the auditor saw broken; an empty list is what everybody wants |
//! | `GET /sandbox/backups` | | nightly backups that failed |
//! | `GET /sandbox/notices` | | what SNS published |
//! | `GET /sandbox/events` | | what EventBridge's default bus took |
//! | `GET /sandbox/report` | | the report: the page of keys, hosts and executions as they are by now (HTML) |
//! | `GET /sandbox/clock` | | the simulated time |
//! | `POST /sandbox/clock` | `{"days": 8}` or `{"seconds": 90}` | lets time pass; every night every running host backs up |
//! | `POST /sandbox/hosts/ID/stop`, `terminate` | | as somebody at the console does; a terminated host stays so |
//! | `POST /sandbox/hosts/ID/start` | nothing, or `{"agentAfterSeconds": 60}` | starts it; its agent answers at once, or so much later |
//! | `POST /sandbox/hosts/ID/tag`, `untag` | `{"key": "SQL", "value": "2022"}`; without the value for `untag` | puts a tag on, or takes it off |
//! | `POST /sandbox/hosts/ID/break` | one or more of `{"agentOffline": true, "diskFull": true, "slowSeconds": 60, "lies": "…", "missingTools": ["aws"], "refusedBackups": 2, "sqlServerStopped": true}`; with `"endpoint": "localhost,1434"` the last two mean that SQL Server instance alone, and `"lies": null` takes a lie back | makes a host go wrong |
//! | `POST /sandbox/hosts/ID/repair` | | takes all of that back |
//! | `POST /sandbox/hosts/ID/image` | | keeps the host's disks as they are now; without it, the image is from the start |
//! | `POST /sandbox/hosts/ID/restore` | | puts the image's disks back, with the key that they held |
//! | `POST /sandbox/hosts/ID/launch` | `{"id": "i-…"}`, and `agentAfterSeconds` as above | launches a new host from the image, with the host's tags |
//! | `POST /sandbox/iam` | `{"reachesS3": false}` | from now on S3 learns of no key that is made, deactivated or deleted, and refuses a new one; `true` lets it learn of all |
//! | `POST /sandbox/faults` | `{"service": "iam", "action": "CreateAccessKey", "kind": "throttle"}`; kind may be `loseReply` and `refuse` (with `"code"` and `"status"`) as well, and `"nth": 2` means the second such call | makes one call to come fail |
//! | `GET /sandbox/definition` | query `?functionArn=arn:aws:lambda:…:function:*` | the state machine's definition, its functions' ARNs by this pattern |
//! | `GET /sandbox/functions` | | the functions: name, binary, environment with its credentials, to run them elsewhere |
//! | `POST /sandbox/executions` | `{"arn": "arn:aws:states:…", "status": "RUNNING"}` | tells about an execution of another orchestrator |
//!
//! Every answer but the report is JSON; a refusal is `{"error": "…"}` with status 400, 404 or 405.

mod admin;
mod elsewhere;
mod faults;
mod hosts;

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use tokio::net::TcpListener;
use tokio::task::JoinHandle;

use crate::cloud::HttpOutcome;
use crate::cloud::serve::{Answers, serve};
use crate::report::{Recorder, Story};
use crate::world::World;

/// How long whoever ends the service waits for hosts that work.
const PATIENCE: Duration = Duration::from_secs(10);

/// A world that is being served.
pub struct Service {
    world: World,
    address: SocketAddr,
    recorder: Arc<Recorder>,
}

/// A service that runs until it is shut down.
pub struct Running {
    service: Arc<Service>,
    server: JoinHandle<()>,
}

impl Running {
    /// Serves a world on a port of loopback (0 is any). Without a pace its clock stands still while nothing runs; with
    /// one it goes on by itself, so many times as fast as real time.
    ///
    /// # Errors
    /// When the port is taken.
    pub async fn start(world: World, port: u16, pace: Option<u32>) -> std::io::Result<Running> {
        let listener = TcpListener::bind(("127.0.0.1", port)).await?;
        let address = listener.local_addr()?;
        world.cloud.admit_people();
        match pace {
            Some(times) => world.clock.keep_pace(times),
            None => world.clock.stand_still_when_nothing_runs(),
        }
        let recorder = Recorder::attach(&world.cloud, &world.fleet, &world.settings);
        let service = Arc::new(Service { world, address, recorder });
        let serving = serve(Arc::clone(&service), listener);
        let server = tokio::spawn(async move {
            // It ends with the task; a listener that accepts no more shows at the next request.
            let _ = serving.await;
        });
        Ok(Running { service, server })
    }

    /// Where it is served.
    pub fn url(&self) -> String {
        self.service.url()
    }

    /// The world.
    pub fn world(&self) -> &World {
        &self.service.world
    }

    /// What has happened so far.
    pub fn story(&self) -> Story {
        self.service.story()
    }

    /// Takes no more requests, stops what runs, and ends the functions' processes.
    pub async fn shut_down(self) {
        self.server.abort();
        let machine = &self.service.world.machine;
        for execution in machine.executions() {
            machine.stop(&execution.name, "Sandbox.ShutDown", "the local AWS was shut down");
        }
        // A script that runs on a host is left a moment to end; what still runs then is killed with this process.
        self.service.world.clock.until_nobody_is_busy(PATIENCE).await;
        self.service.world.shut_down().await;
    }
}

impl Service {
    fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    fn story(&self) -> Story {
        Story::of_world(&self.world, &self.recorder)
    }
}

impl Answers for Service {
    async fn answer(self: &Arc<Self>, request: http::Request<Vec<u8>>) -> HttpOutcome {
        if is_of_a_person(&request) {
            return HttpOutcome::Response(self.administrate(&request).await);
        }
        self.world.cloud.answer(request).await
    }
}

/// Whether a request is an admin call, or somebody's who looks at the address in a browser: no tool of AWS's sends one
/// without a signature.
fn is_of_a_person(request: &http::Request<Vec<u8>>) -> bool {
    let path = request.uri().path();
    let is_look = path == "/" && request.method() == http::Method::GET;
    let is_unsigned = !request.headers().contains_key("authorization");
    is_unsigned && (is_look || path == "/sandbox" || path.starts_with("/sandbox/"))
}
