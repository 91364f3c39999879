//! A container's environment, in the order in which Kubernetes builds it.
//!
//! # Sources
//! Kubernetes documentation, "Define Dependent Environment Variables", "Expose Pod Information".

use anyhow::{Context as _, bail};
use serde_json::Value;

use super::context::{Context, field, host_name, search_path};
use crate::image::Image;
use crate::manifest::{Container, Lookup};

type Env = Vec<(String, String)>;

/// All variables; later ones win.
pub(super) fn environment(
    context: &Context<'_>,
    container: &Container,
    image: &Image,
) -> anyhow::Result<Env> {
    let mut env: Env = vec![
        ("PATH".to_owned(), search_path()),
        ("HOSTNAME".to_owned(), host_name(context.pod).to_owned()),
        ("HOME".to_owned(), "/".to_owned()),
    ];
    for (name, value) in &image.env {
        set(&mut env, name, value.clone());
    }
    for from in &container.env_from {
        let sources = [(false, &from.config_map_ref), (true, &from.secret_ref)];
        for (secret, reference) in sources {
            let Some(reference) = reference else { continue };
            let data = context.node.data(secret, &context.name.namespace, &reference.name);
            match data {
                Some(data) => {
                    for (key, value) in data {
                        let value = String::from_utf8_lossy(&value).into_owned();
                        set(&mut env, &format!("{}{key}", from.prefix), value);
                    }
                }
                None if reference.optional => {}
                None => bail!("{}", missing(secret, &reference.name)),
            }
        }
    }
    for variable in &container.env {
        let value = match (&variable.value, &variable.value_from) {
            (Some(value), None) => expand(value, &env),
            (None, Some(lookup)) => {
                let found = look_up(context, container, lookup)
                    .with_context(|| format!("env {}", variable.name))?;
                let Some(value) = found else { continue };
                value
            }
            _ => String::new(),
        };
        set(&mut env, &variable.name, value);
    }
    Ok(env)
}

fn set(env: &mut Env, name: &str, value: String) {
    env.retain(|(known, _)| known != name);
    env.push((name.to_owned(), value));
}

fn missing(secret: bool, name: &str) -> String {
    format!("{} \"{name}\" not found", if secret { "secret" } else { "configmap" })
}

/// `None` where an optional key isn't there.
fn look_up(
    context: &Context<'_>,
    container: &Container,
    lookup: &Lookup,
) -> anyhow::Result<Option<String>> {
    let (secret, name, key, optional) = match lookup {
        Lookup::FieldRef { field_path, .. } => {
            let value = field(context, field_path);
            return match value {
                Some(value) => Ok(Some(value)),
                None => bail!("fieldRef: the lab has no {field_path}"),
            };
        }
        Lookup::ResourceFieldRef { resource, divisor, container_name } => {
            let spec = &context.pod.spec;
            let all = || spec.containers.iter().chain(&spec.init_containers);
            let of = match container_name {
                Some(name) => all().find(|c| c.name == *name),
                None => Some(container),
            };
            let of = of.context("resourceFieldRef: no such container")?;
            return resource_field(of, resource, divisor.as_ref()).map(Some);
        }
        Lookup::ConfigMapKeyRef { name, key, optional } => (false, name, key, *optional),
        Lookup::SecretKeyRef { name, key, optional } => (true, name, key, *optional),
    };
    let data = context.node.data(secret, &context.name.namespace, name);
    match data.as_ref().map(|data| data.get(key)) {
        Some(Some(value)) => Ok(Some(String::from_utf8_lossy(value).into_owned())),
        _ if optional => Ok(None),
        Some(None) => bail!("couldn't find key {key} in {name}"),
        None => bail!("{}", missing(secret, name)),
    }
}

/// A request or limit, counted in units of the divisor and rounded up. A limit that isn't set is
/// the node's size, as in Kubernetes.
fn resource_field(
    container: &Container,
    resource: &str,
    divisor: Option<&Value>,
) -> anyhow::Result<String> {
    let (list, name) = resource.split_once('.').context("resourceFieldRef: such as limits.cpu")?;
    let value = &container.resources[list][name];
    let given = if value.is_null() && list == "limits" {
        match name {
            "cpu" => std::thread::available_parallelism().map_or(1, std::num::NonZero::get) as f64,
            "memory" => memory_of_machine(),
            _ => 0.0,
        }
    } else {
        quantity(value).with_context(|| format!("resourceFieldRef: {resource}"))?
    };
    let unit = match divisor {
        None | Some(Value::Null) => 1.0,
        Some(divisor) => quantity(divisor).context("resourceFieldRef: divisor")?,
    };
    let unit = if unit == 0.0 { 1.0 } else { unit };
    Ok(format!("{}", (given / unit).ceil()))
}

fn memory_of_machine() -> f64 {
    let text = std::fs::read_to_string("/proc/meminfo").unwrap_or_default();
    let line = text.lines().find_map(|l| l.strip_prefix("MemTotal:"));
    let kib = line.and_then(|l| l.trim().split(' ').next()?.parse::<f64>().ok());
    kib.unwrap_or(0.0) * 1024.0
}

/// A Kubernetes quantity: `100m`, `128Mi`, `2`.
fn quantity(value: &Value) -> anyhow::Result<f64> {
    let text = match value {
        Value::Null => return Ok(0.0),
        Value::Number(number) => number.to_string(),
        Value::String(text) => text.clone(),
        _ => bail!("not a quantity"),
    };
    const UNITS: &[(&str, f64)] = &[
        ("Ki", 1024.0),
        ("Mi", 1_048_576.0),
        ("Gi", 1_073_741_824.0),
        ("Ti", 1_099_511_627_776.0),
        ("m", 0.001),
        ("k", 1e3),
        ("M", 1e6),
        ("G", 1e9),
        ("T", 1e12),
    ];
    for (suffix, unit) in UNITS {
        if let Some(number) = text.strip_suffix(suffix) {
            return Ok(number.parse::<f64>()? * unit);
        }
    }
    Ok(text.parse()?)
}

/// `$(NAME)` is an earlier variable, `$$(NAME)` its own text; an unknown name stays as it is.
pub(super) fn expand(text: &str, env: &[(String, String)]) -> String {
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = rest.find('$') {
        out.push_str(&rest[..at]);
        rest = &rest[at..];
        if let Some(more) = rest.strip_prefix("$$") {
            out.push('$');
            rest = more;
            continue;
        }
        let name = rest.strip_prefix("$(").and_then(|inner| inner.split_once(')'));
        match name {
            Some((name, more)) => {
                match env.iter().find(|(known, _)| known == name) {
                    Some((_, value)) => out.push_str(value),
                    None => out.push_str(&rest[..name.len() + 3]),
                }
                rest = more;
            }
            None => {
                out.push('$');
                rest = &rest[1..];
            }
        }
    }
    out.push_str(rest);
    out
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn references_are_replaced_as_kubernetes_does() {
        let env = vec![("A".to_owned(), "1".to_owned())];
        for (text, expected) in [
            ("$(A)-$(B)", "1-$(B)"),
            ("$$(A)", "$(A)"),
            ("$A $", "$A $"),
            ("$(A", "$(A"),
            ("ü$(A)ü", "ü1ü"),
        ] {
            assert_eq!(expand(text, &env), expected);
        }
    }

    #[test]
    fn resources_are_counted_in_units_and_rounded_up() {
        let resources = json!({"limits": {"cpu": "1500m", "memory": "128Mi"}});
        let container = Container { resources, ..Container::default() };
        let of = |resource, divisor: Option<Value>| {
            resource_field(&container, resource, divisor.as_ref()).expect("a number")
        };
        assert_eq!(of("limits.cpu", None), "2");
        assert_eq!(of("limits.cpu", Some(json!("1m"))), "1500");
        assert_eq!(of("limits.memory", Some(json!("1Mi"))), "128");
        assert_eq!(of("limits.cpu", Some(json!("0"))), "2");
        assert_eq!(of("requests.cpu", None), "0");
    }
}
