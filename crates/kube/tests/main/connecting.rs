//! Ways to a cluster: plugins that give credentials, proxies, addresses where nobody is.

use std::io::{Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use sunup_kube::{ConnectError, Wanted, connect};

use crate::world::{World, names, shop, write};

fn plugin(folder: &Path, script: &str) -> String {
    let path = folder.join("plugin");
    std::fs::write(&path, format!("#!/bin/sh\n{script}\n")).unwrap();
    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o755)).unwrap();
    exec(&path.display().to_string())
}

fn exec(command: &str) -> String {
    format!(
        "{{exec: {{apiVersion: client.authentication.k8s.io/v1, command: \"{command}\", \
         interactiveMode: Never}}}}"
    )
}

fn wanted(path: &Path) -> Wanted {
    Wanted { kubeconfig: Some(path.to_owned()), ..Wanted::default() }
}

const TOKEN: &str = r#"n=$(cat "$0.count" 2>/dev/null || echo 0); echo $((n+1)) >"$0.count"
echo '{"apiVersion":"client.authentication.k8s.io/v1","kind":"ExecCredential",
"status":{"token":"fresh","expirationTimestamp":"2020-01-01T00:00:00Z"}}'"#;

#[test]
fn a_plugins_token_is_used_and_asked_for_again_when_it_has_expired() {
    let world = World::new();
    *world.api.token.lock().unwrap() = Some("fresh".to_owned());
    let user = plugin(world.folder.path(), TOKEN);
    let path = world.kubeconfig(&user, "");
    let cluster = world.runtime.block_on(connect(&wanted(&path))).unwrap();
    let (collected, pieces) = world.ask(&cluster, &shop());
    assert_eq!(collected.unwrap().gaps, []);
    assert!(names(&pieces).contains(&"pods.json"));
    let runs = std::fs::read_to_string(world.folder.path().join("plugin.count")).unwrap();
    assert!(runs.trim().parse::<u32>().unwrap() > 1, "an expired token was used again");
}

#[test]
fn a_token_is_found_in_what_a_plugin_of_the_old_kind_prints() {
    let world = World::new();
    *world.api.token.lock().unwrap() = Some("old".to_owned());
    let folder = world.folder.path();
    let printed = r#"{"credential": {"tokens": [{"access_token": "old"}], "until": "no time"}}"#;
    plugin(folder, &format!("echo '{printed}'"));
    let user = |keys: &str| {
        format!(
            "{{auth-provider: {{name: gcp, config: {{cmd-path: \"{}\", {keys}}}}}}}",
            folder.join("plugin").display()
        )
    };
    let key = "token-key: \"{.credential.tokens[0].access_token}\"";
    let path = world.kubeconfig(&user(key), "");
    let cluster = world.runtime.block_on(connect(&wanted(&path))).unwrap();
    let (collected, _) = world.ask(&cluster, &shop());
    assert_eq!(collected.unwrap().gaps, []);
    for (keys, told) in [
        ("token-key: \"{.credential.token}\"", "not found"),
        ("token-key: \"{.credential.tokens[*].access_token}\"", "only names and numbers"),
        (
            "token-key: \"{.credential.tokens[0]['access_token']}\", expiry-key: \"{.credential.until}\"",
            "expiration",
        ),
    ] {
        let path = world.kubeconfig(&user(keys), "");
        let error = world.runtime.block_on(connect(&wanted(&path))).unwrap_err().to_string();
        assert!(error.contains(told), "{keys}: {error}");
    }
}

#[test]
fn a_plugin_that_fails_or_is_missing_is_named_with_what_it_said() {
    let world = World::new();
    let folder = world.folder.path();
    let failing = plugin(folder, "echo 'token is revoked, run: cloud login' >&2; exit 3");
    let silent = |user: &str| {
        let path = world.kubeconfig(user, "");
        world.runtime.block_on(connect(&wanted(&path))).unwrap_err().to_string()
    };
    let error = silent(&failing);
    assert!(error.contains("credentials of u:"), "{error}");
    assert!(error.contains("exit status: 3): token is revoked, run: cloud login"), "{error}");
    let error = silent(&exec("no-such-plugin-anywhere"));
    assert!(error.contains("no-such-plugin-anywhere is not installed"), "{error}");
    let error = silent(&plugin(folder, "echo hello"));
    assert!(error.contains("printed no ExecCredential"), "{error}");
    assert_eq!(world.asked("GET"), 0);
}

/// A proxy that makes tunnels, and counts them.
fn proxy(refuses: bool) -> (String, Arc<AtomicUsize>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap().to_string();
    let tunnels = Arc::new(AtomicUsize::new(0));
    let count = Arc::clone(&tunnels);
    std::thread::spawn(move || {
        for client in listener.incoming() {
            let (mut client, count) = (client.unwrap(), Arc::clone(&count));
            std::thread::spawn(move || tunnel(&mut client, refuses, &count));
        }
    });
    (address, tunnels)
}

fn tunnel(client: &mut TcpStream, refuses: bool, count: &AtomicUsize) {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        let mut byte = [0];
        if client.read(&mut byte).unwrap_or(0) == 0 {
            return;
        }
        head.push(byte[0]);
    }
    let head = String::from_utf8(head).unwrap();
    let target = head.strip_prefix("CONNECT ").unwrap().split(' ').next().unwrap().to_owned();
    if refuses {
        client.write_all(b"HTTP/1.1 407 Proxy Authentication Required\r\n\r\n").unwrap();
        return;
    }
    count.fetch_add(1, Ordering::SeqCst);
    let mut server = TcpStream::connect(target).unwrap();
    client.write_all(b"HTTP/1.1 200 OK\r\n\r\n").unwrap();
    let (mut back, mut there) = (server.try_clone().unwrap(), client.try_clone().unwrap());
    std::thread::spawn(move || std::io::copy(&mut back, &mut there));
    let _ = std::io::copy(client, &mut server);
}

#[test]
fn a_proxy_is_gone_through_and_one_that_refuses_is_named() {
    let world = World::new();
    let (address, tunnels) = proxy(false);
    let path = world.kubeconfig("{}", &format!(", proxy-url: \"http://{address}\""));
    let cluster = world.runtime.block_on(connect(&wanted(&path))).unwrap();
    let (collected, _) = world.ask(&cluster, &shop());
    assert_eq!(collected.unwrap().gaps, []);
    assert!(tunnels.load(Ordering::SeqCst) > 0);
    let (address, _) = proxy(true);
    let path = world.kubeconfig("{}", &format!(", proxy-url: \"http://{address}\""));
    let cluster = world.runtime.block_on(connect(&wanted(&path))).unwrap();
    let error = world.ask(&cluster, &shop()).0.unwrap_err().to_string();
    assert!(error.contains("can't be reached") && error.contains("prox"), "{error}");
}

#[test]
fn an_address_where_nobody_listens_is_said_so() {
    let world = World::new();
    let free = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let path = world.folder.path().join("other");
    write(&path, &free.to_string(), "{}", "");
    let cluster = world.runtime.block_on(connect(&wanted(&path))).unwrap();
    let error = world.ask(&cluster, &shop()).0.unwrap_err().to_string();
    assert!(error.contains("can't be reached: Connection refused"), "{error}");
}

#[test]
fn kubeconfigs_that_are_missing_or_broken_are_named() {
    let world = World::new();
    let at = |path: &Path| world.runtime.block_on(connect(&wanted(path))).unwrap_err();
    let missing = world.folder.path().join("missing");
    assert!(matches!(at(&missing), ConnectError::NoKubeconfig(_)));
    let broken = world.folder.path().join("broken");
    std::fs::write(&broken, "{contexts: [").unwrap();
    assert!(matches!(at(&broken), ConnectError::Kubeconfig(_)));
}
