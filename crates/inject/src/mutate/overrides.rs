//! A container that the user wrote under an injected one's name wins over the template, and the
//! capture container follows the uid it sets.

use serde_json::{Map, Value, json};
use sunup_api::container;

use crate::error::InjectError;
use crate::merge;
use crate::mutate::status::Status;
use crate::value::{annotation, check_container, containers, find, find_mut, list_mut};
use crate::value::{name, set_annotation, text_at};

/// Where the user's own containers are kept, so that a second injection knows them.
pub(crate) const ANNOTATION: &str = "proxy.istio.io/overrides";
/// The image that stands for the injected one.
const AUTO: &str = "auto";
const LISTS: [&str; 2] = ["containers", "initContainers"];

/// The user's own containers of an earlier injection.
pub(crate) fn kept(pod: &Value) -> Result<Value, InjectError> {
    let Some(text) = annotation(pod, ANNOTATION) else { return Ok(Value::Null) };
    read(text).map_err(|why| {
        InjectError::Annotations(format!("invalid value for annotation '{ANNOTATION}': {why}"))
    })
}

/// What the annotation's text holds.
pub(crate) fn read(text: &str) -> Result<Value, String> {
    let kept: Value = serde_json::from_str(text).map_err(|e| e.to_string())?;
    if !kept.is_object() {
        return Err("it is not a JSON map".to_owned());
    }
    for list in LISTS {
        let items = kept.get(list).filter(|v| !v.is_null());
        match items.map(Value::as_array) {
            Some(None) => return Err(format!("{list} is not a list")),
            Some(Some(items)) => {
                for (i, item) in items.iter().enumerate() {
                    check_container(item, &|| format!("{list}[{i}]")).map_err(|e| e.to_string())?;
                }
            }
            None => {}
        }
    }
    Ok(kept)
}

/// Puts containers of an earlier injection's overrides back where they were stripped.
pub(crate) fn reinsert(pod: &mut Value, kept: &Value) {
    for list in LISTS {
        for item in crate::value::list_at(kept, &[list]) {
            if find(containers(pod, list), name(item)).is_some() {
                continue;
            }
            if let Some(slot) = pod.get_mut("spec").and_then(|spec| list_mut(spec, list)) {
                slot.push(item.clone());
            }
        }
    }
}

/// How the user's container is laid over the template's.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Hooks {
    /// Field by field, as Istio does: an `exec` hook beside an `httpGet` one is invalid then.
    Merge,
    /// A hook the user wrote replaces the template's.
    Replace,
}

/// Lays the user's containers over the injected ones.
///
/// `original` is the pod as it came, `template` what the templates gave, `pod` the result so far.
pub(crate) fn reapply(
    pod: &mut Value,
    original: &Value,
    template: &Value,
    kept: &Value,
    hooks: Hooks,
) -> Result<(), InjectError> {
    let status = Status::of(original);
    let mut overrides = Map::new();
    for list in LISTS {
        for injected in containers(template, list) {
            let injected = name(injected);
            // What an earlier injection added is no word of the user's; what it kept aside is.
            // A sidecar that turned from classic to native is still ours (Istio takes it for the
            // user's, and the old image stays).
            let ours = status.as_ref().is_some_and(|s| {
                let moved = || LISTS.iter().any(|l| s.has(l, injected));
                s.has(list, injected) || (hooks == Hooks::Replace && moved())
            });
            let own =
                written(list, injected, |l| crate::value::list_at(kept, &[l])).or_else(|| {
                    if ours { None } else { written(list, injected, |l| containers(original, l)) }
                });
            let Some((origin, own)) = own else { continue };
            let mut own = own.clone();
            if text_at(&own, &["image"]) == Some(AUTO)
                && let Some(map) = own.as_object_mut()
            {
                map.remove("image");
            }
            if hooks == Hooks::Replace {
                drop_replaced_hooks(pod, injected, &own);
            }
            let overlay = json!({"spec": {list: [own.clone()]}});
            merge::strategic(pod, overlay)
                .map_err(|why| InjectError::Overlay { name: injected.to_owned(), why })?;
            let slot = overrides.entry(origin).or_insert_with(|| Value::Array(Vec::new()));
            if let Value::Array(slot) = slot {
                slot.push(own);
            }
        }
    }
    // Istio keeps them at the first injection only; what a status that says nothing of them, or can't
    // be read, leaves to the user is the user's at the next injection too.
    let first = status.is_none() || (hooks == Hooks::Replace && kept.is_null());
    if first && !overrides.is_empty() {
        set_annotation(pod, ANNOTATION, Value::Object(overrides).to_string());
    }
    Ok(())
}

/// The user's container under an injected one's name, and the list it was written in: a native
/// sidecar is customised among the ordinary containers too.
fn written<'v>(
    list: &'static str,
    name: &str,
    lists: impl Fn(&'static str) -> &'v [Value],
) -> Option<(&'static str, &'v Value)> {
    let own = |l: &'static str| Some((l, find(lists(l), name)?));
    own(list).or_else(|| if list == "initContainers" { own("containers") } else { None })
}

/// Removes the handlers of hooks and probes for which the user's container has its own.
fn drop_replaced_hooks(pod: &mut Value, container: &str, own: &Value) {
    let Some(injected) = find_mut(pod, container) else { return };
    for hook in ["preStop", "postStart"] {
        let theirs = own.pointer(&format!("/lifecycle/{hook}"));
        if theirs.is_some_and(Value::is_object)
            && let Some(lifecycle) = injected.get_mut("lifecycle").and_then(Value::as_object_mut)
        {
            lifecycle.remove(hook);
        }
    }
    for probe in ["readinessProbe", "livenessProbe", "startupProbe"] {
        let Some(theirs) = own.get(probe).and_then(Value::as_object) else { continue };
        let handlers = ["httpGet", "tcpSocket", "grpc", "exec"];
        let Some(kind) = handlers.iter().find(|h| theirs.contains_key(**h)) else { continue };
        if let Some(ours) = injected.get_mut(probe).and_then(Value::as_object_mut) {
            handlers.iter().filter(|h| *h != kind).for_each(|h| {
                ours.remove(*h);
            });
        }
    }
}

/// Makes the capture container exempt the uid that the user's proxy runs as.
pub(crate) fn adjust_init_user(pod: &mut Value, original: &Value, kept: &Value, tproxy: bool) {
    let status = Status::of(original);
    let among = |list: &'static str| {
        let earlier = find(crate::value::list_at(kept, &[list]), container::PROXY);
        let ours = status.as_ref().is_some_and(|s| s.has(list, container::PROXY));
        let users = || find(containers(original, list), container::PROXY);
        earlier.or_else(|| if ours { None } else { users() })
    };
    let proxy = among("containers").or_else(|| among("initContainers"));
    let id = |key: &str| proxy?.get("securityContext")?.get(key)?.as_u64();
    let (user, group) = (id("runAsUser"), id("runAsGroup"));
    if user.is_none() && group.is_none() {
        return;
    }
    let init = containers(pod, "initContainers");
    let name = [container::INIT, container::VALIDATION];
    let Some(init_name) = name.into_iter().find(|n| find(init, n).is_some()) else { return };
    if tproxy && user.is_some() {
        // TPROXY takes capabilities that only uid 0 keeps.
        if let Some(context) = find_mut(pod, container::PROXY)
            .and_then(|p| p.get_mut("securityContext"))
            .and_then(Value::as_object_mut)
        {
            context.insert("runAsUser".to_owned(), 0.into());
        }
    }
    let Some(init) = find_mut(pod, init_name) else { return };
    if !tproxy
        && init_name == container::VALIDATION
        && let Some(context) = crate::value::map_mut(init, "securityContext")
    {
        let ids = [("runAsUser", user), ("runAsGroup", group)];
        for (key, id) in ids {
            if let Some(id) = id {
                context.insert(key.to_owned(), id.into());
            }
        }
    }
    // An owner match on uid 0 would exempt every root process in the pod.
    let Some(user) = user.filter(|u| *u != 0) else { return };
    let args = init.get_mut("args").and_then(Value::as_array_mut);
    let Some(args) = args else { return };
    let flag = args.iter().position(|a| a.as_str() == Some("-u"));
    if let Some(slot) = flag.and_then(|at| args.get_mut(at + 1)) {
        *slot = Value::String(user.to_string());
    }
}
