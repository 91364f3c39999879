//! Vault as far as a pod's start needs it, and the agent that Vault's injector puts into pods:
//! `vault-agent-init` logs in over the network, writes the secrets and ends.

use std::io::{Read as _, Write as _};
use std::path::Path;
use std::time::Duration;

use super::common::{PATIENCE, connect, in_go, now, option, say};
use super::server;

/// `--listen PORT`.
pub(super) fn serve(arguments: &[String]) -> anyhow::Result<i32> {
    let port = option(arguments, "listen").unwrap_or("8200").parse()?;
    say("==> Vault server started! Log data will stream in below:");
    server::answer(None, port, |head| {
        let body = if head.contains("/v1/auth/") {
            r#"{"auth": {"client_token": "a token of the lab", "lease_duration": 3600}}"#
        } else {
            r#"{"data": {"data": {"password": "a secret of the lab"}}}"#
        };
        ("200 OK", body.to_owned())
    })
}

/// Logs in at `VAULT_ADDR`, trying again with the agent's back-off, writes
/// `/vault/secrets/config` and ends.
pub(super) fn agent(arguments: &[String]) -> anyhow::Result<i32> {
    let address = std::env::var("VAULT_ADDR")?;
    let authority = address.split_once("://").map_or(&*address, |(_, rest)| rest);
    let authority = authority.trim_end_matches('/');
    let path = "/v1/auth/kubernetes/login";
    say("==> Vault Agent started! Log data will stream in below:");
    let log = |level: &str, text: &str| say(&format!("{} [{level}] {text}", now()));
    log("INFO ", "agent.auth.handler: starting auth handler");
    let mut pause = Duration::from_secs(1);
    loop {
        log("INFO ", "agent.auth.handler: authenticating");
        match request(authority, path) {
            Ok(()) => break,
            Err(error) => {
                let seconds = pause.as_secs_f64();
                let text = format!(
                    "agent.auth.handler: error authenticating: error=\"Put \\\"{address}{path}\\\": \
                     {error}\" backoff={seconds:.2}s"
                );
                log("ERROR", &text);
            }
        }
        std::thread::sleep(pause);
        pause = (pause * 2).min(Duration::from_secs(300));
    }
    log("INFO ", "agent.auth.handler: authentication successful, sending token to sinks");
    let secrets = Path::new(option(arguments, "secrets").unwrap_or("/vault/secrets"));
    std::fs::create_dir_all(secrets)?;
    std::fs::write(secrets.join("config"), "password=a secret of the lab\n")?;
    log("INFO ", "agent.template.server: template server stopped");
    Ok(0)
}

fn request(authority: &str, path: &str) -> Result<(), String> {
    let mut stream = connect(authority, PATIENCE)?;
    let text = format!(
        "PUT {path} HTTP/1.1\r\nHost: {authority}\r\nContent-Length: 2\r\nConnection: close\r\n\r\n{{}}"
    );
    let mut answer = String::new();
    stream
        .set_read_timeout(Some(PATIENCE))
        .and_then(|()| stream.write_all(text.as_bytes()))
        .and_then(|()| stream.read_to_string(&mut answer))
        .map_err(|error| in_go(&error, ""))?;
    if answer.starts_with("HTTP/1.1 200") { Ok(()) } else { Err("EOF".to_owned()) }
}
