//! Scenarios with the built program: the fault happens, the doctor names exactly it, its fix is
//! applied, the pods come up and the doctor finds nothing; and under Sunup it doesn't happen.

use std::collections::{BTreeMap, BTreeSet};
use std::os::unix::fs::PermissionsExt as _;
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::time::{Duration, Instant};

use serde_json::Value;
use sunup_lab::scenario::{SHIPPED, Scenario};

fn sunup(arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_sunup"));
    command.args(arguments).stdin(Stdio::null());
    command
}

/// Whether a lab can be had here at all.
fn possible(test: &str) -> bool {
    let list = sunup(&["lab", "explore", "app-before-proxy", "--runs", "0"]).output().unwrap();
    let what = "network namespaces (root, or user.max_user_namespaces above zero)";
    sunup_testkit::require(test, what, list.status.success().then_some(())).is_some()
}

fn as_claimed(output: &Output, count: usize) {
    let said = String::from_utf8_lossy(&output.stdout);
    let value: Value = serde_json::from_str(&said).unwrap_or_else(|e| {
        panic!("{e}: {said}{}", String::from_utf8_lossy(&output.stderr));
    });
    let all = value["scenarios"].as_array().unwrap();
    for scenario in all {
        let name = &scenario["scenario"];
        assert_eq!(scenario["problems"], serde_json::json!([]), "{name}: {scenario:#}");
        assert!(!scenario["under_sunup"].as_str().unwrap().is_empty(), "{name}");
    }
    assert_eq!((all.len(), value["as_claimed"].as_bool()), (count, Some(true)));
    assert!(output.status.success());
}

fn demo(scenarios: &[&str], more: &[&str]) -> Command {
    let mut command = sunup(&["demo", "--format", "json", "--no-times"]);
    for scenario in scenarios {
        command.args(["--scenario", scenario]);
    }
    command.args(more);
    command
}

fn is_there(program: &str) -> bool {
    let versions = std::fs::read_dir("/usr/lib/postgresql").into_iter().flatten().flatten();
    let mut servers = versions.map(|v| v.path().join("bin").join(program));
    sunup_testkit::program(program).is_some() || servers.any(|file| file.is_file())
}

/// A rule is stable only where its fault was seen to happen: in a scenario of the lab, or, where a
/// cluster's own machinery makes it, in a run against an API server. Both declare their rule.
#[test]
fn a_stable_rule_has_a_scenario_or_a_recorded_run() {
    let scenarios = SHIPPED.iter().map(|(id, _)| Scenario::find(id).unwrap());
    let mut shown: BTreeSet<String> = scenarios.filter_map(|scenario| scenario.rule).collect();
    shown.extend(recorded());
    for meta in sunup_doctor::rules() {
        let stable = matches!(meta.status, sunup_doctor::Status::Stable { .. });
        assert!(!stable || shown.contains(meta.id), "{} is stable, and nothing shows it", meta.id);
    }
    for rule in &shown {
        let known = sunup_doctor::rules().find(|meta| meta.id == rule);
        let known = known.unwrap_or_else(|| panic!("{rule} is no rule"));
        let stable = matches!(known.status, sunup_doctor::Status::Stable { .. });
        assert!(stable, "{rule} is shown by a scenario or a run: it is stable");
    }
}

/// The rules that runs against an API server declare: `tests/admission/runs.rs` plays them.
fn recorded() -> Vec<String> {
    let runs = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/admission/runs");
    let files = std::fs::read_dir(&runs).unwrap().map(|entry| entry.unwrap().path());
    let rule = |file: PathBuf| {
        let run: toml::Table = std::fs::read_to_string(&file).unwrap().parse().unwrap();
        run["rule"].as_str().unwrap().to_owned()
    };
    files.map(rule).collect()
}

#[test]
fn every_scenario_goes_as_it_claims() {
    let test = "scenarios::every_scenario_goes_as_it_claims";
    if !possible(test) {
        return;
    }
    let rules: BTreeSet<&str> = sunup_doctor::rules().map(|rule| rule.id).collect();
    let root = sunup_sys::host::uid_exists(1337) && sunup_sys::ns::Namespace::try_new().is_some();
    let mut chosen = Vec::new();
    for (id, _) in SHIPPED {
        let scenario = Scenario::find(id).unwrap();
        if scenario.rule.as_deref().is_some_and(|rule| !rules.contains(rule)) {
            continue;
        }
        let missing = scenario.needs.iter().find(|need| match need.as_str() {
            "any-user" => !root,
            program => !is_there(program),
        });
        let found = missing.is_none().then_some(());
        let what = format!("{} for the scenario {id}", scenario.needs.join(", "));
        if sunup_testkit::require(test, &what, found).is_some() {
            chosen.push(*id);
        }
    }
    let output = demo(&chosen, &["--no-envoy"]).output().unwrap();
    as_claimed(&output, chosen.len());
}

#[test]
fn with_the_real_envoy_it_is_the_same() {
    let test = "scenarios::with_the_real_envoy_it_is_the_same";
    let given = std::env::var_os("SUNUP_ENVOY").map(PathBuf::from);
    let envoy = given.or_else(|| sunup_testkit::program("envoy"));
    let Some(envoy) = sunup_testkit::require(test, "Envoy", envoy) else { return };
    if !possible(test) {
        return;
    }
    let scenarios = ["app-before-proxy", "init-before-proxy-vault", "gateway-privileged-port"];
    let output = demo(&scenarios, &[]).env("SUNUP_ENVOY", envoy).output().unwrap();
    as_claimed(&output, scenarios.len());
}

#[test]
fn a_plain_user_sees_the_same_and_the_evidence_alone_tells() {
    let test = "scenarios::a_plain_user_sees_the_same_and_the_evidence_alone_tells";
    if !possible(test) {
        return;
    }
    // A place that anybody can reach, with a copy of the program: the build may be private.
    let folder = tempfile::tempdir().unwrap();
    std::fs::set_permissions(folder.path(), std::fs::Permissions::from_mode(0o777)).unwrap();
    let program = folder.path().join("sunup");
    std::fs::copy(env!("CARGO_BIN_EXE_sunup"), &program).unwrap();
    let keep = folder.path().join("keep");
    let root = sunup_sys::ns::Namespace::try_new().is_some();
    let scenarios = ["app-before-proxy", "init-before-proxy-vault", "gateway-privileged-port"];
    let mut command = Command::new(&program);
    command.args(["demo", "--format", "json", "--no-times", "--no-envoy", "--keep"]).arg(&keep);
    command.env("TMPDIR", folder.path()).current_dir("/").stdin(Stdio::null());
    if root {
        command.uid(65534).gid(65534);
    }
    as_claimed(&command.output().unwrap(), scenarios.len());
    for scenario in scenarios {
        let evidence = keep.join(scenario).join("fault");
        let output = sunup(&["doctor", "--format", "json"]).arg(&evidence).output().unwrap();
        let report: Value = serde_json::from_slice(&output.stdout).unwrap();
        let wanted = Scenario::find(scenario).unwrap();
        let findings = report["findings"].as_array().unwrap();
        assert_eq!(findings.len(), 1, "{report:#}");
        assert_eq!(findings[0]["rule"].as_str(), wanted.rule.as_deref());
        assert_eq!(findings[0]["verdict"], "confirmed");
        let subject = &findings[0]["subject"];
        let named =
            format!("{}/{}", subject["kind"].as_str().unwrap(), subject["name"].as_str().unwrap());
        assert_eq!(named, wanted.workload);
    }
}

#[test]
fn a_machine_that_allows_no_namespaces_is_told_what_to_change() {
    let test = "scenarios::a_machine_that_allows_no_namespaces_is_told_what_to_change";
    if !possible(test) {
        return;
    }
    let Some(setpriv) =
        sunup_testkit::require(test, "setpriv (util-linux)", sunup_testkit::program("setpriv"))
    else {
        return;
    };
    // The limit of a user namespace of the test's own; nobody there has any capability.
    let mut command = Command::new("sh");
    let off = "echo 0 >/proc/sys/user/max_user_namespaces && exec \"$@\"";
    command.args(["-c", off, "sh"]).arg(setpriv).args(["--bounding-set=-all", "--inh-caps=-all"]);
    command.args([env!("CARGO_BIN_EXE_sunup"), "demo"]).stdin(Stdio::null());
    sunup_sys::ns::in_user_namespace(&mut command);
    let output = command.output().unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(2), "{said}");
    assert!(said.contains("sudo sysctl user.max_user_namespaces="), "{said}");
}

#[test]
fn a_cloud_logging_export_tells_the_same() {
    let test = "scenarios::a_cloud_logging_export_tells_the_same";
    if !possible(test) {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let keep = folder.path().join("keep");
    let up = ["lab", "up", "app-before-proxy", "--no-envoy", "--cloud-logging", "--keep"];
    let output = sunup(&up).arg(&keep).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    assert!(String::from_utf8_lossy(&output.stdout).contains("CrashLoopBackOff"));
    let export = keep.join("cloud-logging.jsonl");
    let output = sunup(&["doctor", "-q"]).arg(&export).output().unwrap();
    let said = String::from_utf8_lossy(&output.stdout);
    assert!(said.contains("app-before-proxy"), "{said}");
}

#[test]
fn no_order_fails_under_the_gate_or_an_agent_and_many_do_without() {
    let test = "scenarios::no_order_fails_under_the_gate_or_an_agent_and_many_do_without";
    if !possible(test) {
        return;
    }
    let explore = |way: &str, more: &[&str]| {
        let line = ["lab", "explore", "app-before-proxy", "--runs", "24", "--no-envoy", "--inject"];
        sunup(&line).arg(way).args(more).output().unwrap()
    };
    let gated = explore("sunup-gate", &["--none-may-fail"]);
    let said = String::from_utf8_lossy(&gated.stdout);
    assert!(gated.status.success() && said.contains("answered          24"), "{said}");
    // The same pods as the control's, on a node with the agent.
    let agent = explore("node-agent", &["--none-may-fail"]);
    let said = String::from_utf8_lossy(&agent.stdout);
    assert!(agent.status.success() && said.contains("answered          24"), "{said}");
    let handed = said.lines().find_map(|line| line.trim().strip_prefix("the node agent handed "));
    let handed = handed.and_then(|rest| rest.split(' ').next()?.parse::<u32>().ok());
    assert!(handed.is_some_and(|handed| handed > 0), "{said}");
    let control = explore("scenario", &["--none-may-fail"]);
    let said = String::from_utf8_lossy(&control.stdout);
    assert!(control.status.code() == Some(1) && said.contains("refused"), "{said}");
}

#[test]
fn ctrl_c_leaves_nothing_behind() {
    let test = "scenarios::ctrl_c_leaves_nothing_behind";
    if !possible(test) {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let mut command =
        sunup(&["demo", "--no-envoy", "--no-times", "--scenario", "app-before-proxy"]);
    command.env("TMPDIR", folder.path()).stdout(Stdio::null()).stderr(Stdio::null());
    let mut child = command.spawn().unwrap();
    let until = |what: &str, so: &dyn Fn() -> bool| {
        let begun = Instant::now();
        while !so() {
            assert!(begun.elapsed() < Duration::from_secs(60), "never: {what}");
            std::thread::sleep(Duration::from_millis(20));
        }
    };
    // The lab, and containers in it.
    until("containers", &|| descendants(child.id()).len() >= 4);
    let started = descendants(child.id());
    let killed = Command::new("kill").args(["-s", "INT", &child.id().to_string()]).status();
    assert!(killed.unwrap().success());
    let status = child.wait().unwrap();
    assert_eq!(status.code(), Some(130));
    until("all ended", &|| {
        let now = processes();
        started.iter().all(|(pid, begun)| now.get(pid).is_none_or(|(_, then)| then != begun))
    });
    assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 0);
}

/// Every process: its parent and when it began.
fn processes() -> BTreeMap<u32, (u32, String)> {
    let mut all = BTreeMap::new();
    for entry in std::fs::read_dir(Path::new("/proc")).unwrap().flatten() {
        let Some(pid) = entry.file_name().to_str().and_then(|n| n.parse().ok()) else { continue };
        let Ok(stat) = std::fs::read_to_string(entry.path().join("stat")) else { continue };
        let Some((_, rest)) = stat.rsplit_once(')') else { continue };
        let words: Vec<&str> = rest.split_whitespace().collect();
        if let (Some(parent), Some(begun)) = (words.get(1), words.get(19))
            && words.first() != Some(&"Z")
        {
            all.insert(pid, (parent.parse().unwrap_or(0), (*begun).to_owned()));
        }
    }
    all
}

fn descendants(of: u32) -> Vec<(u32, String)> {
    let all = processes();
    let mut found = Vec::new();
    let mut queue = vec![of];
    while let Some(parent) = queue.pop() {
        for (pid, (_, begun)) in all.iter().filter(|(_, (p, _))| *p == parent) {
            found.push((*pid, begun.clone()));
            queue.push(*pid);
        }
    }
    found
}
