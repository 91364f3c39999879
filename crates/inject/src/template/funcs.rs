//! Functions that templates call: Istio's own.
//!
//! # Sources
//! `createInjectionFuncmap` of istio/istio `pkg/kube/inject/template.go` (86c9f01).

use std::collections::HashMap;

use gtmpl_ng::{Func, Value as Go};
use serde_json::Value;

use super::args::{Answer, NOTHING, arg, items, refuse, text};
use super::block::to_yaml;
use super::convert::{back, json_name, plain, same_name};
use super::strings;
use crate::memo::taint;

/// The key under which a ProxyConfig carries the text that `protoToJSON` gives for it: its
/// fields' names here are Go's, from which the JSON can't be had back.
pub(super) const PROXY_CONFIG_TEXT: &str = "\u{0}json";

/// A function that looks at what it is given, beyond passing it on.
macro_rules! watched {
    ($f:expr) => {
        |args: &[Go]| {
            taint::looks_at(args);
            $f(args)
        }
    };
}

/// One of Go's that does.
macro_rules! watched_builtin {
    ($name:literal) => {
        |args: &[Go]| {
            taint::looks_at(args);
            builtin($name, args)
        }
    };
}

/// One that compares.
macro_rules! compared {
    ($name:literal) => {
        |args: &[Go]| {
            taint::compares(args);
            builtin($name, args)
        }
    };
}

/// One that looks at all but the first, which it looks into.
macro_rules! keyed {
    ($f:expr) => {
        |args: &[Go]| {
            taint::looks_at(args.get(1..2).unwrap_or_default());
            $f(args)
        }
    };
}

/// Every function by name; Istio's win over sprig's of the same name.
pub(super) const ALL: &[(&str, Func)] = &[
    ("annotation", keyed!(annotation)),
    ("appendMultusNetwork", watched!(append_multus_network)),
    ("applicationPorts", application_ports),
    ("contains", watched!(contains)),
    ("directory", watched!(directory)),
    ("env", env),
    ("excludeInboundPort", watched!(exclude_inbound_port)),
    ("excludeInterfaces", same),
    ("formatDuration", same),
    ("fromJSON", watched!(from_json)),
    ("fromJson", watched!(from_json)),
    ("includeInboundPorts", include_inbound_ports),
    ("indent", indent),
    ("index", keyed!(index)),
    ("isset", keyed!(isset)),
    ("kubevirtInterfaces", same),
    ("mergeMaps", merge_maps),
    ("omit", keyed!(omit)),
    ("omitNil", omit_nil),
    ("otelResourceAttributes", otel_resource_attributes),
    ("protoToJSON", proto_to_json),
    ("strdict", strdict),
    ("structToJSON", struct_to_json),
    ("toJSON", to_json),
    ("toJson", to_json),
    ("toJsonMap", to_json_map),
    ("toLower", watched!(strings::lower)),
    ("toYaml", to_yaml_text),
    ("valueOrDefault", value_or_default),
    ("append", strings::append),
    ("atoi", watched!(strings::to_int)),
    ("b64enc", watched!(strings::b64enc)),
    ("coalesce", strings::coalesce),
    ("default", strings::default),
    ("dict", strings::dict),
    ("add", watched!(strings::add)),
    ("sub", watched!(strings::sub)),
    ("mul", watched!(strings::mul)),
    ("max", watched!(strings::max)),
    ("min", watched!(strings::min)),
    ("empty", strings::empty),
    ("fail", watched!(strings::fail)),
    ("first", strings::first),
    ("get", keyed!(strings::get)),
    ("has", watched!(strings::has)),
    ("hasKey", keyed!(strings::has_key)),
    ("hasPrefix", watched!(strings::has_prefix)),
    ("hasSuffix", watched!(strings::has_suffix)),
    ("int", watched!(strings::to_int)),
    ("int64", watched!(strings::to_int)),
    ("join", strings::join),
    ("keys", strings::keys),
    ("last", strings::last),
    ("list", strings::list),
    ("lower", watched!(strings::lower)),
    ("nindent", strings::nindent),
    ("prepend", strings::prepend),
    ("quote", strings::quote),
    ("replace", watched!(strings::replace)),
    ("splitList", watched!(strings::split_list)),
    ("squote", strings::squote),
    ("ternary", strings::ternary),
    ("toString", strings::to_string),
    ("trim", strings::trim),
    ("trimAll", trim_all),
    ("trimPrefix", watched!(strings::trim_prefix)),
    ("trimSuffix", watched!(strings::trim_suffix)),
    ("trunc", trunc),
    ("upper", watched!(strings::upper)),
    // Go's own, but for the watch.
    ("call", watched!(gtmpl_ng::funcs::call)),
    ("eq", compared!("eq")),
    ("ge", watched_builtin!("ge")),
    ("gt", watched_builtin!("gt")),
    ("html", watched!(gtmpl_ng::funcs::html)),
    ("js", watched!(gtmpl_ng::funcs::js)),
    ("le", watched_builtin!("le")),
    ("len", watched!(gtmpl_ng::funcs::len)),
    ("lt", watched_builtin!("lt")),
    ("ne", compared!("ne")),
    ("printf", printf),
    ("slice", watched!(gtmpl_ng::funcs::slice)),
    ("urlquery", watched!(gtmpl_ng::funcs::urlquery)),
];

/// One of Go's functions.
fn builtin(name: &str, args: &[Go]) -> Answer {
    match gtmpl_ng::funcs::BUILTINS.iter().find(|(n, _)| *n == name) {
        Some((_, f)) => f(args),
        None => refuse(format!("{name} is not there")),
    }
}

/// Names and label values are not longer than this, so that a longer cut leaves them whole.
const WHOLE: i64 = 63;

fn trunc(args: &[Go]) -> Answer {
    if strings::number(arg(args, 0))? < WHOLE {
        taint::looks_at(args);
    }
    strings::trunc(args)
}

fn trim_all(args: &[Go]) -> Answer {
    // Letters and digits at their ends are what words have in common.
    if text(arg(args, 0)).contains(|c: char| c.is_alphanumeric() || c == '/') {
        taint::looks_at(args);
    }
    strings::trim_all(args)
}

fn printf(args: &[Go]) -> Answer {
    let format = text(arg(args, 0));
    let plain = |verb: &str| verb.starts_with(['s', 'v', 'd', 't']);
    if !format.split('%').skip(1).all(plain) {
        taint::looks_at(args);
    }
    taint::looks_at(&args[..args.len().min(1)]);
    gtmpl_ng::funcs::printf(args)
}

fn field<'v>(value: &'v Go, key: &str) -> &'v Go {
    match value {
        Go::Map(map) | Go::Object(map) => map.get(key).unwrap_or(&NOTHING),
        _ => &NOTHING,
    }
}

fn same(args: &[Go]) -> Answer {
    Ok(arg(args, 0).clone())
}

/// `annotation META NAME DEFAULT`: the annotation, else the default as text.
fn annotation(args: &[Go]) -> Answer {
    let key = text(arg(args, 1));
    // The metadata, as Istio's templates write it, or already its annotations.
    let found = match field(arg(args, 0), "Annotations") {
        Go::NoValue => field(arg(args, 0), &key),
        all => field(all, &key),
    };
    Ok(match found {
        Go::String(s) => Go::from(s.as_str()),
        _ => match arg(args, 2) {
            // What Go prints for a value that isn't there.
            Go::NoValue | Go::Nil => Go::from("<nil>"),
            other => Go::from(text(other)),
        },
    })
}

fn isset(args: &[Go]) -> Answer {
    let there = !matches!(field(arg(args, 0), &text(arg(args, 1))), Go::NoValue);
    Ok(there.into())
}

/// `index`, lenient as Go's is on maps: a key that isn't there is an empty value.
fn index(args: &[Go]) -> Answer {
    let mut at = arg(args, 0);
    for key in args.iter().skip(1) {
        at = match (at, key) {
            (Go::Map(map) | Go::Object(map), key) => match map.get(&text(key)) {
                Some(found) => found,
                // Go's map of strings answers with the empty string.
                None if map.values().all(|v| matches!(v, Go::String(_))) => return Ok("".into()),
                None => &NOTHING,
            },
            (Go::Array(list), Go::Number(n)) => {
                let found = n.as_u64().and_then(|i| list.get(usize::try_from(i).ok()?));
                let Some(found) = found else { return refuse(format!("index out of range: {n}")) };
                found
            }
            (Go::Nil | Go::NoValue, _) => &NOTHING,
            (other, key) => return refuse(format!("can't index {other} with {key}")),
        };
    }
    Ok(at.clone())
}

fn value_or_default(args: &[Go]) -> Answer {
    Ok(match arg(args, 0) {
        Go::Nil | Go::NoValue => arg(args, 1).clone(),
        Go::String(s) if s.is_empty() => arg(args, 1).clone(),
        value => value.clone(),
    })
}

/// Adds the status port to the excluded ones, unless it is there or 0.
fn exclude_inbound_port(args: &[Go]) -> Answer {
    Ok(exclude_port(&text(arg(args, 0)), &text(arg(args, 1))).into())
}

/// The rule of `excludeInboundPort`, for callers outside templates too.
pub(crate) fn exclude_port(port: &str, excluded: &str) -> String {
    let port = port.trim();
    if port.is_empty() || port == "0" || excluded.split(',').any(|p| p == port) {
        return excluded.to_owned();
    }
    let listed = excluded.split(',').map(str::trim).filter(|p| !p.is_empty());
    listed.chain([port]).collect::<Vec<_>>().join(",")
}

/// Sprig's `contains`, its arguments turned round as Istio has them: needle, haystack.
fn contains(args: &[Go]) -> Answer {
    Ok(text(arg(args, 1)).contains(&text(arg(args, 0))).into())
}

fn directory(args: &[Go]) -> Answer {
    let path = text(arg(args, 0));
    Ok(path.rfind('/').map_or("", |at| &path[..=at]).into())
}

/// The control plane's environment isn't ours: always the default.
fn env(args: &[Go]) -> Answer {
    Ok(arg(args, 1).clone())
}

/// Indents every line but the first.
fn indent(args: &[Go]) -> Answer {
    let spaces = strings::number(arg(args, 0))?;
    let Ok(width) = usize::try_from(spaces.clamp(0, 1000)) else { return refuse("indent") };
    let gap = format!("\n{}", " ".repeat(width));
    Ok(text(arg(args, 1)).replace('\n', &gap).into())
}

fn from_json(args: &[Go]) -> Answer {
    Ok(match serde_json::from_str::<Value>(&text(arg(args, 0))) {
        Ok(value) => plain(&value),
        // Istio logs and goes on; a map that isn't one is better refused.
        Err(e) => return refuse(format!("not JSON: {e}")),
    })
}

fn to_json(args: &[Go]) -> Answer {
    Ok(match arg(args, 0) {
        Go::Nil | Go::NoValue => "{}".into(),
        value => back(value, same_name).to_string().into(),
    })
}

fn struct_to_json(args: &[Go]) -> Answer {
    Ok(match arg(args, 0) {
        Go::Nil | Go::NoValue => "{}".into(),
        value => back(value, json_name).to_string().into(),
    })
}

fn proto_to_json(args: &[Go]) -> Answer {
    match field(arg(args, 0), PROXY_CONFIG_TEXT) {
        Go::String(text) => Ok(text.as_str().into()),
        _ => struct_to_json(args),
    }
}

fn to_yaml_text(args: &[Go]) -> Answer {
    Ok(to_yaml(&back(arg(args, 0), same_name)).into())
}

/// Drops nulls at any depth, and what is empty for it.
fn omit_nil(args: &[Go]) -> Answer {
    Ok(dropped(arg(args, 0)).map_or(Go::Nil, |(value, _)| value))
}

/// The value without nulls, and whether there were any; `None` where nothing is left.
fn dropped(value: &Go) -> Option<(Go, bool)> {
    match value {
        Go::Nil | Go::NoValue => None,
        Go::Map(map) | Go::Object(map) => {
            let mut changed = false;
            let mut out = HashMap::new();
            for (key, value) in map {
                match dropped(value) {
                    Some((value, below)) => {
                        changed |= below;
                        out.insert(key.clone(), value);
                    }
                    None => changed = true,
                }
            }
            (!changed || !out.is_empty()).then_some((Go::Map(out), changed))
        }
        Go::Array(items) => {
            let out: Vec<(Go, bool)> = items.iter().filter_map(dropped).collect();
            let changed = out.len() < items.len() || out.iter().any(|(_, c)| *c);
            let out: Vec<Go> = out.into_iter().map(|(v, _)| v).collect();
            (!changed || !out.is_empty()).then_some((Go::Array(out), changed))
        }
        other => Some((other.clone(), false)),
    }
}

fn omit(args: &[Go]) -> Answer {
    let keys: Vec<String> = args.iter().skip(1).map(text).collect();
    Ok(match arg(args, 0) {
        Go::Map(map) | Go::Object(map) => {
            let kept = map.iter().filter(|(k, _)| !keys.contains(*k));
            Go::Map(kept.map(|(k, v)| (k.clone(), v.clone())).collect())
        }
        other => other.clone(),
    })
}

fn strdict(args: &[Go]) -> Answer {
    let pairs = args.chunks(2).map(|pair| (text(arg(pair, 0)), Go::from(text(arg(pair, 1)))));
    Ok(Go::Map(pairs.collect()))
}

fn merge_maps(args: &[Go]) -> Answer {
    let mut out = HashMap::new();
    for value in args {
        if let Go::Map(map) | Go::Object(map) = value {
            out.extend(map.iter().map(|(k, v)| (k.clone(), v.clone())));
        }
    }
    Ok(Go::Map(out))
}

fn to_json_map(args: &[Go]) -> Answer {
    to_json(&[merge_maps(args)?])
}

fn application_ports(args: &[Go]) -> Answer {
    Ok(ports(items(arg(args, 0)).iter().filter(|c| text(field(c, "Name")) != "istio-proxy")).into())
}

fn include_inbound_ports(args: &[Go]) -> Answer {
    Ok(ports(items(arg(args, 0)).iter()).into())
}

fn ports<'v>(containers: impl Iterator<Item = &'v Go>) -> String {
    let tcp = |p: &&Go| !matches!(text(field(p, "Protocol")).as_str(), "UDP" | "SCTP");
    let ports = containers.flat_map(|c| items(field(c, "Ports"))).filter(tcp);
    ports.map(|p| text(field(p, "ContainerPort"))).collect::<Vec<_>>().join(",")
}

/// Adds a network to the Multus annotation, which is JSON or a comma-separated list.
fn append_multus_network(args: &[Go]) -> Answer {
    let (existing, network) = (text(arg(args, 0)), text(arg(args, 1)));
    Ok(append_network(&existing, &network).into())
}

/// The rule of `appendMultusNetwork`, for callers outside templates too.
pub(crate) fn append_network(existing: &str, network: &str) -> String {
    if existing.is_empty() {
        return network.to_owned();
    }
    let Some(end) = existing.rfind(']') else {
        let there = existing.split(',').any(|n| n.trim() == network);
        return if there { existing.to_owned() } else { format!("{existing}, {network}") };
    };
    let Ok(Value::Array(networks)) = serde_json::from_str::<Value>(existing) else {
        return existing.to_owned();
    };
    let (namespace, name) = network.split_once('/').unwrap_or(("", network));
    let of = |n: &Value, key: &str| n.get(key).and_then(Value::as_str).unwrap_or("").to_owned();
    if networks.iter().any(|n| of(n, "name") == name && of(n, "namespace") == namespace) {
        return existing.to_owned();
    }
    let comma = if networks.is_empty() { "" } else { ", " };
    let entry = if namespace.is_empty() {
        format!("{comma}{{\"name\": \"{name}\"}}")
    } else {
        format!("{comma}{{\"name\": \"{name}\", \"namespace\": \"{namespace}\"}}")
    };
    format!("{}{entry}{}", &existing[..end], &existing[end..])
}

/// OpenTelemetry's service attributes, where a tracing provider asks for them.
fn otel_resource_attributes(args: &[Go]) -> Answer {
    let wanted = items(field(arg(args, 0), "ExtensionProviders")).iter().any(|p| {
        let enrichment = field(field(p, "Opentelemetry"), "ServiceAttributeEnrichment");
        text(enrichment) == "OTEL_SEMANTIC_CONVENTIONS"
    });
    if !wanted {
        return Ok("".into());
    }
    taint::looks_at(args);
    let (annotations, labels) = (arg(args, 1), arg(args, 2));
    let (namespace, containers) = (text(arg(args, 3)), items(arg(args, 4)));
    let own = |what: &str| {
        let key = format!("resource.opentelemetry.io/service.{what}");
        Some(text(field(annotations, &key))).filter(|v| !v.is_empty())
    };
    let some = |v: String| Some(v).filter(|v| !v.is_empty());
    let image = || match containers {
        [one] => some(image_version(&text(field(one, "Image")))),
        _ => None,
    };
    let label = text(field(labels, "app.kubernetes.io/version"));
    let instance =
        containers.first().map(|c| format!("{namespace}.$(POD_NAME).{}", text(field(c, "Name"))));
    let attributes = [
        ("namespace", own("namespace").or_else(|| some(namespace.clone()))),
        ("version", own("version").or_else(|| some(label)).or_else(image)),
        ("instance.id", own("instance.id").or(instance)),
    ];
    let set = attributes.into_iter().filter_map(|(k, v)| Some(format!("service.{k}={}", v?)));
    Ok(set.collect::<Vec<_>>().join(",").into())
}

/// Tag and digest of an image: `1.21`, `sha256:…` or `1.21@sha256:…`.
fn image_version(image: &str) -> String {
    let (name, digest) = image.split_once('@').unwrap_or((image, ""));
    let last = name.rsplit('/').next().unwrap_or(name);
    let tag = last.rsplit_once(':').map_or("", |(_, tag)| tag);
    match (tag, digest) {
        ("", digest) => digest.to_owned(),
        (tag, "") => tag.to_owned(),
        (tag, digest) => format!("{tag}@{digest}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_status_port_is_excluded_once() {
        assert_eq!(exclude_port("15020", ""), "15020");
        assert_eq!(exclude_port("15020", "4, 5"), "4,5,15020");
        assert_eq!(exclude_port("15020", "15020,4"), "15020,4");
        assert_eq!(exclude_port("0", "4,5"), "4,5");
    }

    #[test]
    fn networks_in_both_forms() {
        assert_eq!(append_network("", "default/istio-cni"), "default/istio-cni");
        assert_eq!(append_network("a", "default/istio-cni"), "a, default/istio-cni");
        assert_eq!(
            append_network("a, default/istio-cni", "default/istio-cni").matches("cni").count(),
            1
        );
        let json = append_network(r#"[{"name": "a"}]"#, "default/istio-cni");
        assert_eq!(json, r#"[{"name": "a"}, {"name": "istio-cni", "namespace": "default"}]"#);
        assert_eq!(append_network(&json, "default/istio-cni"), json);
    }

    #[test]
    fn image_versions() {
        for (image, want) in [
            ("nginx:1.21", "1.21"),
            ("registry:5000/nginx", ""),
            ("a/b@sha256:ab", "sha256:ab"),
            ("r:5000/a:1@sha256:ab", "1@sha256:ab"),
        ] {
            assert_eq!(image_version(image), want, "{image}");
        }
    }
}
