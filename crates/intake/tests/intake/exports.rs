//! Cloud Logging exports.

use super::common::text;

#[test]
fn lines() {
    let got = text(
        "{\"insertId\":\"a\",\"logName\":\"l\",\"resource\":{\"type\":\"k8s_container\",\"labels\":{\"namespace_name\":\"shop\",\"pod_name\":\"p-1\",\"container_name\":\"app\"}},\"textPayload\":\"dial tcp 10.0.0.1:6379: connect: connection refused\",\"timestamp\":\"2020-03-31T10:41:15.552128897Z\"}\n",
    );
    assert_eq!(got.summary.lines, 1, "{}", got.everything());
}
