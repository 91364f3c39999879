//! Texts of several things, cut.

use super::*;

/// Parts as `line: command's verb and name: first line`.
fn cut(text: &str) -> Vec<String> {
    let parts = split(text);
    let told = |part: &Part<'_>| {
        let command = part.command.as_ref().map_or(String::new(), |command| {
            format!("{:?} {}", command.verb, command.name.as_deref().unwrap_or("-"))
        });
        let lines: Vec<&str> = part.text.lines().collect();
        format!("{}: {command}: {} ({})", part.lines_before + 1, lines[0], lines.len())
    };
    parts.iter().map(told).collect()
}

#[test]
fn a_session_is_cut_at_its_prompts() {
    let text = "$ kubectl get pods \\\n    -n shop\nNAME    READY   STATUS\nweb-0   1/2     Running\n\n$ kubectl logs web-0 -c app\n2026-10-02T07:14:05Z up\nand more\n$ date -u\nFri Aug 23 16:12:20 UTC 2024\n$\n";
    assert!(is_marked(text));
    assert_eq!(
        cut(text),
        [
            "3: Get -: NAME    READY   STATUS (2)",
            "7: Logs web-0: 2026-10-02T07:14:05Z up (2)",
            "10: Other -: Fri Aug 23 16:12:20 UTC 2024 (1)"
        ]
    );
    let whose = split(text)[1].whose(&ContainerKey::default(), &attribution::Names::default());
    assert_eq!((whose.pod.as_deref(), whose.container.as_deref()), (Some("web-0"), Some("app")));
}

#[test]
fn a_ticket_is_cut_at_its_fences_and_prose_is_left_out() {
    let text = "# It is broken\n\nHi, the pod does not start, and we see `kubectl logs web-0`:\n\n```\nerror: dial tcp 10.0.0.1:6379: connect: connection refused\n```\n\nThe connection is refused because it is early.\n\n```yaml\napiVersion: v1\nkind: Pod\n```\nThanks!\n";
    assert!(is_marked(text));
    assert_eq!(
        cut(text),
        [
            "6: Logs web-0: error: dial tcp 10.0.0.1:6379: connect: connection refused (1)",
            "12: : apiVersion: v1 (2)"
        ]
    );
}

#[test]
fn outputs_one_below_the_other() {
    let text = "Here is what we see:\nName:         web-0\nNamespace:    shop\nEvents:\n  Type  Reason\n\nNAME    READY   STATUS\nweb-0   1/2     Running\n\nNAME    COMPLETIONS   AGE\njob     0/1           3m\n\n2026-10-02T07:14:05Z up\n\nThat is all that we know about it, please help us.\n";
    assert!(is_mixed(text) && !is_marked(text));
    assert_eq!(
        cut(text),
        [
            "2: : Name:         web-0 (4)",
            "7: : NAME    READY   STATUS (2)",
            "10: : NAME    COMPLETIONS   AGE (2)",
            "13: : 2026-10-02T07:14:05Z up (1)"
        ]
    );
}

#[test]
fn titles_say_whose_log_it_is() {
    let text = "==> web-0.app.log <==\nup\n\n==> web-0.istio-proxy.log <==\nready\n=== pod/db-0 container postgres namespace shop ===\nlistening\n";
    assert!(is_marked(text));
    let names = attribution::Names::default();
    let whose: Vec<_> = split(text)
        .iter()
        .map(|part| part.whose(&ContainerKey::default(), &names))
        .map(|w| (w.namespace, w.pod.unwrap_or_default(), w.container.unwrap_or_default()))
        .collect();
    let own = |ns: Option<&str>, pod: &str, c: &str| {
        (ns.map(str::to_owned), pod.to_owned(), c.to_owned())
    };
    assert_eq!(
        whose,
        [
            own(None, "web-0", "app"),
            own(None, "web-0", "istio-proxy"),
            own(Some("shop"), "db-0", "postgres")
        ]
    );
}

#[test]
fn one_thing_alone_is_not_several() {
    for text in [
        "2026-10-02T07:14:05Z up\n\n2026-10-02T07:14:06Z The server is up and it listens now.\n",
        "# kubectl apply -f this.yaml\napiVersion: v1\nkind: Pod\n",
        "#!/bin/sh\nkubectl get pods\n",
        "set -e\nif true; then\nkubectl get pods -n x\nfi\n",
        "# This makes the pod of the shop, and it is needed.\n\napiVersion: v1\nkind: Pod\n",
        "Name:         web-0\nNamespace:    shop\n",
        "+ iptables -t nat -N X\niptables: No chain/target/match by that name.\n",
    ] {
        assert!(!is_marked(text) && !is_mixed(text), "{text}");
    }
}
