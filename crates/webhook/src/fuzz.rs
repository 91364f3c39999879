//! What a fuzzer hands bytes to: a whole review, with what has to hold whatever was sent. No part
//! of the program: it is built for fuzzing, and for the tests of inputs that once broke something.

use std::sync::LazyLock;
use std::sync::atomic::Ordering;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::Value;
use sunup_inject::{Injector, JsonPatchOp, Options, Sources, apply};

use crate::Reviewer;
use crate::review::{Review, uid_of};

/// The paths that the first byte chooses from.
const PATHS: [&str; 5] =
    ["/inject", "/guard", "/validate", "/validate/deny", "/inject/cluster/a/net/b--slash--c"];

static REVIEWER: LazyLock<Reviewer> = LazyLock::new(|| {
    let settings = Sources::default().build(Options::default()).expect("nobody set anything");
    let reviewer = Reviewer::default();
    reviewer.use_settings(Injector::new(settings).expect("templates of ours"));
    reviewer
});

/// An answer is to the request that was sent; its patch applies to the object, and asked again about
/// what came of it the same webhook changes nothing.
pub fn review(bytes: &[u8]) {
    let Some((first, body)) = bytes.split_first() else { return };
    let path = PATHS[usize::from(*first) % PATHS.len()];
    let Some(answer) = answer(path, body) else { return };
    // Whoever is called twice with the same says the same.
    assert_eq!(self::answer(path, body).as_ref(), Some(&answer), "another answer the second time");
    let Some(patch) = answer["response"]["patch"].as_str() else { return };
    let patch = STANDARD.decode(patch).expect("base64");
    let patch: Vec<JsonPatchOp> = ops(&serde_json::from_slice(&patch).expect("a list"));
    let mut sent: Value = serde_json::from_slice(body).expect("it was read");
    let mut object = sent["request"]["object"].clone();
    apply(&mut object, &patch).expect("a patch of the object as sent");
    sent["request"]["object"] = object;
    let again = self::answer(path, &serde_json::to_vec(&sent).expect("JSON")).expect("an answer");
    assert_eq!(again["response"].get("patch"), None, "{path} changes its own work: {sent}");
}

/// What is answered, where it was a review.
fn answer(path: &str, body: &[u8]) -> Option<Value> {
    let reply = REVIEWER.post(path, body);
    assert_eq!(REVIEWER.metrics.panics.load(Ordering::Relaxed), 0, "it met a bug");
    if reply.status != 200 {
        assert_eq!(reply.status, 400, "{}", String::from_utf8_lossy(&reply.body));
        return None;
    }
    let answer: Value = serde_json::from_slice(&reply.body).expect("an answer is JSON");
    let response = &answer["response"];
    let uid = match Review::read(body) {
        Ok(review) => review.request.uid.into_owned(),
        Err(_) => uid_of(body).expect("it was answered").to_owned(),
    };
    assert_eq!(response["uid"].as_str(), Some(uid.as_str()), "the answer to another request");
    let allowed = response["allowed"].as_bool().expect("yes or no");
    assert!(allowed || response["status"]["message"].as_str().is_some_and(|why| !why.is_empty()));
    for warning in response["warnings"].as_array().into_iter().flatten() {
        let warning = warning.as_str().expect("a text");
        assert!(!warning.chars().any(char::is_control), "a warning steers: {warning:?}");
    }
    Some(answer)
}

fn ops(patch: &Value) -> Vec<JsonPatchOp> {
    let one = |op: &Value| {
        let path = op["path"].as_str().expect("a place").to_owned();
        match op["op"].as_str() {
            Some("add") => JsonPatchOp::Add { path, value: op["value"].clone() },
            Some("replace") => JsonPatchOp::Replace { path, value: op["value"].clone() },
            Some("remove") => JsonPatchOp::Remove { path },
            other => panic!("an operation {other:?}"),
        }
    };
    patch.as_array().expect("a list").iter().map(one).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A review of a pod of so many containers.
    fn of(size: usize) -> Vec<u8> {
        let container = |i| format!(r#"{{"name":"c{i}","image":"web:{i}"}}"#);
        let containers: Vec<String> = (0..size).map(container).collect();
        let object = format!(
            r#"{{"metadata":{{"name":"web-0"}},"spec":{{"containers":[{}]}}}}"#,
            containers.join(",")
        );
        format!(
            r#"{{"apiVersion":"admission.k8s.io/v1","request":{{"uid":"u","resource":{{"group":"","resource":"pods"}},"namespace":"shop","operation":"CREATE","object":{object}}}}}"#
        )
        .into_bytes()
    }

    #[test]
    fn work_grows_with_the_containers_that_are_judged() {
        let test = "fuzz::tests::work_grows_with_the_containers_that_are_judged";
        sunup_testkit::growth::inside(test, 300, |size| {
            assert!(answer("/validate", &of(size)).is_some());
        });
    }

    #[test]
    fn work_grows_with_the_containers_that_are_injected() {
        let test = "fuzz::tests::work_grows_with_the_containers_that_are_injected";
        sunup_testkit::growth::inside(test, 300, |size| {
            assert!(answer("/inject", &of(size)).is_some());
        });
    }

    #[test]
    fn a_status_that_cannot_be_read_loses_no_container_of_the_users() {
        for status in [r#"{\"containers\":[istio-proxy"#, "x", "{}"] {
            let body = format!(
                r#"{{"apiVersion":"admission.k8s.io/v1","request":{{"uid":"u","resource":{{"group":"","resource":"pods"}},"namespace":"shop","operation":"CREATE","object":{{"metadata":{{"name":"web-0","annotations":{{"sidecar.istio.io/status":"{status}"}}}},"spec":{{"containers":[{{"name":"app","image":"web:1"}},{{"name":"istio-proxy","image":"own:1"}}]}}}}}}}}"#
            );
            let patched = answer("/inject", body.as_bytes()).expect("200")["response"].clone();
            assert!(patched["patch"].is_string(), "{status}: {patched}");
            review(&[&[0], body.as_bytes()].concat());
        }
    }

    #[test]
    fn a_review_is_answered_and_its_patch_is_all_there_is_to_do() {
        let body = r#"{"apiVersion":"admission.k8s.io/v1","kind":"AdmissionReview","request":{"uid":"u",
            "resource":{"group":"","version":"v1","resource":"pods"},"namespace":"shop",
            "operation":"CREATE","object":{"metadata":{"name":"web-0"},"spec":{"containers":
            [{"name":"app","image":"web:1","readinessProbe":{"httpGet":{"port":80}}}]}}}}"#;
        for first in 0..5 {
            review(&[&[first], body.as_bytes()].concat());
            review(&[&[first], &body.as_bytes()[..300]].concat());
        }
        assert!(answer("/inject", body.as_bytes()).expect("200")["response"]["patch"].is_string());
    }
}
