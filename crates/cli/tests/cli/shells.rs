//! Completions and manual pages, as the shell and `man` meet them.

use std::process::Command;

use super::kit::{folder, run};

/// What bash offers for a line that is being typed.
fn offered(script: &str, words: &[&str]) -> String {
    let dir = folder(&[("sunup.bash", script)]);
    let line = format!(
        "source sunup.bash; COMP_WORDS=({}); COMP_CWORD={}; {}; echo \"${{COMPREPLY[@]}}\"",
        words.iter().map(|word| format!("'{word}'")).collect::<Vec<_>>().join(" "),
        words.len() - 1,
        format_args!("_sunup sunup '{}' '{}'", words[words.len() - 1], words[words.len() - 2]),
    );
    let bash = Command::new("bash").args(["-c", &line]).current_dir(dir.path()).output();
    let output = bash.expect("bash starts");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8_lossy(&output.stdout).into_owned()
}

#[test]
fn a_shell_completes_commands_options_and_their_values() {
    let dir = folder(&[]);
    let script = run(dir.path(), &["completions", "bash"]).out;
    assert!(offered(&script, &["sunup", "doc"]).contains("doctor"));
    assert!(offered(&script, &["sunup", "doctor", "--form"]).contains("--format"));
    let formats = offered(&script, &["sunup", "doctor", "--format", ""]);
    for format in ["text", "json", "html", "markdown", "sarif", "github"] {
        assert!(formats.contains(format), "{formats}");
    }
    for shell in ["zsh", "fish", "elvish", "powershell"] {
        let script = run(dir.path(), &["completions", shell]);
        assert!(script.code == 0 && script.out.contains("write-baseline"), "{shell}");
    }
    assert_eq!(run(dir.path(), &["completions", "tcsh"]).code, 2);
}

#[test]
fn every_command_has_a_manual_page() {
    let dir = folder(&[]);
    let made = run(dir.path(), &["man", "pages/man1"]);
    assert_eq!(made.code, 0, "{made:?}");
    let page = |name: &str| std::fs::read_to_string(dir.path().join("pages/man1").join(name));
    let doctor = page("sunup-doctor.1").expect("there is one");
    assert!(doctor.contains(".TH sunup-doctor 1") || doctor.contains(".TH sunup\\-doctor 1"));
    assert!(doctor.contains("Exit codes") && doctor.contains("baseline"), "{doctor}");
    let help = run(dir.path(), &["--help"]).out;
    let commands = help.split("Commands:").nth(1).and_then(|text| text.split("\n\n").next());
    let commands = commands.expect("help lists them").lines().filter(|l| l.starts_with("  "));
    let names: Vec<&str> = commands
        .filter(|line| !line.starts_with("   "))
        .filter_map(|line| line.split_whitespace().next())
        .filter(|name| *name != "help")
        .collect();
    assert!(names.len() >= 6, "{names:?}");
    for name in names {
        assert!(page(&format!("sunup-{name}.1")).is_ok(), "{name} has none");
    }
}

#[cfg(unix)]
#[test]
fn as_a_plugin_of_kubectl_it_says_what_to_type() {
    let dir = folder(&[]);
    let plugin = dir.path().join("kubectl-sunup");
    std::os::unix::fs::symlink(env!("CARGO_BIN_EXE_sunup"), &plugin).expect("linked");
    let help = Command::new(&plugin).args(["doctor", "--help"]).output().expect("it starts");
    let help = String::from_utf8_lossy(&help.stdout).into_owned();
    assert!(help.contains("Usage: kubectl sunup doctor "), "{help}");
    let alone = run(dir.path(), &["doctor", "--help"]).out;
    assert!(alone.contains("Usage: sunup doctor "), "{alone}");
}
