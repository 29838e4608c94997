//! `sandbox serve` as strangers' tools see it: over a socket, with the SDK's own clients, and byte by byte where shapes
//! matter. Tools of which we wrote nothing do the same in tests/strangers.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test ends by failing")]

mod admin;
mod executions;
mod history;
mod people;
mod program;
mod services;

use std::sync::Arc;

use sandbox::cloud::Effect;
use sandbox::fleet_file::FleetFile;
use sandbox::machine::Observer;
use sandbox::serve::Running;
use sandbox::world::World;
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::sync::Mutex;
use tokio::sync::mpsc::{UnboundedReceiver, unbounded_channel};

const ACCOUNT: &str = "111122223333";
const REGION: &str = "eu-west-1";
const USER: &str = "sql-backups-user";
const SECRET: &str = "sqlcredential";
const FIRST: &str = "i-00000000000000001";
const SECOND: &str = "i-00000000000000002";
const OLD_KEY: &str = "AKIASANDBOXCURRENT00";

/// A served world, and how each of its executions ended.
struct Served {
    running: Running,
    ends: Mutex<UnboundedReceiver<(String, String)>>,
}

/// Two hosts with one SQL Server each, served.
async fn served() -> Served {
    observed(Arc::new(|_| {})).await
}

/// The same, whose executions' events `observer` sees.
async fn observed(observer: Observer) -> Served {
    let host = |id: &str| json!({ "id": id, "region": REGION, "tags": { "SQL": "2022" }, "sqlServers": [{}] });
    let fleet = json!({
        "account": ACCOUNT,
        "region": REGION,
        "startsAt": "2026-11-24T06:00:00Z",
        "hosts": [host(FIRST), host(SECOND)],
    });
    let settings = json!({
        "rotation": "sql-backups",
        "secret": { "id": SECRET },
        "user": USER,
        "credentials": ["s3://sql-backups.s3.eu-west-1.amazonaws.com"],
        "fleet": {
            "tags": [{ "key": "SQL", "values": ["2022"] }],
            "targets": [{ "account": ACCOUNT, "regions": [REGION] }],
        },
        "topic": "arn:aws:sns:eu-west-1:111122223333:credential-rotation",
    });
    let file: FleetFile = serde_json::from_value(fleet).expect("the fleet is a fleet file");
    let world = World::new(&file, settings, observer).await.unwrap_or_else(|error| panic!("{error}"));
    let (ended, ends) = unbounded_channel();
    world.cloud.subscribe(Arc::new(move |event| {
        for effect in &event.effects {
            if let Effect::ExecutionChanged { execution_arn, status } = effect
                && status != "RUNNING"
            {
                // Whoever wants no ends has dropped the receiver.
                let _ = ended.send((execution_arn.clone(), status.clone()));
            }
        }
    }));
    let running = Running::start(world, 0, None).await.expect("a port is free");
    Served { running, ends: Mutex::new(ends) }
}

/// An SDK client of a service, with the key pair of a person.
macro_rules! client {
    ($served:expr, $sdk:ident) => {
        client!($served, $sdk, "person", "person")
    };
    ($served:expr, $sdk:ident, $id:expr, $secret:expr) => {
        $sdk::Client::from_conf(
            $sdk::Config::builder()
                .behavior_version($sdk::config::BehaviorVersion::latest())
                .region($sdk::config::Region::new($crate::REGION))
                .credentials_provider($sdk::config::Credentials::new($id, $secret, None, None, "a test"))
                .endpoint_url($served.running.url())
                .http_client(aws_smithy_http_client::Builder::new().build_http())
                .retry_config($sdk::config::retry::RetryConfig::disabled())
                .build(),
        )
    };
}

/// The wire code of a refused call.
macro_rules! code {
    ($result:expr) => {{
        use aws_smithy_types::error::metadata::ProvideErrorMetadata;
        let error = $result.expect_err("the call is refused");
        error.code().expect("the refusal has a code").to_owned()
    }};
}

use {client, code};

impl Served {
    fn machine(&self) -> String {
        self.running.world().machine.arn().to_owned()
    }

    fn execution(&self, name: &str) -> String {
        format!("{}:{name}", self.machine().replacen(":stateMachine:", ":execution:", 1))
    }

    /// Starts an execution as a person does.
    async fn start(&self, name: &str, input: &str) -> String {
        let client = client!(self, aws_sdk_sfn);
        let start = client.start_execution().state_machine_arn(self.machine()).name(name).input(input);
        start.send().await.unwrap_or_else(|error| panic!("{error:?}")).execution_arn
    }

    /// Waits for the next end of an execution.
    async fn end(&self) -> (String, String) {
        self.ends.lock().await.recv().await.expect("the world lives as long as its observer")
    }

    /// Rotates once, well.
    async fn rotate(&self, name: &str) {
        let arn = self.start(name, "{}").await;
        assert_eq!(self.end().await, (arn, "SUCCEEDED".to_owned()));
    }

    /// The keys that a host holds.
    fn held_by(&self, host: &str) -> Vec<String> {
        let host = self.running.world().fleet.host(host).expect("the test asks for a host of its fleet");
        host.held_keys().into_iter().map(|held| held.access_key_id).collect()
    }

    /// The key of the version that is current.
    fn current_key(&self) -> String {
        let secret = self.running.world().cloud.secret(SECRET).expect("the secret is there");
        secret.versions[&secret.labels["AWSCURRENT"]].clone().expect("the value names a key")
    }

    /// No guarantee was broken and no backup failed; the service ends.
    async fn conclude(self) {
        let world = self.running.world();
        world.auditor.assert_clean();
        assert_eq!(world.failed_backups(), []);
        self.running.shut_down().await;
    }

    /// One request, byte by byte; the status and the body.
    async fn http(&self, method: &str, path: &str, headers: &[(&str, &str)], body: &str) -> (u16, String) {
        let address = self.running.url().replacen("http://", "", 1);
        let mut stream = TcpStream::connect(&address).await.expect("the service listens");
        let headers: String = headers.iter().map(|(name, value)| format!("{name}: {value}\r\n")).collect();
        let length = body.len();
        let request = format!(
            "{method} {path} HTTP/1.1\r\nhost: {address}\r\nconnection: close\r\ncontent-length: {length}\r\n{headers}\r\n{body}"
        );
        stream.write_all(request.as_bytes()).await.expect("the service reads");
        let mut answer = String::new();
        stream.read_to_string(&mut answer).await.expect("the service answers in UTF-8");
        let (head, body) = answer.split_once("\r\n\r\n").expect("an answer has a head");
        let status = head.split(' ').nth(1).and_then(|status| status.parse().ok()).expect("an answer has a status");
        (status, body.to_owned())
    }

    /// One call in a JSON protocol, signed as nobody checks a person's signature.
    async fn json_call(&self, service: &str, target: &str, input: Value) -> (u16, Value) {
        let authorization = signed(service);
        let headers = [("authorization", authorization.as_str()), ("x-amz-target", target)];
        let (status, body) = self.http("POST", "/", &headers, &input.to_string()).await;
        (status, serde_json::from_str(&body).unwrap_or_else(|error| panic!("{error}: {body}")))
    }

    /// One call in a query protocol; the XML.
    async fn query_call(&self, service: &str, form: &str) -> (u16, String) {
        let authorization = signed(service);
        let headers =
            [("authorization", authorization.as_str()), ("content-type", "application/x-www-form-urlencoded")];
        self.http("POST", "/", &headers, form).await
    }

    /// One admin call that succeeds, or not: the status and the answer.
    async fn admin(&self, method: &str, path: &str, body: Value) -> (u16, Value) {
        let body = if body.is_null() { String::new() } else { body.to_string() };
        let (status, answer) = self.http(method, &format!("/sandbox/{path}"), &[], &body).await;
        (status, serde_json::from_str(&answer).unwrap_or_else(|error| panic!("{error}: {answer}")))
    }

    /// One admin call that must succeed.
    async fn done(&self, method: &str, path: &str, body: Value) -> Value {
        let (status, answer) = self.admin(method, path, body).await;
        assert_eq!(status, 200, "{method} {path}: {answer}");
        answer
    }
}

fn signed(service: &str) -> String {
    format!(
        "AWS4-HMAC-SHA256 Credential=person/20261124/{REGION}/{service}/aws4_request, SignedHeaders=host, Signature=0"
    )
}
