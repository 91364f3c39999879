//! The Helm chart's templates, rendered here with the chart's values: for who installs without Helm.

use anyhow::Context as _;
use serde_json::{Value, json};

const NAMES: &str = include_str!("../../../charts/sunup/templates/_names.tpl");
const VALUES: &str = include_str!("../../../charts/sunup/values.yaml");

/// The chart's values, as it ships.
pub(crate) fn values() -> anyhow::Result<Value> {
    let stream = sunup_yaml::read_values(VALUES, &sunup_yaml::Limits::default());
    let first = stream.documents.into_iter().next();
    Ok(first.context("the chart's values are a document")?.value)
}

/// Templates of objects, each read behind those of names.
pub(crate) fn rendered(
    templates: &[(&str, &str)],
    namespace: &str,
    values: &Value,
) -> anyhow::Result<Vec<(String, String)>> {
    let data = json!({
        "Values": values,
        "Release": {"Name": "sunup", "Namespace": namespace, "Service": "kubectl"},
        "Chart": {"AppVersion": env!("CARGO_PKG_VERSION")},
    });
    let mut out = Vec::new();
    for (name, template) in templates {
        let text = sunup_inject::rendered(name, &format!("{NAMES}{template}"), &data)?;
        let text = text.trim();
        if !text.is_empty() {
            out.push(((*name).to_owned(), text.to_owned()));
        }
    }
    Ok(out)
}

/// Puts an image reference into the values.
pub(crate) fn set_image(values: &mut Value, image: &str) {
    let (rest, digest) = image.split_once('@').unwrap_or((image, ""));
    // A colon before a slash is a port's.
    let tagged = rest.rsplit_once(':').filter(|(_, tag)| !tag.contains('/'));
    let (repository, tag) = tagged.unwrap_or((rest, "latest"));
    for (key, value) in [("repository", repository), ("tag", tag), ("digest", digest)] {
        values["image"][key] = value.into();
    }
}
