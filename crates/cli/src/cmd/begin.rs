//! What is printed where no command was named: what to type for which situation.

use crate::global::{Color, Global};
use crate::out;

/// The program's name as it was called, and what to type.
fn situations(name: &str) -> String {
    let rows = [
        ("A pod is broken now:", "doctor --live -n NAMESPACE --context CONTEXT"),
        ("… and to mend it:", "fix --live -n NAMESPACE -w deploy/NAME --context CONTEXT"),
        ("It broke last night:", "doctor FOLDER   (or a paste, or --cloud-logging PROJECT)"),
        ("Check it in CI:", "doctor --fail-on error k8s/   (--format github, sarif)"),
        ("Stop it from happening:", "inject -f deploy.yaml   (in a cluster: docs/install.md)"),
        ("See all of it here:", "demo"),
        ("Everything else:", "--help"),
    ];
    let rows = rows.map(|(when, what)| format!("  {when:24} {name} {what}\n"));
    format!(
        "Workloads in a service mesh that do not come up: why, and what to do.\n{}",
        rows.concat()
    )
}

/// Says it where errors are said: nothing was asked for.
pub(crate) fn say(name: &str) {
    out::eprint(&Global { color: Color::Auto }, &situations(name));
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory as _;

    use super::*;
    use crate::cmd::Cli;

    #[test]
    fn each_line_that_is_printed_can_be_typed() {
        let text = situations("sunup");
        let lines: Vec<&str> = text.lines().skip(1).collect();
        assert_eq!(lines.len(), 7);
        for line in lines {
            let (_, typed) = line.split_once(": ").expect("what to type");
            let typed = typed.split_once("   (").map_or(typed, |(command, _)| command);
            let outcome = Cli::command().try_get_matches_from(typed.split_whitespace());
            let help = clap::error::ErrorKind::DisplayHelp;
            assert!(outcome.map_or_else(|e| e.kind() == help, |_| true), "{typed}");
        }
    }
}
