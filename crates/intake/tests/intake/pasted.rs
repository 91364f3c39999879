//! The samples of the troubleshooting page, as people paste them.

use super::common::{Got, text};

const POD: &str = "post-feature-service-v1-67d56cdd-g7fvb";
const ERROR: &str = "E 2020-03-31T10:41:15.552128897Z post-feature-service post-feature-service-v1-67d56cdd-g7fvb failed to create connection to feature-store redis, err=dial tcp 192.168.9.16:19209: connect: connection refused post-feature-service post-feature-service-v1-67d56cdd-g7fvb";
const EVENTS: &str = "I 2020-03-31T10:41:15Z spec.containers{istio-proxy} Container image \"docker.io/istio/proxyv2:1.3.3\" already present on machine spec.containers{istio-proxy} I 2020-03-31T10:41:15Z spec.containers{istio-proxy} Created container spec.containers{istio-proxy} I 2020-03-31T10:41:15Z spec.containers{istio-proxy} Started container spec.containers{istio-proxy} I 2020-03-31T10:41:15Z spec.containers{APP-CONTAINER-NAME} Created container spec.containers{APP-CONTAINER-NAME} W 2020-03-31T10:41:17Z spec.containers{istio-proxy} Readiness probe failed: HTTP probe failed with statuscode: 503 spec.containers{istio-proxy} W 2020-03-31T10:41:58Z spec.containers{istio-proxy} Readiness probe failed: HTTP probe failed with statuscode: 503 spec.containers{istio-proxy}";
const MESSAGE: &str = "failed to create connection to feature-store redis, err=dial tcp 192.168.9.16:19209: connect: connection refused";

fn whole(got: &Got, line: u64) {
    let want =
        format!("-/{POD}/post-feature-service -:{line} 2020-03-31T10:41:15.552128897Z {MESSAGE}");
    assert_eq!(got.refusals(), [want], "{:?}", got.unreadable());
    let mut events = got.events();
    events.sort();
    assert_eq!(
        events,
        [
            "Pod/- APP-CONTAINER-NAME Created 2020-03-31T10:41:15Z Created container",
            "Pod/- istio-proxy Created 2020-03-31T10:41:15Z Created container",
            "Pod/- istio-proxy Pulled 2020-03-31T10:41:15Z Container image \"docker.io/istio/proxyv2:1.3.3\" already present on machine",
            "Pod/- istio-proxy Started 2020-03-31T10:41:15Z Started container",
            "Pod/- istio-proxy Unhealthy 2020-03-31T10:41:17Z Readiness probe failed: HTTP probe failed with statuscode: 503",
        ]
    );
    assert_eq!(got.summary.events, 6);
}

#[test]
fn run_together_on_one_line() {
    whole(&text(format!("{ERROR} {EVENTS}")), 1);
    whole(&text(format!("{EVENTS} {ERROR}\n")), 1);
}

#[test]
fn one_below_the_other() {
    let events = EVENTS.replace(" I 2020", "\nI 2020").replace(" W 2020", "\nW 2020");
    whole(&text(format!("{ERROR}\n{events}\n")), 1);
}

#[test]
fn wrapped_in_the_middle_of_an_entry() {
    for width in 20..80 {
        let mut wrapped = String::new();
        let mut column = 0;
        for word in format!("{ERROR} {EVENTS}").split(' ') {
            if column > width {
                wrapped.push('\n');
                column = 0;
            } else if column > 0 {
                wrapped.push(' ');
            }
            wrapped.push_str(word);
            column += word.len() + 1;
        }
        whole(&text(&wrapped), 1);
    }
}

#[test]
fn within_prose_of_any_language_and_typography() {
    let french = format!(
        "Exemple de résultat\u{a0}:\n«\u{a0}{}\u{a0}»\nNotez le code temporel. Error: connection refused\n“{}”\nUtilisez les codes.",
        ERROR.replace(' ', "\u{a0}"),
        EVENTS
    );
    whole(&text(&french), 2);
}

#[test]
fn the_pages_third_section() {
    let wrapped = "E 2020-03-31T10:41:15.552128897Z\npost-feature-service post-feature-service-v1-67d56cdd-g7fvb failed to create\nconnection to feature-store redis, err=dial tcp 192.168.9.16:19209: connect:\nconnection refused post-feature-service post-feature-service-v1-67d56cdd-g7fvb\nCe problème est dû à une condition de course.\n";
    let got = text(wrapped);
    assert_eq!(got.refusals().len(), 1);
    assert!(got.refusals()[0].ends_with(MESSAGE), "{:?}", got.refusals());
}

#[test]
fn without_the_repetition_an_entry_is_its_line() {
    let got = text(format!("E 2020-03-31T10:41:15Z app {POD} {MESSAGE}\nsome prose\n"));
    assert!(got.refusals()[0].ends_with(MESSAGE), "{:?}", got.refusals());
    let got = text("W 2020-03-31T10:41:58Z spec.initContainers{vault} Started container\n");
    assert_eq!(got.events(), ["Pod/- vault Started 2020-03-31T10:41:58Z Started container"]);
    assert!(got.snapshot.pods[0].events[0].event.init);
}
