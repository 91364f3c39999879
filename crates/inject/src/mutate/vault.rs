//! Vault's address left out of capture, where Vault's agent runs before the proxy.

use serde_json::Value;
use sunup_api::{annotation as keys, container};

use crate::build::vault;
use crate::reason::Reason;
use crate::value::{annotation, containers, find, find_mut, set_annotation};

/// Leaves Vault's address out of capture: in the arguments of the capture container, or in the
/// annotation by which the CNI plugin learns it.
pub(crate) fn exclude(pod: &mut Value, asked_again: bool, reasons: &mut Vec<Reason>) {
    let all = containers(pod, "initContainers");
    let native = find(all, container::PROXY).is_some();
    let cni = find(all, container::INIT).is_none();
    let mode = annotation(pod, keys::INTERCEPTION_MODE) == Some("NONE");
    if native || mode || (cni && find(all, container::VALIDATION).is_none()) {
        return;
    }
    let Some(range) = vault::range(pod, cni, asked_again, reasons) else { return };
    let listed = |list: &str| list.split(',').any(|r| r.trim() == range);
    let joined = |list: &str| match list {
        "" => range.clone(),
        list => format!("{list},{range}"),
    };
    if cni {
        let list = annotation(pod, keys::EXCLUDE_OUTBOUND_RANGES).unwrap_or_default();
        if !listed(list) {
            let list = joined(list);
            set_annotation(pod, keys::EXCLUDE_OUTBOUND_RANGES, list);
        }
        return;
    }
    let args = find_mut(pod, container::INIT).and_then(|c| c.get_mut("args")?.as_array_mut());
    let Some(args) = args else { return };
    let flag = args.iter().position(|a| a == "-x");
    if let Some(slot) = flag.and_then(|at| args.get_mut(at + 1))
        && let Some(list) = slot.as_str().filter(|list| !listed(list))
    {
        *slot = joined(list).into();
    }
}
