//! Stand-ins for programs that scenarios need and a machine may lack: an application, what it
//! connects to, Vault and its agent, and Istio's proxy. Each does on the network what the real one
//! does, and writes what the real one writes where people look for it.
//!
//! They are started as `sunup lab-part NAME ARGUMENTS…`, in containers.

mod agent;
mod app;
mod common;
mod istio;
mod server;
mod vault;

use common::{err, option};

/// Runs one of them; its exit code.
#[must_use]
pub fn run(name: &str, arguments: &[String]) -> i32 {
    // Those that have something to do at their end take the signal themselves.
    let own_end = match name {
        "app" => option(arguments, "at-end").is_some(),
        "istio-proxy" => arguments.first().is_some_and(|a| a == "proxy"),
        _ => false,
    };
    let signals = match own_end {
        true => sunup_sys::signal::hold_back_end(),
        false => sunup_sys::signal::exit_on_end(),
    };
    let done = signals.map_err(anyhow::Error::from).and_then(|()| match name {
        "app" => app::run(arguments),
        "server" => server::run(arguments),
        "vault" => vault::serve(arguments),
        "vault-agent" => vault::agent(arguments),
        "istio-proxy" => istio::run(arguments),
        _ => anyhow::bail!("the lab has no part {name}"),
    });
    done.unwrap_or_else(|error| {
        err(&format!("{error:#}"));
        2
    })
}
