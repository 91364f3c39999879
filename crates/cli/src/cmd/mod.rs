//! The subcommands: one file each, registered in three lines here.
//!
//! A new command is a file with a `clap::Args` struct and a `run(args, &Global)`; here it gets
//! its `mod` line, its variant in [`Command`] and its arm in [`run`].

pub(crate) mod begin;
#[cfg(target_os = "linux")]
pub(crate) mod capture;
mod completions;
#[cfg(target_os = "linux")]
mod demo;
mod doctor;
mod fix;
mod inject;
#[cfg(target_os = "linux")]
pub(crate) mod lab;
mod logs;
mod man;
#[cfg(target_os = "linux")]
pub(crate) mod node;
#[cfg(target_os = "linux")]
mod proxy;
mod rbac;
mod redact;
#[cfg(target_os = "linux")]
mod request;
mod rules;
#[cfg(target_os = "linux")]
mod wait;
mod watch;
mod webhook;

use std::process::ExitCode;

use clap::CommandFactory as _;

use crate::global::Global;

/// Makes sure that workloads in a service mesh come up.
#[derive(Debug, clap::Parser)]
#[command(name = "sunup", version, max_term_width = 100, propagate_version = true)]
#[command(subcommand_required = true, arg_required_else_help = true)]
pub(crate) struct Cli {
    #[command(flatten)]
    pub(crate) global: Global,
    #[command(subcommand)]
    pub(crate) command: Command,
}

/// The subcommands.
#[derive(Debug, clap::Subcommand)]
pub(crate) enum Command {
    #[cfg(target_os = "linux")]
    Capture(capture::Args),
    #[cfg(target_os = "linux")]
    #[command(hide = true, override_help = capture::apply_help())]
    IstioIptables(capture::Settings),
    Completions(completions::Args),
    #[cfg(target_os = "linux")]
    Demo(demo::Args),
    Doctor(Box<doctor::Args>),
    Fix(fix::Args),
    Inject(inject::Args),
    #[cfg(target_os = "linux")]
    Lab(lab::Args),
    Logs(logs::Args),
    Man(man::Args),
    #[cfg(target_os = "linux")]
    Node(node::Args),
    #[cfg(target_os = "linux")]
    Proxy(proxy::Args),
    Rbac(rbac::Args),
    Redact(redact::Args),
    #[cfg(target_os = "linux")]
    Request(request::Args),
    Rules(rules::Args),
    #[cfg(target_os = "linux")]
    Wait(wait::Args),
    Watch(watch::Args),
    Webhook(Box<webhook::Args>),
}

/// Runs one command. An error is printed by `main` and ends in [`TROUBLE`](crate::global::TROUBLE).
pub(crate) fn run(command: Command, global: &Global) -> anyhow::Result<ExitCode> {
    match command {
        #[cfg(target_os = "linux")]
        Command::Capture(args) => capture::run(args, global),
        #[cfg(target_os = "linux")]
        Command::IstioIptables(args) => capture::apply(args, global),
        Command::Completions(args) => completions::run(args, Cli::command(), global),
        #[cfg(target_os = "linux")]
        Command::Demo(args) => demo::run(args, global),
        Command::Doctor(args) => doctor::run(*args, global),
        Command::Fix(args) => fix::run(args, global),
        Command::Inject(args) => inject::run(args, global),
        #[cfg(target_os = "linux")]
        Command::Lab(args) => lab::run(args, global),
        Command::Logs(args) => logs::run(args, global),
        Command::Man(args) => man::run(args, Cli::command(), global),
        #[cfg(target_os = "linux")]
        Command::Node(args) => node::run(args, global),
        #[cfg(target_os = "linux")]
        Command::Proxy(args) => proxy::run(args, global),
        Command::Rbac(args) => rbac::run(args, global),
        Command::Redact(args) => redact::run(args, global),
        #[cfg(target_os = "linux")]
        Command::Request(args) => request::run(args, global),
        Command::Rules(args) => rules::run(args, global),
        #[cfg(target_os = "linux")]
        Command::Wait(args) => wait::run(args, global),
        Command::Watch(args) => watch::run(&args, global),
        Command::Webhook(args) => webhook::run(*args, global),
    }
}
