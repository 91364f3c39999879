//! What all commands share: the options that each understands, and the exit codes.
//!
//! Knows no command.

/// Exit code for findings (a doctor's, a check's).
pub(crate) const FINDINGS: u8 = 1;
/// Exit code for wrong usage, unreadable input and whatever kept a command from doing its job.
pub(crate) const TROUBLE: u8 = 2;

/// Options that every command understands.
#[derive(Debug, Clone, Copy, clap::Args)]
pub(crate) struct Global {
    /// When to colour: on a terminal (NO_COLOR is respected), always or never
    #[arg(long, global = true, value_name = "WHEN", value_enum, default_value_t)]
    #[arg(hide_possible_values = true, help_heading = "Output")]
    pub(crate) color: Color,
}

/// When to colour.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum Color {
    /// On a terminal, unless NO_COLOR is set or TERM is dumb.
    #[default]
    Auto,
    /// Even into a pipe.
    Always,
    /// Never.
    Never,
}
