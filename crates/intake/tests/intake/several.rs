//! Several things in one text: sessions, tickets, outputs one below the other.

use super::common::{Got, REFUSED, directory, text};

const AT: &str = "2020-03-31T10:41:15Z";

fn forms(got: &Got) -> Vec<(&str, u64)> {
    got.summary.read.forms.iter().map(|read| (read.form.as_str(), read.texts)).collect()
}

fn one(got: &Got, want: &str) {
    assert_eq!(got.unreadable(), Vec::<String>::new());
    assert_eq!(got.refusals(), [want]);
}

#[test]
fn a_command_says_whose_its_output_is() {
    for (prompt, command, whose) in [
        ("$ ", "kubectl logs web-0 -c app -n shop", "shop/web-0/app"),
        ("[me@host dir]$ ", "kubectl -n shop logs web-0 app", "shop/web-0/app"),
        ("# ", "oc logs web-0 --container=app", "-/web-0/app"),
        ("PS C:\\> ", "kubectl logs pod/web-0 --namespace shop", "shop/web-0/"),
        ("me@mac ~ % ", "k logs -f web-0", "-/web-0/"),
        ("", "kubectl logs web-0 -n shop -c app --previous", "shop/web-0/app"),
    ] {
        // With times and without any; the prompt that comes last is nobody's line.
        for line in [format!("{AT} {REFUSED}"), format!("error: {REFUSED}")] {
            let got = text(format!("{prompt}{command}\n{line}\n{prompt}\n"));
            let at = if line.starts_with(AT) { AT } else { "-" };
            let told = line.strip_prefix("2020-03-31T10:41:15Z ").unwrap_or(&line);
            one(&got, &format!("{whose} -:2 {at} {told}"));
            if command.contains("previous") {
                assert!(got.pod().logs["app"].previous);
            }
        }
    }
}

#[test]
fn a_command_may_go_on_in_the_next_line() {
    let got =
        text(format!("$ kubectl logs \\\n>   web-0 \\\n    -n shop -c app\n{AT} {REFUSED}\n"));
    one(&got, &format!("shop/web-0/app -:4 {AT} {REFUSED}"));
}

#[test]
fn a_session_of_several_commands() {
    let session = format!(
        "$ kubectl -n shop get pods\nNAME READY\n\n$ kubectl -n shop describe pod web-0\nName:         web-0\nNamespace:    shop\nContainers:\n  app:\n    Ready: True\nEvents:\n  Type    Reason   Age  From     Message\n  ----    ------   ---- ----     -------\n  Normal  Started  2m   kubelet  Started container app\n\n$ date -u\nFri Aug 23 16:12:20 UTC 2024\n$ kubectl -n shop logs web-0 -c app\n{AT} {REFUSED}\n$ kubectl -n shop logs web-0 -c other\nError from server (BadRequest): container other is not valid for pod web-0\n"
    );
    let got = text(session);
    one(&got, &format!("shop/web-0/app -:18 {AT} {REFUSED}"));
    assert_eq!(got.events().len(), 1);
    assert_eq!(got.pod().name.as_deref(), Some("web-0"));
    assert_eq!(forms(&got), [("describe", 1), ("log", 1)]);
}

#[test]
fn fences_of_a_ticket() {
    let ticket = format!(
        "## Bug\n\nThe pod does not start, the connection is refused. The log of `web-0`:\n\n```\n$ kubectl logs web-0 -c app\n{AT} {REFUSED}\n```\n\nand the events are these:\n\n~~~text\nLAST SEEN   TYPE     REASON    OBJECT      MESSAGE\n2m          Normal   Started   pod/web-0   Started container app\n~~~\n\nIt was refused because of the proxy, I think.\n"
    );
    for got in [text(&ticket), directory(&[("ticket.md", ticket.as_bytes())])] {
        assert_eq!(got.refusals().len(), 1, "{:?}", got.refusals());
        assert!(got.refusals()[0].starts_with("-/web-0/app "), "{:?}", got.refusals());
        assert_eq!(got.events().len(), 1);
        assert_eq!(got.summary.read.partly, []);
    }
}

#[test]
fn a_page_that_explains_shows_nobodys_manifests() {
    let page = b"# How to\n\nApply this:\n\n```yaml\napiVersion: v1\nkind: Pod\nmetadata: {name: x}\n```\n";
    let got = directory(&[("docs/how.md", page)]);
    assert_eq!((got.summary.objects, got.summary.read.passed_over), (0, 1));
    let ticket = [page.as_slice(), b"\n```\n2020-03-31T10:41:15Z up\n```\n"].concat();
    assert_eq!(directory(&[("ticket.md", &ticket)]).summary.objects, 1);
}

#[test]
fn prose_around_a_log_is_no_log_line() {
    let chat = format!(
        "Hi all, since yesterday our pod says that the connection was refused:\n{AT} {REFUSED}\n{AT} giving up\n\nDoes anybody know why it is refused? We have not changed anything.\n"
    );
    let got = text(chat);
    one(&got, &format!("-/-/ -:2 {AT} {REFUSED}"));
}

#[test]
fn a_line_before_a_description() {
    let got = text(
        "this is what describe says:\nName:         web-0\nNamespace:    shop\nContainers:\n  app:\n    Ready: True\n",
    );
    assert_eq!(got.pod().namespace.as_deref(), Some("shop"));
    assert_eq!(forms(&got), [("describe", 1)]);
}

#[test]
fn kubectl_says_which_container_it_took() {
    let got = text(format!(
        "$ kubectl logs web-0\nDefaulted container \"app\" out of: app, istio-proxy, istio-init (init)\n{AT} {REFUSED}\n"
    ));
    one(&got, &format!("-/web-0/app -:3 {AT} {REFUSED}"));
}

#[test]
fn colours_are_taken_out_wherever_they_are() {
    let coloured = |s: &str| format!("\u{1b}[1;32m{s}\u{1b}[0m");
    for (input, want) in [
        (
            format!("{} {} {AT} {REFUSED}\n", coloured("web-5d4f8c7b9-x7k2p"), coloured("app")),
            "-/web-5d4f8c7b9-x7k2p/app -:1",
        ),
        (format!("{} {REFUSED}\n", coloured(AT)), "-/-/ -:1"),
        (
            format!("{}$ kubectl logs web-0 -c app\n{AT} {REFUSED}\n", coloured("me@host:~")),
            "-/web-0/app -:2",
        ),
        (
            format!(
                "{{{}:\"{REFUSED}\",{}:\"{AT}\",\"podName\":\"web-0\",\"containerName\":\"app\"}}\n",
                coloured("\"message\""),
                coloured("\"time\"")
            ),
            "-/web-0/app -:1",
        ),
    ] {
        let got = text(&input);
        assert_eq!(got.refusals().len(), 1, "{input}: {:?}", got.unreadable());
        assert!(got.refusals()[0].starts_with(&format!("{want} {AT}")), "{:?}", got.refusals());
    }
}

#[test]
fn a_long_log_below_its_command_is_read_as_a_stream() {
    let mut input = "$ kubectl logs web-0 -c app\n".to_owned();
    while input.len() < 1 << 20 {
        input.push_str(&format!("{AT} all is well\n"));
    }
    let lines = input.lines().count() as u64;
    input.push_str(&format!("{AT} {REFUSED}\n"));
    let got = text(&input);
    one(&got, &format!("-/web-0/app -:{} {AT} {REFUSED}", lines + 1));
    assert_eq!(forms(&got), [("log", 1)]);
}

#[test]
fn what_can_not_be_placed_is_counted() {
    let got = text(format!(
        "$ kubectl logs web-0\n{AT} {REFUSED}\n\n```\nfoo|bar baz\nqux quux\n```\n$ kubectl get things\nPOD     WIBBLE   WOBBLE\nweb-0   1        2\n"
    ));
    assert_eq!(got.refusals().len(), 1);
    assert_eq!(got.summary.read.partly.iter().map(|p| p.lines).collect::<Vec<_>>(), [2]);
    assert_eq!(got.summary.read.unrecognised[0].source, "-:9");
}

#[test]
fn an_error_without_time_in_a_fence_is_a_log() {
    let ticket = format!("# Bug\n\nWe see this:\n\n```\nerror: {REFUSED}\n```\n");
    let got = directory(&[("ticket.md", ticket.as_bytes())]);
    assert_eq!(got.refusals(), [format!("-/-/ ticket.md:6 - error: {REFUSED}")]);
}

#[test]
fn what_is_printed_of_a_pod_is_that_pods_and_no_log() {
    let got = text(
        "$ kubectl -n shop get pod web-0 -o jsonpath='{range .status.containerStatuses[*]}{.name}{\"\\t\"}{.state}{\"\\n\"}{end}'\napp\t{\"terminated\":{\"exitCode\":0,\"reason\":\"Completed\"}}\nistio-proxy\t{\"running\":{\"startedAt\":\"2024-08-23T15:31:04Z\"}}\n$ kubectl -n shop get pod web-0 -o jsonpath={.status.podIP}\n10.0.0.9\n",
    );
    assert_eq!(got.pod().name.as_deref(), Some("web-0"));
    assert_eq!(got.pod().namespace.as_deref(), Some("shop"));
    assert_eq!(forms(&got), [("container-states", 1)]);
}
