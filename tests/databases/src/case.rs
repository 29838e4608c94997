//! One secret, one database user, and the rotations that Secrets Manager would start: RotateSecret, then the four
//! steps with its token.

use std::collections::BTreeMap;
use std::sync::Arc;

use lambda::Environment;
use rotate_database_user::{Clients, RotateDatabaseUser, RotationError, Settings};
use sandbox::clock::Clock;
use sandbox::cloud::{Caller, Cloud, Service};
use serde_json::{Value, json};

use crate::death::Mortality;
use crate::server::{ADMINISTRATOR, ADMINISTRATORS_PASSWORD, Server};

/// The steps in their order.
pub const STEPS: [&str; 4] = ["createSecret", "setSecret", "testSecret", "finishSecret"];
/// The secret's name; with a slash, as most have.
pub const SECRET: &str = "team/app";
/// The administrator's secret.
pub const MASTER: &str = "team/administrator";

const ACCOUNT: &str = "111122223333";
const REGION: &str = "eu-west-1";

/// A secret and its rotations.
pub struct Case {
    /// The local AWS.
    pub cloud: Arc<Cloud>,
    /// The server.
    pub server: &'static Server,
    /// Where the function may die.
    pub mortality: Mortality,
    /// The function's variables.
    pub variables: BTreeMap<String, String>,
    /// Whether the function trusts the server's authority; if not, it trusts RDS's, as it does by itself.
    pub trusts_the_server: bool,
}

/// The value of a user's secret before the first rotation.
pub fn value(server: &Server, username: &str, password: &str) -> Value {
    json!({
        "engine": server.engine_name,
        "host": "localhost",
        "port": server.port,
        "username": username,
        "password": password,
        "team": "kept",
    })
}

/// The same with an administrator.
pub fn with_administrator(mut value: Value) -> Value {
    value["masterarn"] = Value::from(MASTER);
    value
}

impl Case {
    /// A secret with a value, and the administrator's.
    pub fn new(server: &'static Server, value: &Value) -> Case {
        let case = Case::without_value(server);
        case.cloud.add_secret(SECRET, Some(&value.to_string()));
        case
    }

    /// Only the administrator's.
    pub fn without_value(server: &'static Server) -> Case {
        let clock = Clock::starting_at("2026-11-24T12:00:00Z".parse().expect("a time"));
        let cloud = Cloud::new(clock, ACCOUNT, REGION);
        let master = json!({
            "engine": server.engine_name,
            "host": "localhost",
            "username": ADMINISTRATOR,
            "password": ADMINISTRATORS_PASSWORD,
        });
        cloud.add_secret(MASTER, Some(&master.to_string()));
        Case { cloud, server, mortality: Mortality::default(), variables: BTreeMap::new(), trusts_the_server: true }
    }

    /// A person's call of Secrets Manager.
    pub fn call(&self, action: &str, input: Value) -> Result<Value, String> {
        let answer = self.cloud.call(&Caller::Person, REGION, Service::SecretsManager, action, input);
        answer.map_err(|error| error.to_string())
    }

    /// The function, as it is in a new execution environment.
    pub fn function(&self) -> RotateDatabaseUser {
        let credentials = self.cloud.credentials_for(Caller::function("rotate-database-user", ACCOUNT));
        let variables = BTreeMap::from([
            ("AWS_REGION".to_owned(), REGION.to_owned()),
            ("AWS_ACCESS_KEY_ID".to_owned(), credentials.access_key_id),
            ("AWS_SECRET_ACCESS_KEY".to_owned(), credentials.secret_access_key),
            ("AWS_SESSION_TOKEN".to_owned(), credentials.session_token),
        ]);
        let client = self.mortality.http_client(self.cloud.http_client());
        let environment = Environment::from_variables(variables, client).expect("the variables are there");
        let settings = Settings::from_variables(&self.variables, |_| Err(std::io::ErrorKind::NotFound.into()));
        let settings = settings.unwrap_or_else(|error| panic!("{error}"));
        let settings = match self.trusts_the_server {
            true => Settings { trust: self.server.trust(), ..settings },
            false => settings,
        };
        let mortality = self.mortality.clone();
        RotateDatabaseUser::new(&environment, settings)
            .with_clients(|clients| -> Clients { Arc::new(move |engine| mortality.connector(clients(engine))) })
    }

    /// What RotateSecret does before it calls the function: the token of the new version, which is pending and empty.
    pub fn begin(&self) -> String {
        let lambda = "arn:aws:lambda:eu-west-1:111122223333:function:rotate-database-user";
        let answer = self.call("RotateSecret", json!({ "SecretId": SECRET, "RotationLambdaARN": lambda }));
        let answer = answer.expect("the rotation begins");
        answer["VersionId"].as_str().expect("a version begins").to_owned()
    }

    /// One step of a rotation.
    pub async fn step(&self, step: &str, token: &str) -> Result<Vec<String>, RotationError> {
        let event = json!({ "SecretId": SECRET, "ClientRequestToken": token, "Step": step });
        self.function().run(&event).await
    }

    /// All steps of a rotation that has begun.
    pub async fn go_on(&self, token: &str) -> Result<Vec<String>, RotationError> {
        let mut done = Vec::new();
        for step in STEPS {
            done.extend(self.step(step, token).await?);
        }
        Ok(done)
    }

    /// A rotation that succeeds; what it did.
    pub async fn rotate(&self) -> Vec<String> {
        let token = self.begin();
        self.go_on(&token).await.unwrap_or_else(|error| panic!("the rotation succeeds: {error}"))
    }

    /// The value that bears a label.
    pub fn labelled(&self, label: &str) -> Option<Value> {
        let answer = self.call("GetSecretValue", json!({ "SecretId": SECRET, "VersionStage": label })).ok()?;
        let text = answer["SecretString"].as_str().expect("the value is text").to_owned();
        Some(serde_json::from_str(&text).expect("the value is JSON"))
    }

    /// The value that applications read.
    pub fn current(&self) -> Value {
        self.labelled("AWSCURRENT").expect("there is a current value")
    }

    /// The labels of a version, sorted.
    pub fn labels_of(&self, version: &str) -> Vec<String> {
        let secret = self.call("DescribeSecret", json!({ "SecretId": SECRET })).expect("the secret is there");
        let labels = secret["VersionIdsToStages"][version].as_array().cloned().unwrap_or_default();
        let mut labels: Vec<String> = labels.iter().filter_map(Value::as_str).map(str::to_owned).collect();
        labels.sort();
        labels
    }

    /// Whether a value's user is let in with its password.
    pub async fn lets_in(&self, value: &Value) -> bool {
        let login = self.login(value);
        self.server.enter(&login).await.is_ok()
    }

    /// The login of a value.
    pub fn login(&self, value: &Value) -> rotate_database_user::engine::Login {
        let text = |name: &str| value[name].as_str().unwrap_or_default().to_owned();
        self.server.login(&text("username"), &text("password"), value["dbname"].as_str())
    }
}
