//! A change is judged by what it adds: the action's script and the hook of pre-commit, on repositories
//! of the test's own.

use std::path::Path;
use std::process::{Command, Output};

use sunup_testkit::require;

use super::kit::{GATEWAY, HEALTHY, Run, folder, write};

fn script() -> String {
    concat!(env!("CARGO_MANIFEST_DIR"), "/../../integrations/check-change").to_owned()
}

/// As whoever commits has it, without settings of the machine.
fn git(repository: &Path, arguments: &[&str]) -> String {
    let out = Command::new("git")
        .current_dir(repository)
        .args(["-c", "user.name=x", "-c", "user.email=x@x", "-c", "commit.gpgsign=false"])
        .args(arguments)
        .env("GIT_CONFIG_GLOBAL", "/dev/null")
        .output()
        .expect("git is there");
    assert!(out.status.success(), "{arguments:?}: {}", String::from_utf8_lossy(&out.stderr));
    String::from_utf8(out.stdout).expect("UTF-8").trim().to_owned()
}

fn commit(repository: &Path) -> String {
    git(repository, &["add", "-A"]);
    git(repository, &["commit", "-qm", "x"]);
    git(repository, &["rev-parse", "HEAD"])
}

fn check(folder: &Path, arguments: &[&str], settings: &[(&str, &str)]) -> Run {
    let mut command = Command::new(script());
    command.current_dir(folder).args(arguments).env("SUNUP", env!("CARGO_BIN_EXE_sunup"));
    for name in ["FORMAT", "FAIL_ON", "SARIF"] {
        command.env_remove(name);
    }
    let out: Output = command.envs(settings.iter().copied()).output().expect("it starts");
    out.into()
}

#[test]
fn only_what_a_change_adds_is_told() {
    let repository = folder(&[("k8s/gateway.yaml", GATEWAY), ("k8s/settings.yaml", HEALTHY)]);
    let here = repository.path();
    git(here, &["init", "-q"]);
    let base = commit(here);
    let second = GATEWAY.replace("way-in", "side-door");
    assert_ne!(second, GATEWAY);

    let same = check(here, &[&base], &[]);
    assert_eq!(same.code, 0, "{same:?}");
    write(here, "k8s/second.yaml", second.as_bytes());
    commit(here);
    let more = check(here, &[&base, "k8s"], &[("FORMAT", "github"), ("SARIF", "out.sarif")]);
    assert_eq!(more.code, 1, "{more:?}");
    assert!(
        more.out.contains("k8s/second.yaml") && !more.out.contains("k8s/gateway.yaml"),
        "{more:?}"
    );
    let sarif = std::fs::read_to_string(here.join("out.sarif")).expect("written");
    assert!(sarif.contains("k8s/second.yaml") && !sarif.contains("k8s/gateway.yaml"), "{sarif}");
    let below = check(&here.join("k8s"), &[&base, "second.yaml"], &[]);
    assert_eq!(below.code, 1, "a file that the base has not: {below:?}");
    let never = check(here, &[&base], &[("FAIL_ON", "never")]);
    assert_eq!(never.code, 0, "{never:?}");
    assert_eq!(git(here, &["worktree", "list"]).lines().count(), 1, "nothing is left behind");
}

#[test]
fn what_keeps_a_change_from_being_judged_is_said() {
    let repository = folder(&[("gateway.yaml", GATEWAY)]);
    let here = repository.path();
    git(here, &["init", "-q"]);
    let base = commit(here);
    let nowhere = check(here, &["0123456789012345678901234567890123456789"], &[]);
    assert_eq!(nowhere.code, 2);
    assert!(nowhere.err.contains("fetch it"), "{nowhere:?}");
    let usage = check(here, &[], &[]);
    assert!(usage.code == 2 && usage.out.contains("check-change BASE [PATH"), "{usage:?}");
    let missing = check(here, &[&base], &[("SUNUP", "no-such-program")]);
    assert!(missing.code == 2 && missing.err.contains("name it with SUNUP"), "{missing:?}");
    let gone = check(here, &[&base, "gone.yaml"], &[]);
    assert_eq!(gone.code, 0, "{gone:?}");
}

#[test]
fn the_hook_of_pre_commit_stops_a_commit() {
    let found = std::env::var_os("SUNUP_PRE_COMMIT").map(std::path::PathBuf::from);
    let part = "pre-commit (SUNUP_PRE_COMMIT)";
    let Some(program) = require("the_hook_of_pre_commit_stops_a_commit", part, found) else {
        return;
    };
    let hooks =
        folder(&[(".pre-commit-hooks.yaml", include_str!("../../../../.pre-commit-hooks.yaml"))]);
    git(hooks.path(), &["init", "-q"]);
    let revision = commit(hooks.path());
    let repository = folder(&[("gateway.yaml", GATEWAY), ("settings.yaml", HEALTHY)]);
    let here = repository.path();
    git(here, &["init", "-q"]);
    write(
        here,
        ".pre-commit-config.yaml",
        format!(
            "repos:\n- repo: {}\n  rev: {revision}\n  hooks: [{{id: sunup}}]\n",
            hooks.path().display()
        )
        .as_bytes(),
    );
    git(here, &["add", "-A"]);
    let program_folder = Path::new(env!("CARGO_BIN_EXE_sunup")).parent().expect("a folder");
    let path = std::env::var("PATH").unwrap_or_default();
    let hook = |file: &str| -> Run {
        let out = Command::new(&program)
            .current_dir(here)
            .args(["run", "--files", file])
            .env("PATH", format!("{}:{path}", program_folder.display()))
            .env("PRE_COMMIT_HOME", hooks.path().join("home"))
            .output();
        out.expect("it starts").into()
    };
    let bad = hook("gateway.yaml");
    assert!(bad.code == 1 && bad.out.contains("gateway-privileged-port"), "{bad:?}");
    let good = hook("settings.yaml");
    assert_eq!(good.code, 0, "{good:?}");
}
