//! AdmissionReview on the wire: read without copying the object, written with the patch in base64.
//!
//! Both versions have the same fields; the answer carries the version of the question.
//!
//! # Sources
//! Kubernetes 1.33, "Dynamic Admission Control", webhook request and response.

use std::borrow::Cow;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde::Deserialize;
use serde_json::value::RawValue;

/// What is asked.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Review<'a> {
    #[serde(borrow, default)]
    pub(crate) api_version: Cow<'a, str>,
    #[serde(borrow)]
    pub(crate) request: Request<'a>,
}

/// The request's fields that matter here. Everything else is skipped, however large it is.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Request<'a> {
    #[serde(borrow)]
    pub(crate) uid: Cow<'a, str>,
    #[serde(borrow, default)]
    pub(crate) resource: Resource<'a>,
    #[serde(borrow, default)]
    pub(crate) sub_resource: Cow<'a, str>,
    #[serde(borrow, default)]
    pub(crate) namespace: Cow<'a, str>,
    #[serde(borrow, default)]
    pub(crate) operation: Cow<'a, str>,
    #[serde(borrow, default)]
    pub(crate) object: Option<&'a RawValue>,
    #[serde(default)]
    pub(crate) dry_run: Option<bool>,
}

/// Which kind of object.
#[derive(Debug, Default, Deserialize)]
pub(crate) struct Resource<'a> {
    #[serde(borrow, default)]
    pub(crate) group: Cow<'a, str>,
    #[serde(borrow, default)]
    pub(crate) resource: Cow<'a, str>,
}

const V1: &str = "admission.k8s.io/v1";
const V1_BETA1: &str = "admission.k8s.io/v1beta1";

impl<'a> Review<'a> {
    /// Reads a review.
    ///
    /// # Errors
    /// Why it is none, in a sentence.
    pub(crate) fn read(body: &'a [u8]) -> Result<Self, String> {
        let text = std::str::from_utf8(body)
            .map_err(|e| format!("the request is not UTF-8 at byte {}", e.valid_up_to()))?;
        let review: Review<'a> = serde_json::from_str(text)
            .map_err(|e| format!("the request is no AdmissionReview: {e}"))?;
        match review.api_version.as_ref() {
            V1 | V1_BETA1 => Ok(review),
            other => {
                Err(format!("the request's apiVersion is {other:?}; {V1} and {V1_BETA1} are known"))
            }
        }
    }
}

impl Request<'_> {
    /// Whether a pod is being created; everything else passes unchanged.
    pub(crate) fn creates_pod(&self) -> bool {
        let resource = &self.resource;
        resource.group.is_empty()
            && resource.resource == "pods"
            && self.sub_resource.is_empty()
            && self.operation == "CREATE"
    }
}

/// The answer.
#[derive(Debug, Default)]
pub(crate) struct Response {
    /// Why not, where it is not allowed.
    pub(crate) denied: Option<String>,
    /// The text of a JSON Patch.
    pub(crate) patch: Option<Vec<u8>>,
    /// Shown to whoever creates the object.
    pub(crate) warnings: Vec<String>,
}

impl Response {
    pub(crate) fn denied(why: impl Into<String>) -> Self {
        Response { denied: Some(why.into()), ..Response::default() }
    }

    /// As JSON.
    pub(crate) fn write(&self, version: &str, uid: &str) -> Vec<u8> {
        let patch = self.patch.as_ref().map_or(0, |p| p.len() * 4 / 3 + 64);
        let mut out = Vec::with_capacity(patch + 512);
        let version = if version == V1_BETA1 { V1_BETA1 } else { V1 };
        out.extend_from_slice(b"{\"apiVersion\":\"");
        out.extend_from_slice(version.as_bytes());
        out.extend_from_slice(b"\",\"kind\":\"AdmissionReview\",\"response\":{\"uid\":");
        string(&mut out, uid);
        match &self.denied {
            Some(why) => {
                out.extend_from_slice(b",\"allowed\":false,\"status\":{\"code\":422,\"message\":");
                string(&mut out, why);
                out.extend_from_slice(b"}");
            }
            None => out.extend_from_slice(b",\"allowed\":true"),
        }
        if let Some(patch) = &self.patch {
            out.extend_from_slice(b",\"patchType\":\"JSONPatch\",\"patch\":\"");
            let at = out.len();
            out.resize(at + patch.len().div_ceil(3) * 4, 0);
            let written = STANDARD.encode_slice(patch, &mut out[at..]).unwrap_or_default();
            out.truncate(at + written);
            out.push(b'"');
        }
        for (i, warning) in self.warnings.iter().enumerate() {
            out.extend_from_slice(if i == 0 { b",\"warnings\":[" } else { b"," });
            string(&mut out, warning);
        }
        if !self.warnings.is_empty() {
            out.push(b']');
        }
        out.extend_from_slice(b"}}");
        out
    }
}

fn string(out: &mut Vec<u8>, text: &str) {
    // A vector takes every byte.
    let _ = serde_json::to_writer(out, text);
}

/// The uid of a request that can't be read as a whole, so that it gets an answer all the same:
/// API servers write it first.
pub(crate) fn uid_of(body: &[u8]) -> Option<&str> {
    let head = &body[..body.len().min(4096)];
    let after = |from: usize, what: &[u8]| {
        let rest = &head[from..];
        rest.windows(what.len()).position(|w| w == what).map(|at| from + at + what.len())
    };
    let request = after(0, b"\"request\"")?;
    let rest = &head[after(request, b"\"uid\"")?..];
    let open = rest.iter().position(|b| *b == b'"')?;
    if !rest[..open].iter().all(|b| matches!(b, b' ' | b':' | b'\t' | b'\n')) {
        return None;
    }
    let rest = &rest[open + 1..];
    let end = rest.iter().position(|b| *b == b'"')?;
    let uid = std::str::from_utf8(&rest[..end]).ok()?;
    let plain = |b: u8| b.is_ascii_alphanumeric() || b == b'-';
    (!uid.is_empty() && uid.len() <= 128 && uid.bytes().all(plain)).then_some(uid)
}

/// The version that such a request names.
pub(crate) fn version_of(body: &[u8]) -> &'static str {
    let head = &body[..body.len().min(4096)];
    if head.windows(V1_BETA1.len()).any(|w| w == V1_BETA1.as_bytes()) { V1_BETA1 } else { V1 }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    #[test]
    fn an_answer_is_json_with_the_patch_in_base64() {
        let response = Response {
            denied: None,
            patch: Some(b"[{\"op\":\"add\"}]".to_vec()),
            warnings: vec!["a \"b\"".to_owned(), "c".to_owned()],
        };
        let got: Value = serde_json::from_slice(&response.write(V1_BETA1, "u-1")).unwrap();
        let want = json!({"apiVersion": "admission.k8s.io/v1beta1", "kind": "AdmissionReview",
            "response": {"uid": "u-1", "allowed": true, "patchType": "JSONPatch",
                "patch": "W3sib3AiOiJhZGQifV0=", "warnings": ["a \"b\"", "c"]}});
        assert_eq!(got, want);
        let denied = Response::denied("no\n").write(V1, "u");
        let got: Value = serde_json::from_slice(&denied).unwrap();
        assert_eq!(got["response"]["allowed"], false);
        assert_eq!(got["response"]["status"]["message"], "no\n");
    }

    #[test]
    fn the_uid_is_found_in_what_cannot_be_read() {
        let body = b"{\"kind\":\"AdmissionReview\",\"request\":{\"uid\": \"ab-1\",\"object\":\xff";
        assert_eq!(uid_of(body), Some("ab-1"));
        for body in [&b""[..], b"{}", b"{\"request\":{\"uid\":7", b"{\"request\":{\"uid\":\"a b\""]
        {
            assert_eq!(uid_of(body), None);
        }
    }
}
