//! The iptables backend: the same plan through `iptables-restore`, one transaction per table.

use std::io::Write as _;
use std::process::{Command, Stdio};

use sunup_capture::Plan;
use sunup_capture::ruleset::{Family, iptables};

/// Which of the two iptables programs to use.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Binary {
    /// Whatever `iptables-restore` is here.
    #[default]
    Default,
    /// `iptables-legacy-restore`.
    Legacy,
    /// `iptables-nft-restore`.
    Nft,
}

/// The iptables programs could not do their work.
#[derive(Debug, thiserror::Error)]
pub enum IptablesError {
    /// The program can't be started.
    #[error(
        "{program} can't be run: {why}; install iptables in the image, or use --backend nftables"
    )]
    Missing {
        /// Its name.
        program: String,
        /// The system's error.
        why: std::io::Error,
    },
    /// The program failed.
    #[error("{program} failed ({status}): {text}")]
    Failed {
        /// Its name.
        program: String,
        /// Its exit status.
        status: std::process::ExitStatus,
        /// What it said.
        text: String,
    },
}

fn program(family: Family, binary: Binary, action: &str) -> String {
    let family = if family == Family::Ip { "iptables" } else { "ip6tables" };
    match binary {
        Binary::Default => format!("{family}-{action}"),
        Binary::Legacy => format!("{family}-legacy-{action}"),
        Binary::Nft => format!("{family}-nft-{action}"),
    }
}

fn run(program: String, args: &[&str], input: &str) -> Result<String, IptablesError> {
    let missing = |why| IptablesError::Missing { program: program.clone(), why };
    let mut child = Command::new(&program)
        .args(args)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .map_err(missing)?;
    if let Some(mut stdin) = child.stdin.take() {
        // A program that fails early closes the pipe; its own words are more useful.
        let _ = stdin.write_all(input.as_bytes());
    }
    let output = child.wait_with_output().map_err(missing)?;
    if !output.status.success() {
        let text = String::from_utf8_lossy(&output.stderr).trim().to_owned();
        return Err(IptablesError::Failed { program, status: output.status, text });
    }
    Ok(String::from_utf8_lossy(&output.stdout).into_owned())
}

fn restore(family: Family, binary: Binary, input: &str) -> Result<(), IptablesError> {
    if input.is_empty() {
        return Ok(());
    }
    run(program(family, binary, "restore"), &["--noflush"], input).map(|_| ())
}

/// What the family's tables hold now; nothing where the family has no program and isn't needed.
fn saved(family: Family, binary: Binary, needed: bool) -> Result<String, IptablesError> {
    match run(program(family, binary, "save"), &[], "") {
        Err(_) if !needed => Ok(String::new()),
        outcome => outcome,
    }
}

/// Loads the plan. IPv4 is undone where IPv6 fails.
pub(crate) fn apply(plan: &Plan, binary: Binary) -> Result<(), IptablesError> {
    let ipv6 = plan.settings().enable_ipv6;
    let before = saved(Family::Ip, binary, true)?;
    restore(Family::Ip, binary, &iptables::apply(plan, Family::Ip, &before))?;
    let six = saved(Family::Ip6, binary, ipv6)
        .and_then(|now| restore(Family::Ip6, binary, &iptables::apply(plan, Family::Ip6, &now)));
    if six.is_err() {
        let now = saved(Family::Ip, binary, true)?;
        restore(Family::Ip, binary, &iptables::clean(&now))?;
    }
    six
}

/// Removes our chains; whether there were any.
pub(crate) fn clean(binary: Binary) -> Result<bool, IptablesError> {
    let mut found = false;
    for family in [Family::Ip, Family::Ip6] {
        let input = iptables::clean(&saved(family, binary, family == Family::Ip)?);
        found |= !input.is_empty();
        restore(family, binary, &input)?;
    }
    Ok(found)
}
