//! Clients that are crates: what each prints when its first connection fails, bare and through
//! tracing. Without arguments it lists them; with a name it runs one against HOST and PORT.
//!
//! Not of the workspace: `install.sh` builds it beside its own dependencies. Must not know how its
//! output is read.

use std::error::Error;
use std::time::Duration;

type Outcome = Result<(), Box<dyn Error + Send + Sync>>;

const USER: &str = "app";
const PASSWORD: &str = "wrong-one";

const CLIENTS: &[(&str, u16, &str)] = &[
    ("redis", 6379, "redis"),
    ("redis-connection-manager", 6379, "redis"),
    ("tokio-postgres", 5432, "tokio-postgres"),
    ("deadpool-postgres", 5432, "deadpool-postgres"),
    ("sqlx-postgres", 5432, "sqlx"),
    ("sqlx-mysql", 3306, "sqlx"),
    ("reqwest", 8080, "reqwest"),
    ("ureq", 8080, "ureq"),
    ("tonic", 50051, "tonic"),
    ("lapin", 5672, "lapin"),
    ("async-nats", 4222, "async-nats"),
    ("rumqttc", 1883, "rumqttc"),
    ("tokio-net", 7000, "tokio"),
];

async fn run(name: &str, host: &str, port: u16) -> Outcome {
    let address = format!("{host}:{port}");
    let web = format!("http://{address}");
    match name {
        "redis" => {
            let client = redis::Client::open(format!("redis://:{PASSWORD}@{address}/"))?;
            let mut connection = client.get_multiplexed_async_connection().await?;
            redis::cmd("GET").arg("cart").query_async::<()>(&mut connection).await?;
        }
        "redis-connection-manager" => {
            let client = redis::Client::open(format!("redis://{address}/"))?;
            let config = redis::aio::ConnectionManagerConfig::new().set_number_of_retries(1);
            client.get_connection_manager_with_config(config).await?;
        }
        "tokio-postgres" => {
            let config = format!("host={host} port={port} user={USER} password={PASSWORD}");
            drop(tokio_postgres::connect(&config, tokio_postgres::NoTls).await?);
        }
        "deadpool-postgres" => {
            let mut config = deadpool_postgres::Config::new();
            config.host = Some(host.to_owned());
            config.port = Some(port);
            config.user = Some(USER.to_owned());
            config.password = Some(PASSWORD.to_owned());
            config.dbname = Some("shop".to_owned());
            drop(config.create_pool(None, tokio_postgres::NoTls)?.get().await?);
        }
        "sqlx-postgres" => {
            let url = format!("postgres://{USER}:{PASSWORD}@{address}/shop");
            let options = sqlx::postgres::PgPoolOptions::new();
            options.acquire_timeout(Duration::from_secs(4)).connect(&url).await?;
        }
        "sqlx-mysql" => {
            let url = format!("mysql://{USER}:{PASSWORD}@{address}/shop");
            let options = sqlx::mysql::MySqlPoolOptions::new();
            options.acquire_timeout(Duration::from_secs(4)).connect(&url).await?;
        }
        "reqwest" => {
            let client = reqwest::Client::builder().timeout(Duration::from_secs(4)).build()?;
            client.get(format!("{web}/orders")).send().await?.error_for_status()?;
        }
        "ureq" => {
            let request = ureq::get(format!("{web}/orders"));
            request.config().timeout_global(Some(Duration::from_secs(4))).build().call()?;
        }
        "tonic" => {
            let endpoint = tonic::transport::Endpoint::new(web)?;
            endpoint.connect_timeout(Duration::from_secs(4)).connect().await?;
        }
        "lapin" => {
            let url = format!("amqp://{USER}:{PASSWORD}@{address}/%2f");
            lapin::Connection::connect(&url, Default::default()).await?;
        }
        "async-nats" => {
            let options = async_nats::ConnectOptions::with_user_and_password(USER.into(), PASSWORD.into());
            options.connection_timeout(Duration::from_secs(4)).connect(address).await?;
        }
        "rumqttc" => {
            let mut options = rumqttc::MqttOptions::new("shop", host, port);
            options.set_credentials(USER, PASSWORD);
            let (_client, mut events) = rumqttc::AsyncClient::new(options, 10);
            loop {
                events.poll().await?;
            }
        }
        _ => {
            tokio::net::TcpStream::connect(address).await?;
        }
    }
    Ok(())
}

fn section(name: &str) {
    println!("\u{1e}{name}");
}

#[tokio::main]
async fn main() -> Outcome {
    let Some(name) = std::env::args().nth(1) else {
        for (name, port, packages) in CLIENTS {
            println!("{name}\t{port}\t{packages}");
        }
        return Ok(());
    };
    let host = std::env::var("HOST")?;
    let port = std::env::var("PORT")?.parse()?;
    tracing_subscriber::fmt().json().init();
    let limit = tokio::time::timeout(Duration::from_secs(8), run(&name, &host, port));
    let error = match limit.await {
        Ok(Ok(())) => {
            section("came up");
            return Ok(());
        }
        Ok(Err(error)) => error,
        Err(late) => late.into(),
    };
    section("tracing-json");
    tracing::error!(error = %error, "start failed");
    section("tracing-json-debug");
    tracing::error!(?error, "start failed");
    section("tracing-json-source");
    tracing::error!(error = error.as_ref() as &(dyn Error + 'static), "start failed");
    section("chain");
    let mut cause: Option<&dyn Error> = Some(error.as_ref());
    let mut told = String::from("start failed");
    while let Some(one) = cause {
        told = format!("{told}: {one}");
        cause = one.source();
    }
    eprintln!("{told}");
    section("main");
    Err(error)
}
