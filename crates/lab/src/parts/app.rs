//! An application that needs another host before it can serve: it connects when it starts, as
//! services do to their database, and ends, or tries again, when that fails.

use std::time::{Duration, Instant};

use super::common::{PATIENCE, get, milliseconds, now, option, say};
use super::server;

/// `--connect-env NAME` or `--connect HOST:PORT`, `--listen PORT` (on all addresses, or on the one
/// behind `--bind`), `--retry MS` (otherwise it ends),
/// `--wait-for HOST:PORT` (asks there first, until it answers), `--every MS` (goes on asking),
/// `--at-end MS` (goes on asking so long after SIGTERM, unless it is refused), `--timeout MS`,
/// `--then-exit` (a job).
pub(super) fn run(arguments: &[String]) -> anyhow::Result<i32> {
    let begun = Instant::now();
    let to = match (option(arguments, "connect-env"), option(arguments, "connect")) {
        (Some(name), _) => std::env::var(name)?,
        (None, Some(to)) => to.to_owned(),
        (None, None) => anyhow::bail!("app: --connect or --connect-env"),
    };
    let to = authority(&to);
    let retry = milliseconds(arguments, "retry")?;
    let timeout = milliseconds(arguments, "timeout")?.unwrap_or(PATIENCE);
    log("info", "starting");
    if let Some(ready) = option(arguments, "wait-for") {
        while get(ready, Duration::from_secs(1)).is_err() {
            std::thread::sleep(Duration::from_millis(100));
        }
    }
    loop {
        match get(&to, timeout) {
            Ok((peer, status)) => {
                let ms = begun.elapsed().as_millis();
                log("info", &format!("first answer from {peer} ({status}) after {ms} ms"));
                break;
            }
            Err(error) => {
                log("fatal", &format!("cannot reach {to}: {error}"));
                let Some(pause) = retry else { return Ok(1) };
                std::thread::sleep(pause);
            }
        }
    }
    if arguments.iter().any(|a| a == "--then-exit") {
        log("info", "done");
        return Ok(0);
    }
    if let Some(more) = milliseconds(arguments, "at-end")? {
        let to = to.clone();
        std::thread::spawn(move || finish(&to, more, timeout));
    }
    if let Some(every) = milliseconds(arguments, "every")? {
        std::thread::spawn(move || ask_again(&to, every, timeout));
    }
    match option(arguments, "listen") {
        Some(port) => {
            let address = option(arguments, "bind").map(str::parse).transpose()?;
            if let Some(address) = address {
                log("info", &format!("listening on {address}:{port}"));
            }
            server::listen(address, port.parse()?)
        }
        None => loop {
            std::thread::sleep(Duration::from_secs(3600));
        },
    }
}

/// Tells each failure, and the success after it.
fn ask_again(to: &str, every: Duration, timeout: Duration) {
    let mut failing = false;
    loop {
        std::thread::sleep(every);
        match get(to, timeout) {
            Ok((peer, _)) if failing => {
                failing = false;
                log("info", &format!("answers again from {peer}"));
            }
            Ok(_) => {}
            Err(error) => {
                failing = true;
                log("error", &format!("request to {to} failed: {error}"));
            }
        }
    }
}

/// What is still to be written is written, after SIGTERM.
fn finish(to: &str, more: Duration, timeout: Duration) {
    if sunup_sys::signal::wait_for_end().is_err() {
        return;
    }
    log("info", "SIGTERM: finishing what is open");
    let begun = Instant::now();
    while begun.elapsed() < more {
        if let Err(error) = get(to, timeout) {
            // A connection that was open may break; one that can't be made is the end.
            log("error", &format!("last writes to {to} are lost: {error}"));
            if error.contains("refused") {
                std::process::exit(1);
            }
        }
        std::thread::sleep(Duration::from_millis(100));
    }
    log("info", "all is written");
    std::process::exit(0);
}

/// `db:5432` of `postgres://user@db:5432/name`.
fn authority(url: &str) -> String {
    let rest = url.split_once("://").map_or(url, |(_, rest)| rest);
    let authority = rest.split('/').next().unwrap_or(rest);
    authority.rsplit_once('@').map_or(authority, |(_, host)| host).to_owned()
}

fn log(level: &str, text: &str) {
    say(&format!("{{\"level\":\"{level}\",\"ts\":\"{}\",\"msg\":\"{text}\"}}", now()));
}

#[cfg(test)]
mod tests {
    use super::authority;

    #[test]
    fn an_address_is_found_in_a_url() {
        for (url, expected) in [
            ("postgres://orders@10.30.4.7:5432/orders", "10.30.4.7:5432"),
            ("redis:6379", "redis:6379"),
            ("http://api.shop/", "api.shop"),
        ] {
            assert_eq!(authority(url), expected);
        }
    }
}
