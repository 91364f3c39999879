//! A stand-in for Istio's proxy image: pilot-agent around a data plane. It listens on nothing
//! before it has its configuration, as Envoy doesn't, and says what pilot-agent says.
//!
//! The data plane is the real Envoy where there is one (`SUNUP_LAB_ENVOY`), otherwise Sunup's
//! proxy, started late. How long istiod takes to hand out the configuration is
//! `SUNUP_LAB_CONFIG_MS`; where it is asked for it over the network, `SUNUP_LAB_CONTROL_PLANE`. Listeners of a gateway, which istiod would send, are read from the file
//! that Sunup's gateway reads.

use std::net::{Ipv4Addr, TcpListener};
use std::process::{Child, Command};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use anyhow::Context as _;
use serde_json::{Value, json};

use super::agent;
use super::common::{connect, get, log};

/// Where a gateway's listeners are.
const LISTENERS: &str = "/etc/sunup/gateway.yaml";
/// Where Sunup's proxy has its agent while another one is played.
const PUT_ASIDE: u16 = 15029;
/// How often pilot-agent looks at Envoy here: often, so that the ready line has the right time.
const LOOK: Duration = Duration::from_millis(10);

/// `istio-iptables …`, or `proxy sidecar|router …`.
pub(super) fn run(arguments: &[String]) -> anyhow::Result<i32> {
    match arguments.first().map(String::as_str) {
        Some("proxy") => {}
        Some(_) => return other(arguments),
        None => anyhow::bail!("istio-proxy: proxy or istio-iptables"),
    }
    let router = arguments.get(1).is_some_and(|role| role == "router");
    let env = |name: &str| std::env::var(name).unwrap_or_default();
    let role = if router { "router" } else { "sidecar" };
    let (pod, ns, ip) = (env("POD_NAME"), env("POD_NAMESPACE"), env("INSTANCE_IP"));
    let said =
        format!("Proxy role: ips=[{ip}] type={role} id={pod}.{ns} domain={ns}.svc.cluster.local");
    log("info", &said);
    log("info", "Starting proxy agent");
    let child: Arc<Mutex<Option<Child>>> = Arc::default();
    drain_at_the_end(Arc::clone(&child));
    reach_control_plane();
    wait_for_configuration()?;
    let ports = if router { listeners()? } else { Vec::new() };
    if let Some((port, why)) = refused(&ports) {
        return rejected(port, &why);
    }
    *lock(&child) = Some(data_plane(role)?);
    let begun = Instant::now();
    let mut ready = false;
    let end = exit_after();
    loop {
        if let Some(status) = lock(&child).as_mut().map(Child::try_wait).transpose()?.flatten() {
            log("error", &format!("Epoch 0 exited with error: {status}"));
            return Ok(status.code().unwrap_or(1));
        }
        if !ready && get("127.0.0.1:15021", Duration::from_secs(1)).is_ok() {
            ready = true;
            log("info", "Envoy proxy is ready");
        }
        if end.is_some_and(|end| begun.elapsed() >= end) {
            kill(&child);
            log(
                "critical",
                "envoy backtrace\tCaught Segmentation fault, suspect faulting address 0x0",
            );
            log("error", "Epoch 0 exited with error: signal: segmentation fault");
            return Ok(255);
        }
        std::thread::sleep(if ready { LOOK * 10 } else { LOOK });
    }
}

/// pilot-agent's other commands are Sunup's; around its check of capture stands what istio-iptables
/// says.
fn other(arguments: &[String]) -> anyhow::Result<i32> {
    let check = arguments.iter().any(|a| a == "--run-validation");
    if check {
        let text = "Starting iptables validation. This check verifies that iptables rules are \
                    properly established for the network.";
        log("info", text);
    }
    let status = Command::new("sunup").args(arguments).status()?;
    if check && !status.success() {
        log("error", "iptables validation failed; workload is not ready for Istio.");
        log(
            "error",
            "When using Istio CNI, this can occur if a pod is scheduled before the node is ready.",
        );
    }
    Ok(status.code().unwrap_or(1))
}

fn lock(child: &Mutex<Option<Child>>) -> MutexGuard<'_, Option<Child>> {
    child.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Takes the data plane away: whoever watches it doesn't see it end.
fn kill(child: &Mutex<Option<Child>>) {
    if let Some(mut child) = lock(child).take() {
        let _ = child.kill();
        let _ = child.wait();
    }
}

/// SIGTERM: the agent lets the proxy go on for as long as its settings say, and ends with 0.
///
/// # Sources
/// istio/istio `pkg/envoy/agent.go`, `terminate`.
fn drain_at_the_end(child: Arc<Mutex<Option<Child>>>) {
    std::thread::spawn(move || {
        if sunup_sys::signal::wait_for_end().is_err() {
            return;
        }
        let config = std::env::var("PROXY_CONFIG").unwrap_or_default();
        let config: Value = serde_json::from_str(&config).unwrap_or_default();
        let set = config["terminationDrainDuration"].as_str().and_then(|t| t.strip_suffix('s'));
        let seconds = set.and_then(|t| t.parse().ok()).unwrap_or(5);
        log("info", "Agent draining Proxy for termination");
        log("info", &format!("Graceful termination period is {seconds}s, starting..."));
        std::thread::sleep(Duration::from_secs(seconds));
        log("info", "Graceful termination period complete, terminating remaining proxies.");
        kill(&child);
        std::process::exit(0);
    });
}

/// Dials the control plane until it answers, where the scenario has one.
fn reach_control_plane() {
    let Ok(to) = std::env::var("SUNUP_LAB_CONTROL_PLANE") else { return };
    while let Err(error) = connect(&to, Duration::from_secs(5)) {
        log("warn", &format!("xdsproxy\tfailed to connect to upstream {to}: {error}"));
        nothing_received();
        std::thread::sleep(Duration::from_secs(1));
    }
    log("info", &format!("xdsproxy\tconnected to delta upstream XDS server: {to}"));
}

/// A scenario may have the proxy crash once: this long after the first start in this pod.
fn exit_after() -> Option<Duration> {
    const MARK: &str = "/var/lib/istio/data/crashed";
    let ms = std::env::var("SUNUP_LAB_CRASH_MS").ok()?.parse().ok()?;
    std::fs::File::create_new(MARK).ok().map(|_| Duration::from_millis(ms))
}

fn wait_for_configuration() -> anyhow::Result<()> {
    let wait: u64 = match std::env::var("SUNUP_LAB_CONFIG_MS") {
        Ok(text) => text.parse().context("SUNUP_LAB_CONFIG_MS")?,
        Err(_) => 0,
    };
    let begun = Instant::now();
    let wait = Duration::from_millis(wait);
    while let Some(left) = wait.checked_sub(begun.elapsed()).filter(|left| !left.is_zero()) {
        nothing_received();
        std::thread::sleep(left.min(Duration::from_secs(1)));
    }
    Ok(())
}

fn nothing_received() {
    not_ready(
        "config not received from XDS server (is Istiod running?): cds updates: 0 successful, \
         0 rejected; lds updates: 0 successful, 0 rejected",
    );
}

fn not_ready(why: &str) {
    log("warn", &format!("Envoy proxy is NOT ready: {why}"));
}

/// A gateway's ports.
fn listeners() -> anyhow::Result<Vec<(u16, String)>> {
    let text = std::fs::read_to_string(LISTENERS).context(LISTENERS)?;
    let file: Value = serde_saphyr::from_str(&text).map_err(|e| anyhow::anyhow!("{e}"))?;
    let of = |l: &Value| {
        let port = u16::try_from(l["port"].as_u64()?).ok()?;
        Some((port, l["to"].as_str().unwrap_or_default().to_owned()))
    };
    Ok(file["listeners"].as_array().into_iter().flatten().filter_map(of).collect())
}

/// The first port that can't be bound, tried for real.
fn refused(ports: &[(u16, String)]) -> Option<(u16, String)> {
    ports.iter().find_map(|(port, _)| {
        let error = TcpListener::bind((Ipv4Addr::UNSPECIFIED, *port)).err()?;
        let why = match error.kind() {
            std::io::ErrorKind::PermissionDenied => "Permission denied".to_owned(),
            std::io::ErrorKind::AddrInUse => "Address already in use".to_owned(),
            _ => error.to_string(),
        };
        Some((*port, why))
    })
}

/// What Envoy and pilot-agent write when a listener is rejected: the gateway stays as it is.
fn rejected(port: u16, why: &str) -> anyhow::Result<i32> {
    let bind = format!("cannot bind '0.0.0.0:{port}': {why}");
    log(
        "warning",
        &format!(
            "envoy config external/envoy/source/extensions/config_subscription/grpc/\
             delta_subscription_state.cc:269\tdelta config for \
             type.googleapis.com/envoy.config.listener.v3.Listener rejected: Error \
             adding/updating listener(s) 0.0.0.0_{port}: {bind}\tthread=1"
        ),
    );
    loop {
        not_ready(
            "config received from XDS server, but was rejected: cds updates: 1 successful, 0 \
             rejected; lds updates: 0 successful, 1 rejected",
        );
        std::thread::sleep(Duration::from_secs(2));
    }
}

fn data_plane(role: &str) -> anyhow::Result<Child> {
    let Some(envoy) = std::env::var_os("SUNUP_LAB_ENVOY") else {
        // It shares capture's ports as Envoy does.
        let mut command = Command::new("sunup");
        command.env("SUNUP_SHARE_PORTS", "true");
        command.args(["proxy", role, "--log_output_level=default:warn"]);
        // It serves the agent's port itself, unless that is to be as pilot-agent does it.
        if std::env::var_os("SUNUP_LAB_AGENT").is_some() {
            command.args(["--agent-port", &PUT_ASIDE.to_string()]);
            agent::serve();
        }
        return command.spawn().context("starting Sunup's proxy");
    };
    let format = "%Y-%m-%dT%T.%fZ\t%l\tenvoy %n %g:%#\t%v\tthread=%t";
    let config = bootstrap(&if role == "router" { listeners()? } else { Vec::new() });
    let mut command = Command::new(envoy);
    command.args(["--config-yaml", &config.to_string(), "--concurrency", "1"]);
    command.args(["--disable-hot-restart", "--log-level", "warning", "--log-format", format]);
    agent::serve();
    command.spawn().context("starting Envoy")
}

/// Envoy's configuration: what is captured goes on to where it was going, from the proxy's user or
/// with its mark; a gateway's listeners; readiness on 15021.
fn bootstrap(gateway: &[(u16, String)]) -> Value {
    const PACKAGE: &str = "type.googleapis.com/envoy.extensions.filters";
    let typed = |what: &str, mut value: Value| {
        value["@type"] = format!("{PACKAGE}.{what}").into();
        value
    };
    let at = |port: u16| json!({"socket_address": {"address": "0.0.0.0", "port_value": port}});
    let tcp = |cluster: &str| {
        let config = typed(
            "network.tcp_proxy.v3.TcpProxy",
            json!({"stat_prefix": cluster, "cluster": cluster}),
        );
        json!([{"filters": [{"name": "envoy.filters.network.tcp_proxy", "typed_config": config}]}])
    };
    let captured = |name: &str, port: u16| {
        let original = typed("listener.original_dst.v3.OriginalDst", json!({}));
        json!({"name": name, "address": at(port), "filter_chains": tcp(name),
            "listener_filters": [{"name": "envoy.filters.listener.original_dst",
                "typed_config": original}]})
    };
    let onward = |name: &str, source: &str| {
        let mut bind = json!({"source_address": {"address": source, "port_value": 0}});
        if let Some(mark) =
            std::env::var("SUNUP_PROXY_MARK").ok().and_then(|m| m.parse::<u32>().ok())
        {
            // SOL_SOCKET, SO_MARK.
            bind["socket_options"] = json!([{"level": 1, "name": 36, "int_value": mark,
                "state": "STATE_PREBIND"}]);
        }
        json!({"name": name, "type": "ORIGINAL_DST", "lb_policy": "CLUSTER_PROVIDED",
            "connect_timeout": "10s", "upstream_bind_config": bind})
    };
    let router = typed("http.router.v3.Router", json!({}));
    let health = typed(
        "network.http_connection_manager.v3.HttpConnectionManager",
        json!({"stat_prefix": "health",
            "http_filters": [{"name": "envoy.filters.http.router", "typed_config": router}],
            "route_config": {"virtual_hosts": [{"name": "all", "domains": ["*"], "routes": [
                {"match": {"prefix": "/"}, "direct_response": {"status": 200}}]}]}}),
    );
    let mut listeners = vec![
        captured("outbound", 15001),
        captured("inbound", 15006),
        json!({"name": "health", "address": at(15021), "filter_chains": [{"filters": [
            {"name": "envoy.filters.network.http_connection_manager", "typed_config": health}]}]}),
    ];
    let mut clusters = vec![onward("outbound", "0.0.0.0"), onward("inbound", "127.0.0.6")];
    for (port, to) in gateway {
        let name = format!("0.0.0.0_{port}");
        listeners.push(json!({"name": name, "address": at(*port), "filter_chains": tcp(&name)}));
        let (host, target) = to.rsplit_once(':').unwrap_or((to, "80"));
        let address = json!({"socket_address": {"address": host,
            "port_value": target.parse::<u16>().unwrap_or(80)}});
        clusters.push(json!({"name": name, "type": "STRICT_DNS", "connect_timeout": "5s",
            "load_assignment": {"cluster_name": name, "endpoints": [{"lb_endpoints": [
                {"endpoint": {"address": address}}]}]}}));
    }
    json!({"static_resources": {"listeners": listeners, "clusters": clusters}})
}
