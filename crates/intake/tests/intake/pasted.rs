//! The samples of the troubleshooting page, as people paste them.

use super::common::text;

const ERROR: &str = "E 2020-03-31T10:41:15.552128897Z post-feature-service post-feature-service-v1-67d56cdd-g7fvb failed to create connection to feature-store redis, err=dial tcp 192.168.9.16:19209: connect: connection refused post-feature-service post-feature-service-v1-67d56cdd-g7fvb";
const EVENTS: &str = "I 2020-03-31T10:41:15Z spec.containers{istio-proxy} Created container spec.containers{istio-proxy} I 2020-03-31T10:41:15Z spec.containers{APP-CONTAINER-NAME} Created container spec.containers{APP-CONTAINER-NAME} W 2020-03-31T10:41:58Z spec.containers{istio-proxy} Readiness probe failed: HTTP probe failed with statuscode: 503 spec.containers{istio-proxy}";

#[test]
fn run_together_on_one_line() {
    let got = text(format!("{ERROR} {EVENTS}"));
    println!("{:?} {}", got.summary, got.everything());
    assert_eq!((got.summary.lines, got.summary.events), (1, 3));
    assert!(got.unreadable().is_empty());
}
