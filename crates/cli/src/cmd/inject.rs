//! `sunup inject`: manifests in, the same manifests with pod templates injected out.
//!
//! Reads files and prints; what is injected and how is `sunup-inject`'s.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::io::Read as _;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::{Context as _, bail};
use sunup_api::show;
use sunup_inject::manifest::{self, Injected, Namespaces};
use sunup_inject::{Level, Sources};

use crate::global::Global;
use crate::injector::{Settings, read};
use crate::out;

/// Injects the proxy into the pod templates of manifests
#[derive(Debug, clap::Args)]
#[command(after_help = AFTER_HELP)]
pub(crate) struct Args {
    /// Manifests: files, directories (their .yaml, .yml and .json), or - for standard input
    #[arg(short = 'f', long = "filename", value_name = "FILE", required = true, num_args = 1..)]
    files: Vec<PathBuf>,
    #[command(flatten)]
    settings: Settings,
    /// Labels of the namespaces, as key=value,…; a Namespace among the manifests needs none
    #[arg(long, value_name = "LABELS", help_heading = "Settings")]
    namespace_labels: Option<String>,
    /// Instead of manifests, say for each pod template yes or no and why
    #[arg(long)]
    explain: bool,
}

const AFTER_HELP: &str = "\
What is not injected comes out byte for byte; in what is, comments and order are kept. Nothing is
printed when anything fails. Where a namespace's labels are known, from a Namespace among the
manifests or --namespace-labels, they decide as in a cluster; where not, everything is injected
that doesn't say no, as istioctl kube-inject does.

Differences (--istio-compat takes Istio's way):
  one resources annotation overrides one value and not all four; a custom lifecycle keeps the hold
  and drain hooks; a gateway's sysctl is merged into an existing securityContext; a classic sidecar
  holds the app back; native sidecars from Kubernetes 1.29 on; a CronJob's pods get their labels;
  a gateway's canonical name is cut to 63 characters; a native sidecar behind the start gate has no
  startup probe (global.sunup.startupProbe: true in the values keeps it).

Examples:
  sunup inject -f deploy.yaml --kubernetes-version 1.33 | kubectl apply -f -
  helm template . | sunup inject -f - --values mesh-values.yaml
  kubectl -n istio-system get cm istio-sidecar-injector -o yaml > injector.yaml
  sunup inject -f k8s/ --proxy istio --injector-config injector.yaml
  sunup inject -f deploy.yaml --namespace-labels istio-injection=enabled --explain";

/// A text and where it comes from.
struct Source {
    name: String,
    text: String,
}

/// Runs the command.
pub(crate) fn run(args: Args, global: &Global) -> anyhow::Result<ExitCode> {
    let injector = args.settings.injector(Sources::default(), false, None)?;
    let sources = read_all(&args.files)?;
    let mut namespaces = Namespaces::default();
    if let Some(labels) = &args.namespace_labels {
        namespaces.assume(parse_labels(labels)?);
    }
    sources.iter().for_each(|s| namespaces.learn(&s.text));
    let mut done = Vec::with_capacity(sources.len());
    for source in &sources {
        let injected = manifest::inject(&injector, &source.text, &namespaces)
            .map_err(|e| anyhow::anyhow!("{}:{}: {e}", source.name, e.line))?;
        done.push((source, injected));
    }
    if args.explain {
        out::print(global, &explain(&done))?;
        return Ok(ExitCode::SUCCESS);
    }
    out::eprint(global, &remarks(&done));
    out::print(global, &join(&done))?;
    Ok(ExitCode::SUCCESS)
}

fn parse_labels(text: &str) -> anyhow::Result<BTreeMap<String, String>> {
    let pairs = text.split(',').map(str::trim).filter(|p| !p.is_empty());
    let parsed = pairs.map(|pair| match pair.split_once('=') {
        Some((key, value)) if !key.is_empty() => Ok((key.to_owned(), value.to_owned())),
        _ => bail!("--namespace-labels: {pair:?} is not key=value"),
    });
    parsed.collect()
}

/// All texts, directories opened up, in a fixed order.
fn read_all(files: &[PathBuf]) -> anyhow::Result<Vec<Source>> {
    let mut out = Vec::new();
    for path in files {
        if path.as_os_str() == "-" {
            let mut text = String::new();
            std::io::stdin().read_to_string(&mut text).context("standard input")?;
            out.push(Source { name: "standard input".to_owned(), text });
        } else if path.is_dir() {
            for file in manifests_in(path)? {
                out.push(Source { name: file.display().to_string(), text: read(&file)? });
            }
        } else {
            out.push(Source { name: path.display().to_string(), text: read(path)? });
        }
    }
    Ok(out)
}

fn manifests_in(directory: &Path) -> anyhow::Result<Vec<PathBuf>> {
    let entries = std::fs::read_dir(directory).with_context(|| directory.display().to_string())?;
    let mut files = Vec::new();
    for entry in entries {
        let path = entry.with_context(|| directory.display().to_string())?.path();
        let kind = path.extension().and_then(|e| e.to_str()).unwrap_or_default();
        if path.is_file() && ["yaml", "yml", "json"].contains(&kind) {
            files.push(path);
        }
    }
    if files.is_empty() {
        bail!("{}: no .yaml, .yml or .json file in this directory", directory.display());
    }
    files.sort();
    Ok(files)
}

/// One stream of documents.
fn join(done: &[(&Source, Injected)]) -> String {
    let mut out = String::new();
    for (_, injected) in done {
        if !out.is_empty() {
            if !out.ends_with('\n') {
                out.push('\n');
            }
            if !injected.text.trim_start().starts_with("---") {
                out.push_str("---\n");
            }
        }
        out.push_str(&injected.text);
    }
    out
}

/// What a user should know although nothing failed, for standard error.
fn remarks(done: &[(&Source, Injected)]) -> String {
    let mut out = String::new();
    for (source, injected) in done {
        for verdict in &injected.verdicts {
            let place = show::line(&format!("{}:{}: {verdict}", source.name, verdict.line));
            if !verdict.decision.inject {
                let reason = show::line(&verdict.decision.reason.to_string());
                let _ = writeln!(out, "{place}: not injected: {reason}");
            }
            for reason in verdict.reasons.iter().filter(|r| r.level == Level::Warning) {
                let reason = show::line(&reason.to_string());
                let _ = writeln!(out, "{place}: warning: {reason}");
            }
        }
    }
    out
}

/// Yes or no for every pod template, the deciding fact, and the choices that followed.
fn explain(done: &[(&Source, Injected)]) -> String {
    let mut out = String::new();
    for (source, injected) in done {
        for verdict in &injected.verdicts {
            let answer = if verdict.decision.inject { "yes" } else { "no" };
            let reason = &verdict.decision.reason;
            let place = format!("{}:{}", source.name, verdict.line);
            let told = show::line(&format!("{verdict} ({place}): {answer}: {reason}"));
            let _ = writeln!(out, "{told}");
            for reason in &verdict.reasons {
                let word = if reason.level == Level::Warning { "warning: " } else { "" };
                let _ = writeln!(out, "  {word}{}", show::line(&reason.to_string()));
            }
        }
    }
    if out.is_empty() {
        out.push_str("no pod template in these manifests\n");
    }
    out
}
