//! `sunup rules`: lists what the doctor looks for, and explains one rule as a manual page does.

use std::io::IsTerminal as _;
use std::process::ExitCode;

use anyhow::bail;
use sunup_doctor::{pages, rules};

use crate::global::Global;
use crate::out;

/// Columns of a page that goes into a file or a pipe, and the most that reads well.
const WIDTH: usize = 80;
const WIDTH_MAX: usize = 100;

/// Lists the rules of `sunup doctor`, or explains one
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  What the doctor looks for:
    sunup rules
  What a rule means, its evidence, its fix and an example:
    sunup rules app-before-proxy
  The same as Markdown, for a ticket:
    sunup rules app-before-proxy --markdown

Exit codes: 0 printed; 2 no such rule.")]
pub(crate) struct Args {
    /// The rule to explain, as a finding names it
    #[arg(value_name = "RULE")]
    rule: Option<String>,
    /// Markdown instead of a page for the terminal
    #[arg(long)]
    markdown: bool,
}

pub(crate) fn run(args: Args, global: &Global) -> anyhow::Result<ExitCode> {
    let text = match args.rule.as_deref() {
        None if args.markdown => pages::index(),
        None => pages::list(width()),
        Some(id) => {
            let Some(meta) = rules().find(|m| m.id == id) else { bail!(no_such_rule(id)) };
            if args.markdown { pages::markdown(meta) } else { pages::manual(meta, width()) }
        }
    };
    match out::print(global, &text) {
        // Whoever pipes a page into `head` has seen enough.
        Err(error) if error.kind() == std::io::ErrorKind::BrokenPipe => {}
        printed => printed?,
    }
    Ok(ExitCode::SUCCESS)
}

fn width() -> usize {
    if !std::io::stdout().is_terminal() {
        return WIDTH;
    }
    let size = terminal_size::terminal_size_of(std::io::stdout());
    size.map_or(WIDTH, |(columns, _)| usize::from(columns.0).clamp(40, WIDTH_MAX))
}

/// Says which rules share a word with what was asked for.
fn no_such_rule(id: &str) -> String {
    if sunup_doctor::RETIRED.contains(&id) {
        return format!("the rule {id} is retired: its fault is another rule's now");
    }
    let near: Vec<&str> = rules()
        .map(|m| m.id)
        .filter(|known| id.split('-').any(|word| word.len() > 2 && known.contains(word)))
        .collect();
    if near.is_empty() {
        return format!("there is no rule {id:?}; `sunup rules` lists them");
    }
    format!("there is no rule {id:?}; did you mean {}?", near.join(", "))
}
