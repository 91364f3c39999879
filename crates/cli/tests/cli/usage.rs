//! Exit codes, help, and what is said of a command line that makes no sense.

use super::kit::{GATEWAY, HEALTHY, folder, run, run_with};

#[test]
fn the_exit_code_says_what_was_found() {
    let dir = folder(&[
        ("gateway.yaml", GATEWAY),
        ("settings.yaml", HEALTHY),
        ("broken.json", "{\"a\": [1,"),
    ]);
    let code = |arguments: &[&str]| {
        let line: Vec<&str> = ["doctor"].iter().chain(arguments).copied().collect();
        run(dir.path(), &line).code
    };
    assert_eq!(code(&["settings.yaml"]), 0);
    assert_eq!(code(&["gateway.yaml"]), 1);
    assert_eq!(code(&["gateway.yaml", "broken.json"]), 1, "a finding outweighs a broken file");
    assert_eq!(code(&["settings.yaml", "broken.json"]), 2);
    assert_eq!(code(&["settings.yaml", "not-there.yaml"]), 2);
    for (line, want) in [("possible", 1), ("likely", 0), ("confirmed", 0), ("never", 0)] {
        assert_eq!(code(&["--fail-on", line, "gateway.yaml"]), want, "--fail-on {line}");
    }
    assert_eq!(code(&["--fail-on=warning", "gateway.yaml"]), 1);
    assert_eq!(code(&["--fail-on=error", "gateway.yaml"]), 0, "so far it has only been warned of");
    assert_eq!(code(&["--fail-on=never", "gateway.yaml", "broken.json"]), 2);
}

#[test]
fn without_a_command_it_says_what_to_type_for_which_situation() {
    let dir = folder(&[]);
    let got = run(dir.path(), &[]);
    assert_eq!((got.code, got.out.as_str()), (2, ""));
    assert_eq!(got.err.lines().count(), 8, "{}", got.err);
    assert!(got.err.lines().all(|line| line.chars().count() <= 90), "{}", got.err);
    assert!(got.err.contains("sunup doctor --live -n NAMESPACE"), "{}", got.err);
}

/// A pod whose application was refused before its proxy was ready, and what became of it.
fn early(restarts: u32, state: &str, ready: bool) -> String {
    format!(
        "apiVersion: v1
kind: Pod
metadata: {{name: cart-6f7c9d8b5d-x2k4p, namespace: shop, uid: a}}
spec:
  initContainers: [{{name: istio-init}}]
  containers: [{{name: cart}}, {{name: istio-proxy}}]
status:
  phase: Running
  conditions: [{{type: Ready, status: \"{}\"}}]
  containerStatuses:
  - {{name: cart, ready: {ready}, restartCount: {restarts}, state: {state}}}
  - {{name: istio-proxy, ready: true, restartCount: 0, state: {{running: {{startedAt: \"2026-10-12T06:30:05Z\"}}}}}}
",
        if ready { "True" } else { "False" }
    )
}

#[test]
fn what_became_of_the_pod_decides_how_bad_it_is() {
    let up = "{running: {startedAt: \"2026-10-12T06:30:06Z\"}}";
    let down = "{waiting: {reason: CrashLoopBackOff}}";
    for (pod, code, level, annotation, said) in [
        (early(3, down, false), 1, "error", "::error ", ""),
        (early(1, up, true), 0, "warning", "::warning ", "after 1 restart"),
        (early(0, up, true), 0, "warning", "::warning ", "overcome without a restart"),
    ] {
        let refused =
            "2026-10-12T06:30:05.602Z FATAL dial tcp 10.20.0.9:9000: connect: connection refused\n";
        let ready = "2026-10-12T06:30:07.902Z info\tEnvoy proxy is ready\n";
        let dir = folder(&[
            ("pod.yaml", &pod),
            ("cart-6f7c9d8b5d-x2k4p.cart.log", refused),
            ("cart-6f7c9d8b5d-x2k4p.istio-proxy.log", ready),
        ]);
        let doctor = |format: &str| {
            run(dir.path(), &["doctor", "--fail-on", "error", "--format", format, "."])
        };
        let json = doctor("json");
        let report: serde_json::Value = serde_json::from_str(&json.out).unwrap();
        let finding = &report["findings"][0];
        assert_eq!((json.code, &finding["severity"]), (code, &level.into()), "{json:?}");
        let explanation = finding["explanation"].as_str().unwrap();
        assert!(explanation.contains(said), "{explanation}");
        let sarif: serde_json::Value = serde_json::from_str(&doctor("sarif").out).unwrap();
        assert_eq!(sarif["runs"][0]["results"][0]["level"], level, "{sarif:#}");
        let github = doctor("github");
        assert!(github.out.starts_with(annotation), "{github:?}");
        assert_eq!(github.code, code);
    }
}

#[test]
fn nothing_to_read_is_trouble_with_advice() {
    let dir = folder(&[("empty/.keep", "")]);
    for arguments in [&["doctor"][..], &["doctor", "empty"], &["doctor", "-"]] {
        let run = run(dir.path(), arguments);
        assert_eq!(run.code, 2, "{arguments:?}: {run:?}");
        assert!(run.err.contains("nothing to read"), "{arguments:?}: {run:?}");
    }
}

#[test]
fn a_rule_is_explained_and_a_misspelt_one_is_guessed() {
    let dir = folder(&[]);
    let list = run(dir.path(), &["rules"]);
    assert_eq!(list.code, 0, "{list:?}");
    let first = list.out.lines().find_map(|l| l.strip_prefix("  ")?.split("  ").next());
    let id = first.expect("a rule in the list");
    let page = run(dir.path(), &["rules", id]);
    assert!(page.code == 0 && page.out.contains("WHAT YOU SEE"), "{page:?}");
    assert!(page.out.lines().all(|l| l.starts_with("         ") || l.chars().count() <= 80));
    let markdown = run(dir.path(), &["rules", "--markdown", id]);
    assert!(markdown.out.starts_with(&format!("# {id}\n")), "{markdown:?}");
    let none = run(dir.path(), &["rules", &format!("{id}-not")]);
    assert!(none.code == 2 && none.err.contains("did you mean"), "{none:?}");
    assert!(none.err.contains(id), "{none:?}");
}

#[test]
fn an_ignore_with_a_reason_silences_and_an_idle_one_is_reported() {
    let annotated = |text: &str| {
        let with = format!("annotations:\n        sunup.dev/ignore: \"{text}\"");
        GATEWAY.replace("annotations:", &with)
    };
    let report = |text: &str| {
        let dir = folder(&[("gateway.yaml", &annotated(text))]);
        run(dir.path(), &["doctor", "--format", "json", "gateway.yaml"])
    };
    let plain = report("gateway-privileged-port: the nodes allow it");
    assert_eq!(plain.code, 0, "{plain:?}");
    assert!(plain.out.contains("\"look_alike\": \"ignored\""), "{plain:?}");
    for idle in ["gateway-privileged-port", "no-such-rule: because", "unused-ignore: because"] {
        let run = report(idle);
        assert!(run.code == 1 && run.out.contains("\"unused-ignore\""), "{idle}: {run:?}");
        assert!(run.out.contains("\"rule\": \"gateway-privileged-port\""), "{idle}: {run:?}");
    }
}

#[test]
fn wrong_usage_is_trouble_and_says_what_is_right() {
    let dir = folder(&[("a.yaml", HEALTHY)]);
    for (arguments, word) in [
        (&["doctor", "-w", "checkout", "a.yaml"][..], "KIND/NAME"),
        (&["doctor", "-w", "deplyment/a", "a.yaml"], "deploy, sts"),
        (&["doctor", "--since", "yesterday", "a.yaml"], "RFC 3339"),
        (&["doctor", "--since=1h", "--until=2h", "a.yaml"], "--until"),
        (&["doctor", "--format", "yaml", "a.yaml"], "json"),
        (&["doctor", "-", "-"], "once"),
        (&["doctor", "--nonsense"], "--nonsense"),
        (&["docter"], "doctor"),
    ] {
        let run = run(dir.path(), arguments);
        assert_eq!(run.code, 2, "{arguments:?}: {run:?}");
        assert!(run.err.contains(word), "{arguments:?}: {run:?}");
        assert!(run.out.is_empty(), "{arguments:?}: {run:?}");
    }
}

#[test]
fn help_has_examples_and_exit_codes() {
    let dir = folder(&[]);
    let long = run(dir.path(), &["doctor", "--help"]);
    assert_eq!(long.code, 0);
    for word in ["Examples:", "Exit codes:", "--fix[=<FIX_ID>]", "KIND/NAME", "--fail-on"] {
        assert!(long.out.contains(word), "{word}");
    }
    assert!(long.out.lines().all(|line| line.chars().count() <= 100), "{}", long.out);
    assert!(run(dir.path(), &["--version"]).out.starts_with("sunup "));
}

#[test]
fn standard_input_is_read_when_no_path_is_given_or_asked_for() {
    let dir = folder(&[("settings.yaml", HEALTHY)]);
    for arguments in [&["doctor"][..], &["doctor", "-"], &["doctor", "settings.yaml", "-"]] {
        let run = run_with(dir.path(), arguments, GATEWAY.as_bytes());
        assert_eq!(run.code, 1, "{arguments:?}: {run:?}");
        assert!(run.out.contains("gateway-privileged-port"), "{arguments:?}: {run:?}");
    }
    let only_the_file = run_with(dir.path(), &["doctor", "settings.yaml"], GATEWAY.as_bytes());
    assert_eq!(only_the_file.code, 0, "{only_the_file:?}");
}

#[test]
fn a_narrowed_run_sees_only_what_was_asked_for() {
    let dir = folder(&[("gateway.yaml", GATEWAY)]);
    let code = |options: &[&str]| {
        let line: Vec<&str> = ["doctor", "gateway.yaml"].iter().chain(options).copied().collect();
        run(dir.path(), &line).code
    };
    assert_eq!(code(&["-n", "edge"]), 1);
    assert_eq!(code(&["-w", "deploy/way-in"]), 1);
    assert_ne!(code(&["-n", "elsewhere"]), 1);
    assert_ne!(code(&["-w", "deploy/another"]), 1);
}
