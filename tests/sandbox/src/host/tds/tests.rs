//! The protocol, spoken by tiberius over real sockets and real TLS, against an instance with one login and a few answers.

mod client;
mod served;

use std::sync::{Mutex, MutexGuard};

use tokio::net::TcpStream;
use tokio_util::compat::TokioAsyncReadCompatExt;

use super::*;
use crate::host::sql_server::connection::login_failed;
use client::Caller;

/// An instance with a memory for what reached it.
#[derive(Default)]
struct Scene(Mutex<Seen>);

#[derive(Default)]
struct Seen {
    stopped: bool,
    log_ins: Vec<String>,
    requests: Vec<Request>,
    open: Vec<Spid>,
}

const NAME: &str = "app]'\"$(x) ö";
const PASSWORD: &str = "p;'\"]]{}--🔑 §";

impl Scene {
    fn lock(&self) -> MutexGuard<'_, Seen> {
        self.0.lock().unwrap()
    }
}

impl Instance for Scene {
    fn is_running(&self) -> bool {
        !self.lock().stopped
    }

    fn version(&self) -> [u8; 4] {
        [16, 0, 3, 232]
    }

    fn log_in(&self, log_in: &LogIn) -> Result<Spid, Vec<SqlMessage>> {
        let LogIn { host_name, program_name, database, .. } = log_in;
        let mut seen = self.lock();
        seen.log_ins.push(format!("{host_name}/{program_name}/{}", database.as_deref().unwrap_or("-")));
        if (log_in.user_name.as_str(), log_in.password.as_str()) != (NAME, PASSWORD) {
            return Err(vec![login_failed(&log_in.user_name)]);
        }
        seen.open.push(51);
        Ok(51)
    }

    fn execute(&self, spid: Spid, request: &Request) -> Result<Vec<RowSet>, Vec<SqlMessage>> {
        assert_eq!(spid, 51);
        self.lock().requests.push(request.clone());
        match request.batch.as_str() {
            "SELECT types" => Ok(vec![every_type()]),
            "SELECT long" => Ok(vec![RowSet::of_text(vec!["ö".repeat(9000), "short".to_owned()])]),
            "SELECT twice" => Ok(["one", "two"].map(|text| RowSet::of_text(vec![text.to_owned()])).to_vec()),
            "ALTER" => Ok(Vec::new()),
            _ => Err(vec![SqlMessage { number: 15151, severity: 16, text: "Cannot alter the login".to_owned() }]),
        }
    }

    fn log_out(&self, spid: Spid) {
        self.lock().open.retain(|open| *open != spid);
    }
}

fn every_type() -> RowSet {
    let columns = [("t", Kind::Text), ("i", Kind::Int), ("l", Kind::BigInt), ("b", Kind::Bit), ("x", Kind::Binary)];
    let values = [
        Value::Text("[x]".to_owned()),
        Value::Int(-3),
        Value::BigInt(1 << 40),
        Value::Bit(true),
        Value::Binary(vec![0, 255]),
    ];
    RowSet {
        columns: columns.map(|(name, kind)| (name.to_owned(), kind)).to_vec(),
        rows: vec![values.to_vec(), [const { Value::Null }; 5].to_vec()],
    }
}

/// A scene that is served with a certificate of the authority's.
async fn serve_scene() -> (Arc<Scene>, Authority, Server) {
    let (scene, authority) = (Arc::new(Scene::default()), Authority::new().unwrap());
    let certificate = authority.certify(&["localhost"]).unwrap();
    let server = Server::start(Arc::clone(&scene) as Arc<dyn Instance>, certificate).await.unwrap();
    (scene, authority, server)
}

/// A batch without parameters, to its end.
async fn run(connection: &mut client::Connection, batch: &str) -> tiberius::Result<Vec<Vec<tiberius::Row>>> {
    connection.simple_query(batch).await?.into_results().await
}

#[tokio::test]
async fn the_right_password_opens_a_session_and_the_end_of_the_connection_closes_it() {
    let (scene, authority, server) = serve_scene().await;
    let caller = Caller { at: server.address(), authority: &authority };
    let mut config = client::config(NAME, PASSWORD);
    config.database("sales");
    let connection = caller.log_in_with(config).await.unwrap();
    assert_eq!(scene.lock().log_ins, ["app-01/orders/sales"]);
    assert_eq!(scene.lock().open, [51]);
    connection.close().await.unwrap();
    while !scene.lock().open.is_empty() {
        tokio::task::yield_now().await;
    }
}

#[tokio::test]
async fn a_wrong_password_is_message_18456_and_opens_nothing() {
    let (scene, authority, server) = serve_scene().await;
    let caller = Caller { at: server.address(), authority: &authority };
    for (login, password) in [(NAME, "wrong"), ("nobody", PASSWORD), (NAME, "")] {
        let error = caller.log_in(login, password).await.map(|_| ()).unwrap_err();
        assert_eq!(error.code(), Some(18456), "{error}");
        assert!(error.to_string().contains(&format!("Login failed for user '{login}'.")), "{error}");
    }
    assert_eq!(scene.lock().log_ins.len(), 3);
    assert!(scene.lock().open.is_empty());
}

#[tokio::test]
async fn a_client_that_does_not_encrypt_never_gets_to_say_its_password() {
    let (scene, _, server) = serve_scene().await;
    let stream = TcpStream::connect(server.address()).await.unwrap();
    let refused = tiberius::Client::connect(client::config(NAME, PASSWORD), stream.compat()).await;
    assert!(refused.is_err());
    assert!(scene.lock().log_ins.is_empty());
}

#[tokio::test]
async fn a_certificate_that_nobody_vouches_for_is_refused_by_a_client_that_looks() {
    let (scene, authority) = (Arc::new(Scene::default()), Authority::new().unwrap());
    let instance = Arc::clone(&scene) as Arc<dyn Instance>;
    let server = Server::start(instance, Certificate::self_signed().unwrap()).await.unwrap();
    let caller = Caller { at: server.address(), authority: &authority };
    let error = caller.log_in(NAME, PASSWORD).await.map(|_| ()).unwrap_err();
    assert!(error.to_string().contains("certificate"), "{error}");
    assert!(scene.lock().log_ins.is_empty());
}

#[tokio::test]
async fn tds_8_comes_with_tls_first() {
    let (_, authority, server) = serve_scene().await;
    let caller = Caller { at: server.address(), authority: &authority };
    let mut connection = caller.log_in_strictly(NAME, PASSWORD).await.unwrap();
    let rows = connection.simple_query("SELECT twice").await.unwrap().into_results().await.unwrap();
    assert_eq!(rows.len(), 2);
    let error = caller.log_in_strictly(NAME, "wrong").await.map(|_| ()).unwrap_err();
    assert_eq!(error.code(), Some(18456));
}

#[tokio::test]
async fn rows_of_every_type_arrive_as_they_were_sent() {
    let (_, authority, server) = serve_scene().await;
    let mut connection = Caller { at: server.address(), authority: &authority }.log_in(NAME, PASSWORD).await.unwrap();
    let rows = connection.simple_query("SELECT types").await.unwrap().into_first_result().await.unwrap();
    let row = &rows[0];
    assert_eq!((row.get::<&str, _>("t"), row.get::<i32, _>("i")), (Some("[x]"), Some(-3)));
    assert_eq!((row.get::<i64, _>("l"), row.get::<bool, _>("b")), (Some(1 << 40), Some(true)));
    assert_eq!(row.get::<&[u8], _>("x"), Some(&[0u8, 255][..]));
    assert_eq!((rows[1].get::<&str, _>("t"), rows[1].get::<i32, _>("i")), (None, None));
    assert_eq!((rows[1].get::<i64, _>("l"), rows[1].get::<bool, _>("b")), (None, None));
    assert_eq!(rows[1].get::<&[u8], _>("x"), None);
}

#[tokio::test]
async fn answers_longer_than_a_packet_arrive_whole() {
    let (_, authority, server) = serve_scene().await;
    let mut connection = Caller { at: server.address(), authority: &authority }.log_in(NAME, PASSWORD).await.unwrap();
    let rows = connection.simple_query("SELECT long").await.unwrap().into_first_result().await.unwrap();
    let texts: Vec<&str> = rows.iter().filter_map(|row| row.get(0)).collect();
    assert_eq!(texts, ["ö".repeat(9000).as_str(), "short"]);
}

#[tokio::test]
async fn a_statement_that_fails_has_its_number_and_the_session_goes_on() {
    let (_, authority, server) = serve_scene().await;
    let mut connection = Caller { at: server.address(), authority: &authority }.log_in(NAME, PASSWORD).await.unwrap();
    for _ in 0..2 {
        let error = run(&mut connection, "NONSENSE").await.unwrap_err();
        assert_eq!(error.code(), Some(15151), "{error}");
        run(&mut connection, "ALTER").await.unwrap();
    }
}

#[tokio::test]
async fn parameters_arrive_with_their_types() {
    let (scene, authority, server) = serve_scene().await;
    let mut connection = Caller { at: server.address(), authority: &authority }.log_in(NAME, PASSWORD).await.unwrap();
    let (text, number) = ("it's ö", 7i32);
    let long = "x".repeat(5000);
    let rows = connection.query("SELECT twice", &[&text, &number, &true, &long.as_str(), &Option::<i32>::None]).await;
    assert_eq!(rows.unwrap().into_results().await.unwrap().len(), 2);
    let parameters = scene.lock().requests[0].parameters.clone();
    let values: Vec<Value> = parameters.into_iter().map(|(_, value)| value).collect();
    let expected = [Value::Text(text.to_owned()), Value::Int(7), Value::Bit(true), Value::Text(long), Value::Null];
    assert_eq!(values, expected);
}

#[tokio::test]
async fn a_service_that_is_stopped_answers_nobody() {
    let (scene, authority, server) = serve_scene().await;
    scene.lock().stopped = true;
    let refused = Caller { at: server.address(), authority: &authority }.log_in(NAME, PASSWORD).await;
    assert_eq!(refused.map(|_| ()).unwrap_err().code(), None, "no answer is no message of SQL Server's");
    assert!(scene.lock().log_ins.is_empty());
}

#[tokio::test]
async fn a_server_that_is_dropped_hangs_up() {
    let (scene, authority, server) = serve_scene().await;
    let caller = Caller { at: server.address(), authority: &authority };
    let mut connection = caller.log_in(NAME, PASSWORD).await.unwrap();
    drop(server);
    while !scene.lock().open.is_empty() {
        tokio::task::yield_now().await;
    }
    assert!(run(&mut connection, "ALTER").await.is_err());
}
