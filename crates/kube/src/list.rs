//! Lists in pages: bounded in memory, continued where the server has forgotten the beginning, and
//! handed on with one object a line.

#[cfg(any(test, fuzzing))]
pub(crate) mod fuzz;

use std::collections::HashSet;

use bytes::Bytes;
use serde::Deserialize;
use serde_json::value::RawValue;

use crate::Cluster;
use crate::need::Need;
use crate::request::{Ask, Bounds, Trouble, ask, escape};

/// Objects of one page.
const PAGE: usize = 500;
/// How often a list is begun anew because its beginning is gone.
const RESTARTS: usize = 3;

/// One kind's list.
pub(crate) struct List<'a> {
    pub(crate) need: &'a Need,
    /// Instead of the need's own.
    pub(crate) version: Option<&'static str>,
    pub(crate) namespace: Option<&'a str>,
    /// More of the query, such as `("labelSelector", "app=web")`.
    pub(crate) query: Vec<(&'a str, &'a str)>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Frame<'t> {
    #[serde(default)]
    api_version: String,
    #[serde(default)]
    kind: String,
    #[serde(default)]
    metadata: Meta,
    #[serde(borrow, default)]
    items: Option<Vec<&'t RawValue>>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Meta {
    #[serde(rename = "continue")]
    token: Option<String>,
    uid: Option<String>,
}

#[derive(Deserialize)]
struct Identity {
    #[serde(default)]
    metadata: Meta,
}

impl List<'_> {
    fn path(&self, limit: usize, token: Option<&str>) -> String {
        let mut need = *self.need;
        need.version = self.version.unwrap_or(need.version);
        let mut path = need.path(self.namespace);
        path.push_str(&format!("?limit={limit}"));
        let token = token.map(|token| ("continue", token));
        for (key, value) in self.query.iter().copied().chain(token) {
            path.push_str(&format!("&{key}={}", escape(value)));
        }
        path
    }

    /// Reads all pages, smaller ones where the server's are larger than the bounds. `each` gets every object once and says whether it is wanted; `page` takes
    /// a page's wanted objects as a list in JSON. What came before a trouble counts.
    pub(crate) async fn read(
        &self,
        cluster: &Cluster,
        bounds: Bounds,
        mut each: impl FnMut(&RawValue) -> bool,
        mut page: impl AsyncFnMut(Vec<u8>),
    ) -> Result<(), Trouble> {
        let mut limit = PAGE;
        let mut token: Option<String> = None;
        let mut seen: HashSet<String> = HashSet::new();
        let mut restarts = 0;
        loop {
            let request = Ask::get(self.path(limit, token.as_deref()));
            let bytes = match ask(cluster, &request, bounds).await {
                Ok(bytes) => bytes,
                Err(Trouble::Huge(_)) if limit > 1 => {
                    limit = (limit / 10).max(1);
                    continue;
                }
                // The server no longer knows where the list was begun. It offers to go on from
                // there as things are now; else all is read again, and what is known passed over.
                Err(Trouble::Refused(gone)) if gone.code == 410 && restarts < RESTARTS => {
                    restarts += 1;
                    token = gone.continued().map(str::to_owned);
                    continue;
                }
                Err(trouble) => return Err(trouble),
            };
            let (text, next) = wanted(&bytes, self.need, &mut seen, &mut each)?;
            drop(bytes);
            if let Some(text) = text {
                page(text).await;
            }
            match next {
                Some(next) => token = Some(next),
                None => return Ok(()),
            }
        }
    }
}

/// The wanted objects of a page as a list, and where it goes on.
fn wanted(
    bytes: &Bytes,
    need: &Need,
    seen: &mut HashSet<String>,
    each: &mut impl FnMut(&RawValue) -> bool,
) -> Result<(Option<Vec<u8>>, Option<String>), Trouble> {
    let garbled = |why: serde_json::Error| Trouble::Garbled(why.to_string().into());
    let frame: Frame<'_> = serde_json::from_slice(bytes).map_err(garbled)?;
    let kind = if frame.kind.is_empty() { format!("{}List", need.kind) } else { frame.kind };
    let version = if frame.api_version.is_empty() { need.api_version() } else { frame.api_version };
    let mut text = Vec::new();
    for item in frame.items.iter().flatten() {
        let identity: Identity = serde_json::from_str(item.get()).map_err(garbled)?;
        let new = identity.metadata.uid.is_none_or(|uid| seen.insert(uid));
        if !new || !each(item) {
            continue;
        }
        if text.is_empty() {
            let (version, kind) = (serde_json::json!(version), serde_json::json!(kind));
            text.extend_from_slice(
                format!(
                    "{{\"apiVersion\":{version},\"kind\":{kind},\"metadata\":{{}},\"items\":[\n"
                )
                .as_bytes(),
            );
        } else {
            text.extend_from_slice(b",\n");
        }
        text.extend(item.get().bytes().filter(|byte| *byte != b'\n'));
    }
    let next = frame.metadata.token.filter(|token| !token.is_empty());
    if text.is_empty() {
        return Ok((None, next));
    }
    text.extend_from_slice(b"\n]}\n");
    Ok((Some(text), next))
}
