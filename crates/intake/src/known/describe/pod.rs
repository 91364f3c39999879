//! The fields of a described pod and of its containers.

use jiff::Timestamp;
use sunup_evidence::object::{
    Condition, Container, ContainerPort, ContainerState, ContainerStatus, EnvVar, HttpGet,
    IntOrString, Map, OwnerReference, Pod, Probe, Running, TcpSocket, Terminated, Waiting,
};

use super::line::Line;

pub(super) fn map_of<'p>(pod: &'p mut Pod, key: &str) -> &'p mut Map {
    if key == "Labels" { &mut pod.metadata.labels } else { &mut pod.metadata.annotations }
}

pub(super) fn pair(map: &mut Map, text: &str, mark: char) {
    if let Some((key, value)) = text.split_once(mark).filter(|(key, _)| !key.contains(' ')) {
        map.insert(key.to_owned(), value.trim().to_owned());
    }
}

pub(super) fn top(pod: &mut Pod, key: &str, value: &str) {
    let some = || Some(value.to_owned()).filter(|v| !v.is_empty() && v != "<none>");
    let Pod { metadata, spec, status } = pod;
    match key {
        "Name" => metadata.name = value.to_owned(),
        "Namespace" => metadata.namespace = some(),
        "Node" => spec.node_name = some().map(|v| v.split('/').next().unwrap_or("").to_owned()),
        "Service Account" => spec.service_account_name = some(),
        "Start Time" => status.start_time = date(value).map(|at| at.to_string()),
        "Status" => status.phase = some().map(|v| v.split(' ').next().unwrap_or("").to_owned()),
        "Reason" => status.reason = some(),
        "IP" => status.pod_ip = some(),
        "Message" => status.message = some(),
        "Controlled By" => {
            if let Some((kind, name)) = value.split_once('/') {
                metadata.owner_references.push(OwnerReference {
                    kind: kind.to_owned(),
                    name: name.to_owned(),
                    controller: Some(true),
                });
            }
        }
        _ => {}
    }
}

pub(super) fn containers(pod: &mut Pod, lines: &[&Line<'_>], init: bool) {
    let Some(base) = base(lines) else { return };
    let starts: Vec<usize> = (0..lines.len())
        .filter(|i| lines[*i].indent == base && lines[*i].text.ends_with(':'))
        .collect();
    for (i, start) in starts.iter().enumerate() {
        let end = starts.get(i + 1).copied().unwrap_or(lines.len());
        let name = lines[*start].text.trim_end_matches(':');
        let (container, status) = container(name, &lines[start + 1..end]);
        if init {
            pod.spec.init_containers.push(container);
            pod.status.init_container_statuses.push(status);
        } else {
            pod.spec.containers.push(container);
            pod.status.container_statuses.push(status);
        }
    }
}

/// A container of which the lines are there, and its name was known otherwise.
pub(super) fn one_container(pod: &mut Pod, name: &str, lines: &[&Line<'_>]) {
    let (container, status) = container(name, lines);
    pod.spec.containers.push(container);
    pod.status.container_statuses.push(status);
}

fn container(name: &str, lines: &[&Line<'_>]) -> (Container, ContainerStatus) {
    let mut container = Container { name: name.to_owned(), ..Container::default() };
    let mut status = ContainerStatus { name: name.to_owned(), ..ContainerStatus::default() };
    let Some(base) = base(lines) else { return (container, status) };
    let mut field = "";
    for line in lines {
        if line.text.is_empty() {
            // An argument may be empty: `-x` of istio-init's mostly is.
            if field == "Args" {
                container.args.push(String::new());
            }
            continue;
        }
        let (key, value) = line.text.split_once(':').unwrap_or((line.text, ""));
        let value = value.trim();
        if line.indent == base {
            field = key;
            match key {
                "Image" => container.image = value.to_owned(),
                "Ready" => status.ready = value == "True",
                "Restart Count" => status.restart_count = value.parse().unwrap_or(0),
                "State" => begin(&mut status.state, value),
                "Last State" => begin(&mut status.last_state, value),
                "Restart Policy" => {
                    container.restart_policy = Some(value.to_owned()).filter(|v| !v.is_empty());
                }
                "Port" | "Ports" => ports(&mut container, value),
                "Liveness" => container.liveness_probe = probe(value),
                "Readiness" => container.readiness_probe = probe(value),
                "Startup" => container.startup_probe = probe(value),
                _ => {}
            }
            continue;
        }
        match field {
            "State" => detail(&mut status.state, key, value),
            "Last State" => detail(&mut status.last_state, key, value),
            "Limits" => drop(container.resources.limits.insert(key.to_owned(), value.to_owned())),
            "Requests" => {
                drop(container.resources.requests.insert(key.to_owned(), value.to_owned()))
            }
            "Command" => container.command.push(line.text.to_owned()),
            "Args" => container.args.push(line.text.to_owned()),
            "Environment" if !value.is_empty() => container.env.push(EnvVar {
                name: key.to_owned(),
                // What comes from elsewhere is printed as `<set to the key …>` or `(v1:…)`.
                value: (!value.starts_with('<') && !value.ends_with(')')).then(|| value.to_owned()),
            }),
            _ => {}
        }
    }
    (container, status)
}

fn begin(state: &mut ContainerState, word: &str) {
    match word {
        "Waiting" => state.waiting = Some(Waiting::default()),
        "Running" => state.running = Some(Running::default()),
        "Terminated" => state.terminated = Some(Terminated::default()),
        _ => {}
    }
}

fn detail(state: &mut ContainerState, key: &str, value: &str) {
    let text = || Some(value.to_owned()).filter(|v| !v.is_empty());
    let time = || date(value).map(|at| at.to_string());
    if let Some(waiting) = &mut state.waiting {
        match key {
            "Reason" => waiting.reason = text(),
            "Message" => waiting.message = text(),
            _ => {}
        }
    }
    if let Some(running) = &mut state.running
        && key == "Started"
    {
        running.started_at = time();
    }
    if let Some(ended) = &mut state.terminated {
        match key {
            "Reason" => ended.reason = text(),
            "Message" => ended.message = text(),
            "Exit Code" => ended.exit_code = value.parse().unwrap_or_default(),
            "Started" => ended.started_at = time(),
            "Finished" => ended.finished_at = time(),
            _ => {}
        }
    }
}

/// The indentation of the outermost lines.
fn base(lines: &[&Line<'_>]) -> Option<usize> {
    lines.iter().filter(|line| !line.text.is_empty()).map(|line| line.indent).min()
}

/// `8080/TCP`, `15021/TCP, 15443/TCP`.
fn ports(container: &mut Container, value: &str) {
    for port in value.split(',') {
        let Some((number, protocol)) = port.trim().split_once('/') else { continue };
        if let Ok(container_port) = number.parse() {
            let protocol = Some(protocol.to_owned());
            container.ports.push(ContainerPort {
                container_port,
                protocol,
                ..ContainerPort::default()
            });
        }
    }
}

/// `http-get http://:15021/healthz/ready delay=1s timeout=3s period=2s #success=1 #failure=30`.
fn probe(value: &str) -> Option<Probe> {
    let (kind, rest) = value.split_once(' ')?;
    let target = rest.split(" delay=").next()?;
    let field = |name: &str| {
        let (_, rest) = value.split_once(name)?;
        rest.split([' ', 's']).next()?.parse().ok()
    };
    let mut probe = Probe {
        initial_delay_seconds: field(" delay="),
        period_seconds: field(" period="),
        failure_threshold: field(" #failure="),
        ..Probe::default()
    };
    let port = |text: &str| {
        text.parse().map_or_else(|_| IntOrString::Name(text.to_owned()), IntOrString::Int)
    };
    match kind {
        "http-get" => {
            let (scheme, rest) = target.split_once("://")?;
            let (host, path) = rest.find('/').map_or((rest, ""), |at| rest.split_at(at));
            probe.http_get = Some(HttpGet {
                path: Some(path.to_owned()),
                port: Some(port(host.rsplit_once(':')?.1)),
                scheme: Some(scheme.to_ascii_uppercase()),
            });
        }
        "tcp-socket" => {
            probe.tcp_socket = Some(TcpSocket { port: Some(port(target.rsplit_once(':')?.1)) });
        }
        "exec" => {
            let words = target.trim_start_matches('[').trim_end_matches(']').split(' ');
            let command = words.map(str::to_owned).collect();
            probe.exec = Some(sunup_evidence::object::Exec { command });
        }
        _ => {}
    }
    Some(probe)
}

/// Rows `Type Status` below `Conditions:`.
pub(super) fn conditions(pod: &mut Pod, lines: &[&Line<'_>]) {
    for line in lines {
        let mut words = line.text.split_whitespace();
        if let (Some(kind), Some(status @ ("True" | "False" | "Unknown"))) =
            (words.next(), words.next())
        {
            let (kind, status) = (kind.to_owned(), status.to_owned());
            pod.status.conditions.push(Condition { kind, status, ..Condition::default() });
        }
    }
}

/// `Tue, 31 Mar 2020 10:41:15 +0000`.
fn date(text: &str) -> Option<Timestamp> {
    jiff::fmt::rfc2822::parse(text).ok().map(|zoned| zoned.timestamp())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn probes_as_they_are_printed() {
        let http = probe("http-get http://:15021/healthz/ready delay=1s timeout=3s period=2s #success=1 #failure=30")
            .expect("a probe");
        let get = http.http_get.expect("by HTTP");
        assert_eq!(get.path.as_deref(), Some("/healthz/ready"));
        assert_eq!(get.port, Some(IntOrString::Int(15021)));
        assert_eq!((http.initial_delay_seconds, http.period_seconds), (Some(1), Some(2)));
        assert_eq!(http.failure_threshold, Some(30));
        let tcp = probe("tcp-socket :http delay=0s timeout=1s period=10s #success=1 #failure=3");
        let port = tcp.and_then(|p| p.tcp_socket).and_then(|s| s.port);
        assert_eq!(port, Some(IntOrString::Name("http".to_owned())));
        let exec = probe("exec [cat /tmp/ok] delay=0s").and_then(|p| p.exec).expect("a command");
        assert_eq!(exec.command, ["cat", "/tmp/ok"]);
        for text in ["", "http-get", "http-get x", "http-get http://", "tcp-socket x", "exec"] {
            assert_eq!(probe(text), None, "{text}");
        }
    }
}
