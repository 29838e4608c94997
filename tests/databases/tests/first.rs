//! x
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test fails by panicking")]
use std::sync::LazyLock;
use database_tests::case::*;
use database_tests::server::Server;
static MARIADB: LazyLock<Server> = LazyLock::new(Server::mariadb);
static POSTGRES: LazyLock<Server> = LazyLock::new(Server::postgresql);

#[tokio::test(flavor="multi_thread")]
async fn maria() {
    MARIADB.prepare(None, &["CREATE DATABASE shop", "CREATE TABLE shop.t (a INT)", "CREATE USER app@'%' IDENTIFIED BY 'first'", "GRANT SELECT, INSERT ON shop.* TO app@'%'", "GRANT SELECT, INSERT, DELETE ON shop.* TO administrator@'%' WITH GRANT OPTION"]).await;
    let case = Case::new(&MARIADB, &value(&MARIADB, "app", "first"));
    println!("{:?}", case.rotate().await);
    println!("{:?}", case.rotate().await);
    assert!(case.lets_in(&case.current()).await);
    let cur = case.current()["password"].as_str().unwrap().to_owned();
    let case = Case::new(&MARIADB, &with_administrator(value(&MARIADB, "app", &cur)));
    println!("{:?}", case.rotate().await);
    println!("{:?}", case.rotate().await);
    println!("{:?}", case.rotate().await);
    assert!(case.lets_in(&case.current()).await);
}
#[tokio::test(flavor="multi_thread")]
async fn pg() {
    POSTGRES.prepare(None, &["CREATE ROLE administrator LOGIN CREATEROLE PASSWORD 'the-administrators-own-password'", "CREATE ROLE app LOGIN PASSWORD 'first'"]).await;
    let case = Case::new(&POSTGRES, &value(&POSTGRES, "app", "first"));
    println!("{:?}", case.rotate().await);
    println!("{:?}", case.rotate().await);
    let cur = case.current()["password"].as_str().unwrap().to_owned();
    let case = Case::new(&POSTGRES, &with_administrator(value(&POSTGRES, "app", &cur)));
    println!("{:?}", case.rotate().await);
    println!("{:?}", case.rotate().await);
    println!("{:?}", case.rotate().await);
}
