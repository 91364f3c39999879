//! `--fix` on real files: what is written, what is left alone, and that twice is once.

use std::fs;

use super::kit::{GATEWAY, HEALTHY, folder, run, run_with};

const FIXED: &str = "net.ipv4.ip_unprivileged_port_start";

#[test]
fn a_fix_is_written_once_and_only_where_it_belongs() {
    let dir = folder(&[("k8s/gateway.yaml", GATEWAY), ("k8s/settings.yaml", HEALTHY)]);
    let path = dir.path().join("k8s/gateway.yaml");
    let shown = run(dir.path(), &["doctor", "k8s"]);
    assert!(shown.out.contains("sunup doctor --fix k8s") && shown.out.contains(FIXED), "{shown:?}");
    assert_eq!(fs::read_to_string(&path).expect("there"), GATEWAY, "the default writes nothing");

    let fixed = run(dir.path(), &["doctor", "--fix", "k8s"]);
    assert_eq!(fixed.code, 0, "{fixed:?}");
    assert!(
        fixed.out.contains("+++ b/gateway.yaml") || fixed.out.contains("+++ b/k8s/gateway.yaml"),
        "{fixed:?}"
    );
    assert!(fixed.out.contains("No start-up fault found"), "{fixed:?}");
    let after = fs::read_to_string(&path).expect("there");
    let kept: Vec<&str> =
        after.lines().filter(|line| GATEWAY.lines().any(|old| old == *line)).collect();
    assert_eq!(kept, GATEWAY.lines().collect::<Vec<_>>(), "every line of before is still there");
    assert!(after.contains(FIXED));
    assert_eq!(fs::read_to_string(dir.path().join("k8s/settings.yaml")).expect("there"), HEALTHY);

    let again = run(dir.path(), &["doctor", "--fix", "k8s"]);
    assert_eq!(again.code, 0, "{again:?}");
    assert_eq!(fs::read_to_string(&path).expect("there"), after, "a second run changes no byte");
    assert_eq!(
        fs::read_dir(dir.path().join("k8s")).expect("readable").count(),
        2,
        "no file left behind"
    );
}

#[test]
fn with_json_the_diff_stays_out_of_the_document() {
    let dir = folder(&[("gateway.yaml", GATEWAY)]);
    let fixed = run(dir.path(), &["doctor", "--fix", "--format=json", "gateway.yaml"]);
    let report: serde_json::Value = serde_json::from_str(&fixed.out).expect("JSON alone");
    assert_eq!(report["findings"].as_array().map(Vec::len), Some(0));
    assert!(fixed.err.contains(FIXED), "{fixed:?}");
}

#[test]
fn a_fix_that_nobody_offers_is_named_with_those_there_are() {
    let dir = folder(&[("gateway.yaml", GATEWAY)]);
    let run = run(dir.path(), &["doctor", "--fix=nonsense", "gateway.yaml"]);
    assert_eq!(run.code, 1, "{run:?}");
    assert!(run.err.contains("`nonsense`") && run.err.contains("gateway-sysctl"), "{run:?}");
    let text = fs::read_to_string(dir.path().join("gateway.yaml")).expect("there");
    assert_eq!(text, GATEWAY);
}

#[test]
fn what_cannot_be_edited_is_shown_and_left_alone() {
    let dir = folder(&[]);
    let run = run_with(dir.path(), &["doctor", "--fix"], GATEWAY.as_bytes());
    assert_eq!(run.code, 1, "{run:?}");
    assert!(run.out.contains(FIXED), "{run:?}");
    assert_eq!(fs::read_dir(dir.path()).expect("readable").count(), 0);
}

#[cfg(unix)]
#[test]
fn modes_and_links_survive_and_read_only_files_are_left_alone() {
    use std::os::unix::fs::{PermissionsExt as _, symlink};

    let dir = folder(&[("real/gateway.yaml", GATEWAY)]);
    let real = dir.path().join("real/gateway.yaml");
    let link = dir.path().join("gateway.yaml");
    symlink("real/gateway.yaml", &link).expect("linked");
    fs::set_permissions(&real, fs::Permissions::from_mode(0o444)).expect("set");
    let refused = run(dir.path(), &["doctor", "--fix", "gateway.yaml"]);
    assert_eq!(refused.code, 1, "{refused:?}");
    assert!(refused.out.contains("left alone") && refused.out.contains("read-only"), "{refused:?}");
    assert!(refused.out.contains(FIXED), "the diff is shown all the same: {refused:?}");
    assert_eq!(fs::read_to_string(&real).expect("there"), GATEWAY);

    fs::set_permissions(&real, fs::Permissions::from_mode(0o600)).expect("set");
    let fixed = run(dir.path(), &["doctor", "--fix", "gateway.yaml"]);
    assert_eq!(fixed.code, 0, "{fixed:?}");
    assert!(fs::symlink_metadata(&link).expect("there").is_symlink());
    assert_eq!(fs::metadata(&real).expect("there").permissions().mode() & 0o7777, 0o600);
}

#[cfg(unix)]
#[test]
fn a_link_in_a_folder_has_nothing_written_outside_of_it() {
    use std::os::unix::fs::symlink;

    let outside = folder(&[("gateway.yaml", GATEWAY)]);
    let dir = folder(&[("deep/other.yaml", "a: b\n")]);
    let far = outside.path().join("gateway.yaml");
    symlink(&far, dir.path().join("link.yaml")).expect("linked");
    symlink(outside.path(), dir.path().join("deep/far")).expect("linked");
    for line in [&["doctor", "--fix", "."][..], &["doctor", "--fix", ".", "deep"]] {
        let run = run(dir.path(), line);
        assert_eq!(run.code, 1, "{run:?}");
        assert!(run.out.contains("left alone link.yaml: it is a link to"), "{run:?}");
        assert!(run.out.contains(&*far.to_string_lossy()), "{run:?}");
        assert!(run.err.contains("note: deep/far was left out: a link to a folder"), "{run:?}");
        assert_eq!(fs::read_to_string(&far).expect("there"), GATEWAY);
    }
    let named = run(dir.path(), &["doctor", "--fix", ".", "link.yaml"]);
    assert_eq!(named.code, 0, "{named:?}");
    assert_ne!(fs::read_to_string(&far).expect("there"), GATEWAY);
}

#[cfg(unix)]
#[test]
fn a_name_of_a_file_reaches_no_terminal_as_it_is() {
    let name = "a\nerror[forged] x\u{1b}[2J\u{9b}31m\u{202e}.yaml";
    let dir = folder(&[(name, GATEWAY), ("b\u{9b}2J\n.yaml", "{{ a")]);
    let plain = |text: &str| {
        let bad = |c: char| c.is_control() && c != '\n' || c == '\u{202e}';
        !text.contains(bad) && !text.lines().any(|line| line.starts_with("error[forged"))
    };
    for line in [&["doctor", "."][..], &["doctor", "-v", name], &["doctor", "--fix", "."]] {
        let run = run(dir.path(), line);
        assert!(run.out.contains("forged"), "{run:?}");
        assert!(plain(&run.out) && plain(&run.err), "{run:?}");
    }
    for line in [
        &["doctor", "gone\n\u{9b}2J"][..],
        &["redact", "gone\n\u{9b}2J", "x"],
        &["inject", "-f", name],
    ] {
        let run = run(dir.path(), line);
        assert!(plain(&run.err), "{run:?}");
    }
}
