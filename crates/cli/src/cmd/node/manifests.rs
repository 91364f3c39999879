//! `sunup node manifests`: the agent's objects, those of the Helm chart.

use crate::chart;

const TEMPLATES: [(&str, &str); 1] =
    [("node", include_str!("../../../../../charts/sunup/templates/node.yaml"))];

/// Options of `sunup node manifests`.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// Where the agent runs
    #[arg(long, value_name = "NAMESPACE", default_value = "sunup-node")]
    namespace: String,
    /// The image that has sunup in it
    #[arg(long, value_name = "IMAGE")]
    image: Option<String>,
    /// The node's folder of network configurations
    #[arg(long, value_name = "DIR", default_value = "/etc/cni/net.d")]
    cni_configurations: String,
    /// The node's folder of plugins' programs
    #[arg(long, value_name = "DIR", default_value = "/opt/cni/bin")]
    cni_programs: String,
    /// The configuration's file, where it is not the first by name
    #[arg(long, value_name = "FILE")]
    cni_file: Option<String>,
    /// The folder of the runtime's NRI socket: by that instead of a network plugin
    #[arg(long, value_name = "DIR")]
    nri: Option<String>,
    /// Where an Istio has its control plane; empty where there is none
    #[arg(long, value_name = "NAMESPACE", default_value = "istio-system")]
    istio_namespace: String,
    /// Inbound connections too
    #[arg(long)]
    inbound: bool,
    /// Vouch for proxies whose image begins with this; repeat it
    #[arg(long = "assert-reuseport", value_name = "IMAGE")]
    assert: Vec<String>,
}

/// The manifests.
pub(super) fn text(args: &Args) -> anyhow::Result<String> {
    let mut values = chart::values()?;
    if let Some(image) = &args.image {
        chart::set_image(&mut values, image);
    }
    values["istioNamespace"] = args.istio_namespace.as_str().into();
    let node = &mut values["node"];
    node["enabled"] = true.into();
    node["inbound"] = args.inbound.into();
    node["assertReuseport"] = args.assert.clone().into();
    node["cni"]["configurations"] = args.cni_configurations.as_str().into();
    node["cni"]["programs"] = args.cni_programs.as_str().into();
    node["cni"]["file"] = args.cni_file.clone().unwrap_or_default().into();
    node["nri"] = args.nri.clone().unwrap_or_default().into();
    let name = &args.namespace;
    // It enters nodes: `restricted` forbids all that it needs.
    let mut out = format!(
        "apiVersion: v1\nkind: Namespace\nmetadata:\n  name: {name}\n  labels:\n    \
         pod-security.kubernetes.io/enforce: privileged\n"
    );
    for (_, text) in chart::rendered(&TEMPLATES, name, &values)? {
        out.push_str(&format!("---\n{text}\n"));
    }
    Ok(out)
}
