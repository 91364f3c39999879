//! What is known fails no build, what is new does, what is gone is said.

use super::kit::{GATEWAY, HEALTHY, folder, run};

#[test]
fn a_known_finding_fails_nothing_and_a_new_one_does() {
    let dir = folder(&[("a.yaml", GATEWAY), ("healthy.yaml", HEALTHY)]);
    let at = |arguments: &[&str]| {
        let line: Vec<&str> = ["doctor"].iter().chain(arguments).copied().collect();
        run(dir.path(), &line)
    };
    let written = at(&["--write-baseline", "known.json", "a.yaml", "healthy.yaml"]);
    assert_eq!(written.code, 0, "{written:?}");
    assert!(written.out.contains("gateway-privileged-port"), "it is shown once more: {written:?}");

    let known = at(&["--baseline", "known.json", "a.yaml", "healthy.yaml"]);
    assert_eq!(known.code, 0, "{known:?}");
    assert!(!known.out.contains("gateway-privileged-port"), "{known:?}");
    assert!(known.err.contains("1 finding is known by known.json"), "{known:?}");

    // The same fault of another workload, between known ones: its fix is still its own.
    let other = GATEWAY.replace("way-in", "way-out").replace("edge", "a-first");
    std::fs::write(dir.path().join("b.yaml"), other).expect("written");
    for format in ["text", "json", "sarif", "github", "markdown", "html"] {
        let line = ["--baseline", "known.json", "--format", format, "a.yaml", "b.yaml"];
        let new = at(&line);
        assert_eq!(new.code, 1, "{format}: {new:?}");
        assert!(new.out.contains("way-out") && !new.out.contains("way-in"), "{format}: {new:?}");
    }
    let fixed = at(&["--baseline", "known.json", "--fix", "a.yaml", "b.yaml"]);
    assert_eq!(fixed.code, 0, "{fixed:?}");
    let text = |name: &str| std::fs::read_to_string(dir.path().join(name)).expect("readable");
    assert_eq!(text("a.yaml"), GATEWAY, "what is known is left alone");
    assert!(text("b.yaml").contains("ip_unprivileged_port_start"));
}

#[test]
fn what_is_gone_is_said_but_not_by_a_run_that_saw_a_part() {
    let dir = folder(&[("a.yaml", GATEWAY), ("healthy.yaml", HEALTHY)]);
    run(dir.path(), &["doctor", "--write-baseline", "known.json", "a.yaml"]);
    let gone = run(dir.path(), &["doctor", "--baseline", "known.json", "healthy.yaml"]);
    assert_eq!(gone.code, 0, "{gone:?}");
    let words = "no longer found, though known.json has it: gateway-privileged-port of Deployment";
    assert!(gone.err.contains(words), "{gone:?}");
    let part = ["doctor", "--baseline", "known.json", "-n", "shop", "a.yaml", "healthy.yaml"];
    assert!(!run(dir.path(), &part).err.contains("no longer found"));
}

#[test]
fn a_file_that_is_no_baseline_is_trouble_with_advice() {
    let dir = folder(&[
        ("a.yaml", GATEWAY),
        ("bad.json", "{}"),
        ("old.json", "{\"schema\": \"sunup.baseline/v0\", \"findings\": []}"),
    ]);
    for (name, words) in [
        ("none.json", "`--write-baseline none.json` makes it"),
        ("bad.json", "is no baseline"),
        ("old.json", "sunup.baseline/v0"),
    ] {
        let run = run(dir.path(), &["doctor", "--baseline", name, "a.yaml"]);
        assert_eq!(run.code, 2, "{run:?}");
        assert!(run.err.contains(words), "{run:?}");
    }
}
