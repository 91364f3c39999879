//! What to install: the configurations by which API servers call the webhook, the server itself,
//! and the rights it needs, each with its reason.
//!
//! The text is that of the Helm chart's templates, rendered here with the chart's values: what one
//! of them can be asked for, the other has too. Knows no cluster.

use clap::{Parser as _, ValueEnum as _};
use serde_json::Value;

use super::args::{ClassicSidecars, ISTIO, NAMESPACE, Server};
use crate::chart;

/// The chart's templates that make objects, in the order in which they are to be applied.
const TEMPLATES: [(&str, &str); 3] = [
    ("rights", include_str!("../../../../../charts/sunup/templates/webhook-rights.yaml")),
    ("server", include_str!("../../../../../charts/sunup/templates/webhook-server.yaml")),
    (
        "configurations",
        include_str!("../../../../../charts/sunup/templates/webhook-configurations.yaml"),
    ),
];

/// Prints what to install
///
/// The same objects as the Helm chart's, with the same settings.
#[derive(Debug, clap::Args)]
#[command(after_help = AFTER_HELP)]
pub(super) struct Args {
    /// Guard pods that Istio's injector injects, instead of injecting
    #[arg(long)]
    guard: bool,
    /// With --guard: what becomes of classic sidecars, behind which the application starts too
    /// early
    #[arg(long, value_name = "WHAT", value_enum, requires = "guard")]
    classic_sidecars: Option<ClassicSidecars>,
    /// Name of the configurations; API servers call webhooks in the order of these names.
    /// Where not given: zz-sunup-webhook, with -guard or the revision behind it
    #[arg(long, value_name = "NAME")]
    name: Option<String>,
    /// Where the server runs
    #[arg(long, value_name = "NAMESPACE", default_value = NAMESPACE)]
    namespace: String,
    /// Its Service. Where not given: sunup-webhook, with -guard or the revision behind it
    #[arg(long, value_name = "NAME")]
    service: Option<String>,
    /// The revision whose pods are injected; with --guard, whose Istio's settings are followed.
    /// Where not given: default
    #[arg(long, value_name = "REVISION")]
    revision: Option<String>,
    /// Where an existing Istio has its settings; empty where there is no Istio
    #[arg(long, value_name = "NAMESPACE", default_value = ISTIO)]
    istio_namespace: String,
    /// What becomes of pods while no replica answers: Fail refuses them, Ignore lets them through
    /// as they are. Fail where not given, Ignore with --guard
    #[arg(long, value_name = "POLICY", value_parser = ["Fail", "Ignore"])]
    failure_policy: Option<String>,
    /// The image that has sunup in it, for the server and for injected pods
    #[arg(long, value_name = "IMAGE")]
    image: Option<String>,
    /// Call this URL instead of a Service, for a server outside of the cluster: configurations only
    #[arg(long, value_name = "URL")]
    url: Option<String>,
    /// More options for the server, such as --san or --proxy; repeat it
    #[arg(long = "option", value_name = "OPTION", allow_hyphen_values = true)]
    options: Vec<String>,
}

const AFTER_HELP: &str = "\
The configurations have no caBundle; the server writes it and keeps it right.

Examples:
  sunup webhook manifests | kubectl apply -f -
  sunup webhook manifests --guard --revision=asm-managed | kubectl apply -f -
  sunup webhook manifests --url https://host.docker.internal:15017 | kubectl apply -f -";

/// The manifests.
///
/// # Errors
/// The server wouldn't start with these options.
pub(super) fn text(args: &Args) -> anyhow::Result<String> {
    let mut out = String::new();
    if args.url.is_none() {
        out.push_str(&namespace(&args.namespace));
    }
    for (name, text) in chart::rendered(&TEMPLATES, &args.namespace, &values(args)?)? {
        if name == "server" {
            startable(&text)?;
        }
        out.push_str(&format!("---\n{text}\n"));
    }
    Ok(out)
}

/// Helm makes the namespace itself. What runs in it needs nothing that `restricted` forbids.
fn namespace(name: &str) -> String {
    format!(
        "apiVersion: v1\nkind: Namespace\nmetadata:\n  name: {name}\n  labels:\n    \
         pod-security.kubernetes.io/enforce: restricted\n"
    )
}

/// The chart's values, as the options say.
fn values(args: &Args) -> anyhow::Result<Value> {
    let mut values = chart::values()?;
    let (revision, options) = revision(args)?;
    values["revision"] = revision.into();
    values["istioNamespace"] = args.istio_namespace.as_str().into();
    if let Some(image) = &args.image {
        chart::set_image(&mut values, image);
    }
    let webhook = &mut values["webhook"];
    if args.guard {
        webhook["mode"] = "guard".into();
    }
    if let Some(name) = args.classic_sidecars.and_then(|asked| asked.to_possible_value()) {
        webhook["classicSidecars"] = name.get_name().into();
    }
    let given = [
        ("configuration", &args.name),
        ("service", &args.service),
        ("failurePolicy", &args.failure_policy),
        ("url", &args.url),
    ];
    for (key, value) in given {
        if let Some(value) = value {
            webhook[key] = value.as_str().into();
        }
    }
    webhook["options"] = options.into();
    Ok(values)
}

/// The revision, which may also stand among the server's options, and what else does.
fn revision(args: &Args) -> anyhow::Result<(String, Vec<String>)> {
    let mut revision = args.revision.clone();
    let mut others = Vec::new();
    let mut options = args.options.iter();
    while let Some(option) = options.next() {
        let own = match option.strip_prefix("--revision") {
            Some("") => options.next().map(String::as_str),
            Some(rest) => rest.strip_prefix('='),
            None => None,
        };
        match (own, &revision) {
            (None, _) => others.push(option.clone()),
            (Some(own), Some(before)) if own != before => {
                anyhow::bail!("two revisions: {before} and, by --option, {own}")
            }
            (Some(own), _) => revision = Some(own.to_owned()),
        }
    }
    Ok((revision.unwrap_or_else(|| "default".to_owned()), others))
}

/// The server's own options.
#[derive(Debug, clap::Parser)]
#[command(name = "sunup webhook", no_binary_name = true)]
struct Started {
    #[command(flatten)]
    _server: Server,
}

/// Refuses a Deployment whose server would refuse its arguments, and so would never be ready.
fn startable(text: &str) -> anyhow::Result<()> {
    let stream = sunup_yaml::read_values(text, &sunup_yaml::Limits::default());
    for document in &stream.documents {
        let containers = &document.value["spec"]["template"]["spec"]["containers"];
        let Some(arguments) = containers[0]["args"].as_array() else { continue };
        let arguments = arguments.iter().filter_map(Value::as_str);
        Started::try_parse_from(arguments).map_err(|error| {
            let said = error.to_string();
            let said = said.lines().next().unwrap_or_default().trim_start_matches("error: ");
            anyhow::anyhow!("the server would not start: {said}")
        })?;
    }
    Ok(())
}
