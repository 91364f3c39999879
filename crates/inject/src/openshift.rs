//! The proxy's uid and gid where a namespace has ranges of its own (OpenShift).
//!
//! # Sources
//! `GetProxyIDs` of istio/istio `pkg/kube/inject/inject.go`, `openshift.go` beside it (86c9f01).

use std::collections::BTreeMap;

use sunup_api::container::PROXY_UID;

const UIDS: &str = "openshift.io/sa.scc.uid-range";
const GROUPS: &str = "openshift.io/sa.scc.supplemental-groups";

/// uid and gid: the last of the namespace's range, else 1337.
pub(crate) fn proxy_ids(namespace: Option<&BTreeMap<String, String>>) -> (i64, i64) {
    let fixed = i64::from(PROXY_UID);
    let Some(namespace) = namespace else { return (fixed, fixed) };
    let last = |key| namespace.get(key).and_then(|v: &String| range_end(v.split(',').next()?));
    let uid = last(UIDS);
    (uid.unwrap_or(fixed), last(GROUPS).or(uid).unwrap_or(fixed))
}

/// The end of `start/size` or `start-end`.
fn range_end(block: &str) -> Option<i64> {
    if let Some((start, size)) = block.split_once('/') {
        let (start, size): (u32, u32) = (start.trim().parse().ok()?, size.trim().parse().ok()?);
        return Some(i64::from(start) + i64::from(size) - 1);
    }
    let (_, end) = block.split_once('-')?;
    end.trim().parse::<u32>().ok().map(i64::from)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_id_of_the_range() {
        let ns = BTreeMap::from([(UIDS.to_owned(), "1000620000/10000".to_owned())]);
        assert_eq!(proxy_ids(Some(&ns)), (1_000_629_999, 1_000_629_999));
        let ns = BTreeMap::from([(GROUPS.to_owned(), "5-9".to_owned())]);
        assert_eq!(proxy_ids(Some(&ns)), (1337, 9));
        assert_eq!(proxy_ids(None), (1337, 1337));
    }
}
