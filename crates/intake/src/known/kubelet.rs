//! Lines of the kubelet's own log: what it says of a pod is what it makes events of, so that it is
//! read as an event. Its lines name the pod they are about; they are no pod's log.
//!
//! # Sources
//! kubernetes/kubernetes `pkg/kubelet/prober/prober.go`, `pod_workers.go`, `kuberuntime_manager.go`,
//! releases 1.10 to 1.34; k8s.io/klog (`E0322 10:41:58.123456    1234 prober.go:107] …`);
//! `client-go/tools/record/event.go` (`Event(v1.ObjectReference{…}): type: 'Warning' reason: …`).

use jiff::Timestamp;
use sunup_evidence::decode::field_path;
use sunup_evidence::record::{Event, Place};
use sunup_logs::scan::Chunk;

use super::reason;
use crate::file::File;
use crate::kind::kind_of;
use crate::out::Out;
use crate::time;

/// Lines of the head that are looked at.
const HEAD_LINES: usize = 40;

/// Whether a text is a kubelet's log, with the journal's prefix or without.
pub(crate) fn is_kubelet(text: &str) -> bool {
    let lines = text.lines().filter(|line| !line.trim().is_empty()).take(HEAD_LINES);
    let (mut all, mut shaped, mut telling) = (0, 0, false);
    for line in lines {
        all += 1;
        shaped += usize::from(klog(line).is_some());
        telling |= line.contains(" kubelet[") || event(line, None).is_some();
    }
    telling && shaped * 2 >= all
}

/// Reads the lines that tell of events. One that quotes no time with a year has none.
pub(crate) fn lines(file: &File<'_>, chunk: &Chunk, out: &mut Out) {
    for (number, line) in chunk.lines() {
        let line = String::from_utf8_lossy(line);
        let at = time::rfc3339(&line).map(|(at, _)| at).or_else(|| time::of_text(&line));
        if let Some(mut event) = event(&line, at) {
            event.place = Some(Place::new(&file.label, number));
            out.event(event);
        }
    }
}

/// The event that a line of a kubelet tells of; `None` where it tells of none.
pub(crate) fn event(line: &str, at: Option<Timestamp>) -> Option<Event> {
    let text = klog(line)?;
    let mut event = recorded(text).or_else(|| structured(text)).or_else(|| plain(text))?;
    event.first = event.first.or(at);
    event.last = event.last.or(at);
    event.count = event.count.max(1);
    if event.container.is_none() {
        event.container = reason::container_of(&event.message).map(str::to_owned);
    }
    Some(event)
}

/// What stands behind klog's header: level and day, time, thread and the place in the source.
fn klog(line: &str) -> Option<&str> {
    let (head, text) = line.split_once("] ")?;
    let mut words = head.split_whitespace().rev();
    let (source, thread, time, day) = (words.next()?, words.next()?, words.next()?, words.next()?);
    let (file, number) = source.split_once(".go:")?;
    let digits = |text: &str| !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit());
    let (level, date) = day.split_at_checked(1)?;
    let shaped = !file.is_empty()
        && digits(number)
        && digits(thread)
        && time.len() >= 8
        && matches!(level, "I" | "W" | "E" | "F")
        && date.len() == 4
        && digits(date);
    shaped.then_some(text)
}

/// `Event(v1.ObjectReference{Kind:"Pod", Namespace:"shop", Name:"web-0", …, FieldPath:"spec.containers{app}"}):
/// type: 'Warning' reason: 'Unhealthy' Readiness probe failed: …`
fn recorded(text: &str) -> Option<Event> {
    let (_, rest) = text.split_once("Event(v1.ObjectReference{")?;
    let (of, rest) = rest.split_once("}): type: '")?;
    let (kind, rest) = rest.split_once("' reason: '")?;
    let (reason, message) = rest.split_once("' ")?;
    let field = |name: &str| {
        let (_, rest) = of.split_once(&format!("{name}:\""))?;
        rest.split('"').next().filter(|value| !value.is_empty()).map(str::to_owned)
    };
    let (container, init) = field_path(&field("FieldPath").unwrap_or_default());
    Some(Event {
        namespace: field("Namespace"),
        kind: kind_of(&field("Kind")?),
        name: Some(field("Name")?),
        container,
        init,
        reason: reason.to_owned(),
        message: message.trim().to_owned(),
        warning: kind == "Warning",
        ..Event::default()
    })
}

/// Words of structured lines, and the reason and the beginning of the event that goes with them.
const SAID: &[(&str, &str, &str)] = &[
    ("Probe failed", "Unhealthy", ""),
    ("Probe errored", "Unhealthy", ""),
    (
        "Failed to create sandbox for pod",
        "FailedCreatePodSandBox",
        "Failed to create pod sandbox: ",
    ),
    ("CreatePodSandbox for pod failed", "FailedCreatePodSandBox", "Failed to create pod sandbox: "),
    ("Unable to attach or mount volumes", "FailedMount", "Unable to attach or mount volumes: "),
    ("Failed to pull image", "Failed", "Failed to pull image: "),
    (
        "Exec lifecycle hook for Container in Pod failed",
        "FailedPostStartHook",
        "PostStartHook failed: ",
    ),
];

/// `"Probe failed" probeType="Readiness" pod="shop/web-0" … containerName="app" output="…"`, since
/// 1.19.
fn structured(text: &str) -> Option<Event> {
    let (said, rest) = text.strip_prefix('"')?.split_once('"')?;
    let field = |name: &str| value(rest, name);
    // client-go's recorder of later releases.
    if said == "Event occurred" {
        let (container, init) = field_path(&field("fieldPath").unwrap_or_default());
        let object = field("object")?;
        let (namespace, name) = object.split_once('/').unwrap_or(("", &object));
        return Some(Event {
            namespace: Some(namespace.to_owned()).filter(|ns| !ns.is_empty()),
            kind: kind_of(&field("kind")?),
            name: Some(name.to_owned()),
            container,
            init,
            reason: field("reason")?,
            message: field("message").unwrap_or_default(),
            warning: field("type").as_deref() == Some("Warning"),
            ..Event::default()
        });
    }
    let pod = field("pod").or_else(|| field("podName"))?;
    let (namespace, name) = pod.split_once('/')?;
    let of_pod = |reason: &str, message: String, container: Option<String>| Event {
        namespace: Some(namespace.to_owned()),
        kind: "Pod".to_owned(),
        name: Some(name.to_owned()),
        container,
        reason: reason.to_owned(),
        message,
        warning: true,
        ..Event::default()
    };
    if said == "Error syncing pod, skipping" || said == "Error syncing pod" {
        let why = field("err")?;
        return Some(syncing(&why, of_pod));
    }
    let (_, reason, front) = SAID.iter().find(|(words, ..)| said.starts_with(words))?;
    let why = field("output").or_else(|| field("err")).or_else(|| field("message"))?;
    let message = match field("probeType") {
        Some(kind) if said.starts_with("Probe errored") => format!("{kind} probe errored: {why}"),
        Some(kind) => format!("{kind} probe failed: {why}"),
        None => format!("{front}{why}"),
    };
    Some(of_pod(reason, message, field("containerName")))
}

/// What kept a pod from being brought into its state: `failed to "StartContainer" for "app" with
/// CrashLoopBackOff: "back-off 5m0s restarting failed container=app pod=…"`.
fn syncing(why: &str, of_pod: impl Fn(&str, String, Option<String>) -> Event) -> Event {
    let step = why.split_once("failed to \"").and_then(|(_, rest)| rest.split_once('"'));
    let Some((step, rest)) = step else { return of_pod("FailedSync", why.to_owned(), None) };
    let of = rest.split('"').nth(1).map(str::to_owned);
    let inner = rest.split_once(": ").map_or(rest, |(_, inner)| inner);
    let inner = inner.trim_matches(['[', ']', '"']).replace("\\\"", "\"");
    match step {
        "CreatePodSandbox" => {
            of_pod("FailedCreatePodSandBox", format!("Failed to create pod sandbox: {inner}"), None)
        }
        "StartContainer" if rest.contains("CrashLoopBackOff") => {
            let name = of.as_deref().unwrap_or_default();
            let message = format!("Back-off restarting failed container {name}: {inner}");
            of_pod("BackOff", message, of)
        }
        "StartContainer" => of_pod("Failed", format!("Error: {inner}"), of),
        _ => of_pod("FailedSync", format!("{step}: {inner}"), None),
    }
}

/// Lines of releases before 1.19, which quote what they are about: `Readiness probe for
/// "web-0_shop(uid):app" failed (failure): …`, `Error syncing pod uid ("web-0_shop(uid)"), skipping: …`.
fn plain(text: &str) -> Option<Event> {
    let pod = |full: &str| {
        let (name, rest) = full.split_once('_')?;
        let namespace = rest.split('(').next()?;
        Some((name.to_owned(), namespace.to_owned()))
    };
    if let Some((kind, rest)) = text.split_once(" probe for \"") {
        let (full, rest) = rest.split_once('"')?;
        let (name, namespace) = pod(full)?;
        let container = full.rsplit_once(':').map(|(_, container)| container.to_owned());
        let why = rest.split_once("): ").map_or(rest, |(_, why)| why);
        let failed = if rest.starts_with(" errored") { "errored" } else { "failed" };
        return Some(Event {
            namespace: Some(namespace),
            kind: "Pod".to_owned(),
            name: Some(name),
            container,
            reason: "Unhealthy".to_owned(),
            message: format!("{kind} probe {failed}: {}", why.trim()),
            warning: true,
            ..Event::default()
        });
    }
    let rest = text.strip_prefix("Error syncing pod ")?;
    let (_, rest) = rest.split_once("(\"")?;
    let (full, why) = rest.split_once("\"), skipping: ")?;
    let (name, namespace) = pod(full)?;
    Some(syncing(why, |reason, message, container| Event {
        namespace: Some(namespace.clone()),
        kind: "Pod".to_owned(),
        name: Some(name.clone()),
        container,
        reason: reason.to_owned(),
        message,
        warning: true,
        ..Event::default()
    }))
}

/// The value of `name="…"` in a structured line, its quotes' escapes undone. Values hold such
/// pairs themselves, so that they are read one after the other.
pub(crate) fn value(text: &str, name: &str) -> Option<String> {
    let mut rest = text.trim_start();
    while let Some((key, behind)) = rest.split_once('=') {
        let wanted = key == name;
        if let Some(quoted) = behind.strip_prefix('"') {
            let (value, after) = unquoted(quoted)?;
            if wanted {
                return Some(value);
            }
            rest = after.trim_start();
        } else {
            let (value, after) = behind.split_once(' ').unwrap_or((behind, ""));
            if wanted {
                return Some(value.to_owned()).filter(|value| !value.is_empty());
            }
            rest = after.trim_start();
        }
    }
    None
}

/// What stands up to the closing quote, and what behind it.
fn unquoted(quoted: &str) -> Option<(String, &str)> {
    let mut out = String::new();
    let mut chars = quoted.char_indices();
    while let Some((at, c)) = chars.next() {
        match c {
            '"' => return Some((out, &quoted[at + 1..])),
            '\\' => match chars.next()?.1 {
                'n' => out.push('\n'),
                't' => out.push('\t'),
                other => out.push(other),
            },
            other => out.push(other),
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    fn told(line: &str) -> Option<String> {
        event(line, None).map(|e| {
            let (ns, name) = (e.namespace.unwrap_or_default(), e.name.unwrap_or_default());
            let container = e.container.unwrap_or_default();
            format!("{} {ns}/{name} {container} {}: {}", e.kind, e.reason, e.message)
        })
    }

    #[test]
    fn what_a_kubelet_says_of_pods() {
        for (line, want) in [
            (
                r#"I1130 10:41:58.123456    1234 prober.go:107] "Probe failed" probeType="Readiness" pod="shop/web-0" podUID="6dfc" containerName="istio-proxy" probeResult="failure" output="HTTP probe failed with statuscode: 503""#,
                "Pod shop/web-0 istio-proxy Unhealthy: Readiness probe failed: HTTP probe failed with statuscode: 503",
            ),
            (
                r#"Nov 30 10:41:58 node-1 kubelet[1234]: E1130 10:41:58.123456    1234 pod_workers.go:1298] "Error syncing pod, skipping" err="failed to \"StartContainer\" for \"app\" with CrashLoopBackOff: \"back-off 5m0s restarting failed container=app pod=web-0_shop(6dfc)\"" pod="shop/web-0" podUID="6dfc""#,
                "Pod shop/web-0 app BackOff: Back-off restarting failed container app: back-off 5m0s restarting failed container=app pod=web-0_shop(6dfc)",
            ),
            (
                r#"E1130 10:41:58.123456    1234 pod_workers.go:951] "Error syncing pod, skipping" err="failed to \"CreatePodSandbox\" for \"web-0_shop(6dfc)\" with CreatePodSandboxError: \"Failed to create sandbox for pod: plugin type=\\\"istio-cni\\\" failed (add)\"" pod="shop/web-0""#,
                r#"Pod shop/web-0  FailedCreatePodSandBox: Failed to create pod sandbox: Failed to create sandbox for pod: plugin type="istio-cni" failed (add)"#,
            ),
            (
                r#"W0322 10:41:58.123456    1234 prober.go:108] Readiness probe for "web-0_shop(6dfc):istio-proxy" failed (failure): HTTP probe failed with statuscode: 503"#,
                "Pod shop/web-0 istio-proxy Unhealthy: Readiness probe failed: HTTP probe failed with statuscode: 503",
            ),
            (
                r#"I0322 10:41:58.123456    1234 event.go:281] Event(v1.ObjectReference{Kind:"Pod", Namespace:"shop", Name:"web-0", UID:"6dfc", APIVersion:"v1", ResourceVersion:"1", FieldPath:"spec.initContainers{istio-init}"}): type: 'Normal' reason: 'Started' Started container istio-init"#,
                "Pod shop/web-0 istio-init Started: Started container istio-init",
            ),
            (
                r#"I0322 10:41:58.123456    1234 event.go:376] "Event occurred" object="shop/web" fieldPath="" kind="Job" apiVersion="batch/v1" type="Normal" reason="SuccessfulCreate" message="Created pod: web-x7k2p""#,
                "Job shop/web  SuccessfulCreate: Created pod: web-x7k2p",
            ),
        ] {
            assert_eq!(told(line).as_deref(), Some(want), "{line}");
        }
    }

    #[test]
    fn what_is_none_of_its_lines() {
        for line in [
            "",
            "] ",
            "dial tcp 10.0.0.1:80: connect: connection refused",
            r#"I1130 10:41:58.123456    1234 server.go:1] "Started kubelet""#,
            r#"I1130 10:41:58.123456    1234 x.go:1] "Probe failed" pod="nobody""#,
            r#"I1130 10:41:58.123456    1234 x.go:1] "Probe failed" pod="a/b" output="never closed"#,
            r#"X1130 10:41:58.123456    1234 x.go:1] "Probe failed" pod="a/b" output="x""#,
            r#"[x.go:1] "Probe failed" pod="a/b" output="x""#,
        ] {
            assert_eq!(told(line), None, "{line}");
        }
        let hostile = format!(
            "I1130 10:41:58.123456    1234 x.go:1] \"Probe failed\" {}",
            "pod".repeat(100_000)
        );
        assert_eq!(told(&hostile), None);
    }
}
