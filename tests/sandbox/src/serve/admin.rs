//! The admin calls: which path does what, and how an answer or a refusal looks. The table is in [`super`].

use std::sync::Arc;
use std::time::Duration;

use http::{Request, Response, StatusCode};
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};
use tokio::sync::oneshot;

use super::Service;
use crate::{cloud, report};

/// Longer than any rotation needs; a slip of the finger must not run for an hour.
const MOST_DAYS: u32 = 1000;
const MOST_SECONDS: u64 = 31 * 86_400;

/// Why an admin call was not done.
#[derive(Debug, thiserror::Error)]
#[error("{message}")]
pub(super) struct Refusal {
    status: StatusCode,
    message: String,
}

impl Refusal {
    pub(super) fn bad(message: impl Into<String>) -> Refusal {
        Refusal { status: StatusCode::BAD_REQUEST, message: message.into() }
    }

    pub(super) fn missing(message: impl Into<String>) -> Refusal {
        Refusal { status: StatusCode::NOT_FOUND, message: message.into() }
    }
}

/// How much time is to pass.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct Passing {
    #[serde(default)]
    days: u32,
    #[serde(default)]
    seconds: u64,
}

/// Which services IAM's changes reach.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct Reach {
    reaches_s3: bool,
}

impl Service {
    pub(super) async fn administrate(self: &Arc<Self>, request: &Request<Vec<u8>>) -> Response<Vec<u8>> {
        if (request.method().as_str(), request.uri().path()) == ("GET", "/sandbox/report") {
            let page = report::page(&self.story()).into_bytes();
            return Response::builder()
                .header("content-type", "text/html; charset=utf-8")
                .body(page)
                .unwrap_or_default();
        }
        let (status, answer) = match self.route(request).await {
            Ok(answer) => (StatusCode::OK, answer),
            Err(refusal) => (refusal.status, json!({ "error": refusal.message })),
        };
        let built = Response::builder().status(status).header("content-type", "application/json");
        built.body(format!("{answer:#}\n").into_bytes()).unwrap_or_default()
    }

    async fn route(self: &Arc<Self>, request: &Request<Vec<u8>>) -> Result<Value, Refusal> {
        let path = request.uri().path();
        let parts: Vec<&str> = path.trim_matches('/').split('/').skip(1).collect();
        match (request.method().as_str(), parts.as_slice()) {
            ("GET", ["fleet"]) => Ok(self.fleet()),
            ("GET", ["keys"]) => Ok(self.keys()),
            ("GET", ["findings"]) => Ok(self.findings()),
            ("GET", ["backups"]) => Ok(self.failed_backups()),
            ("GET", ["notices"]) => Ok(self.notices()),
            ("GET", ["events"]) => Ok(self.bus_events()),
            ("GET", ["clock"]) => Ok(self.time()),
            ("GET", ["definition"]) => self.definition(request.uri().query().unwrap_or_default()),
            ("GET", ["functions"]) => Ok(self.functions()),
            ("POST", ["clock"]) => self.let_time_pass(body(request)?).await,
            ("POST", ["faults"]) => self.inject(body(request)?),
            ("POST", ["executions"]) => self.note_execution(body(request)?),
            ("POST", ["hosts", host, "break"]) => self.break_host(host, body(request)?),
            ("POST", ["iam"]) => Ok(self.set_reach(&body(request)?)),
            ("POST", ["hosts", host, "start"]) => {
                self.living(host)?;
                self.start_host(host, &body(request)?)
            }
            ("POST", ["hosts", host, "tag"]) => self.tag_host(host, &body(request)?),
            ("POST", ["hosts", host, "untag"]) => self.untag_host(host, &body(request)?),
            ("POST", ["hosts", host, "launch"]) => self.launch(host, body(request)?),
            ("POST", ["hosts", host, verb]) => self.with_host(host, verb),
            ("GET" | "POST", _) => Err(Refusal::missing(format!(
                "there is no {} {path}; see the table in tests/sandbox/README.md",
                request.method()
            ))),
            (method, _) => Err(Refusal {
                status: StatusCode::METHOD_NOT_ALLOWED,
                message: format!("{path} takes GET or POST, not {method}"),
            }),
        }
    }

    /// Whoever hangs up before the time has passed does not stop it.
    async fn let_time_pass(self: &Arc<Self>, passing: Passing) -> Result<Value, Refusal> {
        let Passing { days, seconds } = passing;
        if (days == 0) == (seconds == 0) || days > MOST_DAYS || seconds > MOST_SECONDS {
            return Err(Refusal::bad(format!("give either days, 1 to {MOST_DAYS}, or seconds, 1 to {MOST_SECONDS}")));
        }
        let (done, passed) = oneshot::channel();
        let service = Arc::clone(self);
        let running = self.world.clock.running_with_a_leap();
        self.world.clock.spawn(async move {
            service.world.clock.sleep(Duration::from_secs(seconds)).await;
            service.world.let_days_pass(days).await;
            drop(running);
            // Nobody waits any more where the caller has hung up.
            let _ = done.send(());
        });
        passed.await.map_err(|_| Refusal::bad("the local AWS was shut down meanwhile"))?;
        Ok(self.time())
    }

    fn set_reach(&self, reach: &Reach) -> Value {
        self.world.cloud.let_iam_reach(cloud::Service::S3, reach.reaches_s3);
        json!({ "reachesS3": reach.reaches_s3 })
    }

    fn time(&self) -> Value {
        json!({ "now": self.world.clock.now().to_string() })
    }

    fn fleet(&self) -> Value {
        let tag = rotation::names::ledger_tag(&self.world.settings.rotation);
        let host = |instance: &crate::cloud::views::InstanceView| {
            let held = self.world.fleet.host(&instance.instance_id).map(|host| host.held_keys()).unwrap_or_default();
            let held: Vec<Value> = held
                .into_iter()
                .map(|held| json!({ "endpoint": held.endpoint, "credential": held.credential, "key": held.access_key_id }))
                .collect();
            json!({
                "id": instance.instance_id,
                "name": instance.tags.get("Name"),
                "account": instance.account,
                "region": instance.region,
                "state": instance.state.name(),
                "online": instance.online,
                "holds": held,
                "ledger": instance.tags.get(&tag),
            })
        };
        json!({ "hosts": self.world.cloud.instances().iter().map(host).collect::<Vec<_>>() })
    }

    fn keys(&self) -> Value {
        let keys = self.world.cloud.access_keys(&self.world.settings.subject());
        let shown = keys.iter().map(|key| {
            json!({ "id": key.access_key_id, "status": key.status.to_string(), "created": key.created.to_string() })
        });
        json!({ "keys": shown.collect::<Vec<_>>() })
    }

    fn findings(&self) -> Value {
        let findings = self.world.auditor.findings();
        let shown = findings.iter().map(
            |finding| json!({ "guarantee": finding.guarantee, "time": finding.time.to_string(), "what": finding.what }),
        );
        json!({ "findings": shown.collect::<Vec<_>>() })
    }

    fn failed_backups(&self) -> Value {
        let failed = self.world.failed_backups();
        let shown = failed.iter().map(|backup| {
            json!({
                "time": backup.time.to_string(),
                "host": backup.host,
                "endpoint": backup.endpoint,
                "cause": backup.cause,
            })
        });
        json!({ "failed": shown.collect::<Vec<_>>() })
    }

    fn bus_events(&self) -> Value {
        let events = self.world.cloud.bus_events();
        let shown = events.iter().map(|event| {
            json!({ "time": event.time.to_string(), "source": event.source, "detail-type": event.detail_type, "detail": event.detail })
        });
        json!({ "events": shown.collect::<Vec<_>>() })
    }

    fn notices(&self) -> Value {
        let notices = self.world.cloud.notices();
        let shown = notices.iter().map(|notice| {
            json!({
                "time": notice.time.to_string(),
                "topic": notice.topic_arn,
                "subject": notice.subject,
                "message": notice.message,
            })
        });
        json!({ "notices": shown.collect::<Vec<_>>() })
    }
}

/// The body as what a call takes; an empty one is `{}`.
fn body<T: DeserializeOwned>(request: &Request<Vec<u8>>) -> Result<T, Refusal> {
    let text: &[u8] = if request.body().trim_ascii().is_empty() { b"{}" } else { request.body() };
    let value: Value =
        serde_json::from_slice(text).map_err(|error| Refusal::bad(format!("the body is no JSON: {error}")))?;
    serde_path_to_error::deserialize(value)
        .map_err(|error| Refusal::bad(format!("the body is not understood at `{}`: {}", error.path(), error.inner())))
}
