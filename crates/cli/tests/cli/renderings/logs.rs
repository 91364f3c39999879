//! Logs as lines: kubectl, runtimes, and tools that put something in front.

use super::{APP, Files, Form, Line, NAMESPACE, POD, Story, Vary, each, log_name, one};

use Vary::{Colours, Prose, Zone};

pub(super) static FORMS: &[&Form] = &[
    &Form::new("kubectl --prefix", prefixed).without_namespace().varies(&[Zone, Colours]),
    &Form::new("kubectl, a file for each container", by_name).without_namespace().varies(&[Zone]),
    &Form::new("CRI's files", cri).varies(&[Zone]),
    &Form::new("Docker's files", docker).varies(&[]),
    &Form::new("stern -t", stern).without_namespace().varies(&[Zone, Colours]),
    &Form::new("stern -t -A", stern_everywhere).varies(&[Zone, Colours]),
    &Form::new("kail", kail).varies(&[Zone]),
    &Form::new("kubetail", kubetail).without_namespace().varies(&[Zone]),
    &Form::new("logcli", logcli).varies(&[Zone]),
    &Form::new("Grafana's TXT", grafana).varies(&[]),
    &Form::new("aws logs tail", aws).varies(&[Zone]),
    &Form::new("Fluentd's file", fluentd).varies(&[Zone]).digits(0),
    &Form::new("UTF-16", utf16).without_namespace().varies(&[Zone]),
    &Form::new("CRLF", crlf).without_namespace().varies(&[Zone]),
    &Form::new("must-gather", must_gather).varies(&[Zone]),
    &Form::new("bug-report", bug_report).varies(&[]),
    &Form::new("entries copied out of the console", console).without_namespace().varies(&[Prose]),
];

fn timed(story: &Story, line: &Line) -> String {
    format!("{} {}", story.show(line.at, "%Y-%m-%dT%H:%M:%S%.9f%:z"), line.text)
}

fn prefixed(story: &Story) -> Files {
    let pod = |line: &Line| match story.coloured {
        true => format!("\u{1b}[36m[pod/{POD}/{}]\u{1b}[0m", line.container),
        false => format!("[pod/{POD}/{}]", line.container),
    };
    one("all.log", story.text(|line| format!("{} {}", pod(line), timed(story, line))))
}

fn by_name(story: &Story) -> Files {
    each(story, |container| format!("{POD}.{container}.log"), |line| timed(story, line))
}

fn cri(story: &Story) -> Files {
    let uid = "0a1b2c3d-0000-4000-8000-000000000000";
    each(
        story,
        |container| format!("var/log/pods/{NAMESPACE}_{POD}_{uid}/{container}/0.log"),
        |line| {
            format!("{} stderr F {}", story.show(line.at, "%Y-%m-%dT%H:%M:%S%.9f%:z"), line.text)
        },
    )
}

fn docker(story: &Story) -> Files {
    each(
        story,
        |container| format!("var/log/containers/{}", log_name(container)),
        |line| {
            story.object(&[
                ("log", format!("{}\n", line.text).into()),
                ("stream", "stderr".into()),
                ("time", line.at.to_string().into()),
            ])
        },
    )
}

fn stern(story: &Story) -> Files {
    let colour = |text: &str| match story.coloured {
        true => format!("\u{1b}[36m{text}\u{1b}[0m"),
        false => text.to_owned(),
    };
    one(
        "stern.txt",
        story.text(|l| format!("{} {} {}", colour(POD), colour(l.container), timed(story, l))),
    )
}

fn stern_everywhere(story: &Story) -> Files {
    one(
        "stern.txt",
        story.text(|l| format!("{NAMESPACE} {POD} {} {}", l.container, timed(story, l))),
    )
}

fn kail(story: &Story) -> Files {
    one(
        "kail.log",
        story.text(|l| format!("{NAMESPACE}/{POD}[{}]: {}", l.container, timed(story, l))),
    )
}

fn kubetail(story: &Story) -> Files {
    one("kubetail.log", story.text(|l| format!("[{POD} {}] {}", l.container, timed(story, l))))
}

fn logcli(story: &Story) -> Files {
    let line = |l: &Line| {
        format!(
            "{} {{container=\"{}\", namespace=\"{NAMESPACE}\", pod=\"{POD}\"}} {}",
            story.rfc3339(l.at),
            l.container,
            l.text
        )
    };
    one(
        "logcli.txt",
        format!(
            "https://loki.example/loki/api/v1/query_range?direction=BACKWARD\n{}",
            story.text(line)
        ),
    )
}

fn grafana(story: &Story) -> Files {
    let labels = |container: &str| {
        format!(r#"{{"container":"{container}","namespace":"{NAMESPACE}","pod":"{POD}"}}"#)
    };
    let line = |l: &Line| {
        format!(
            "{}\t{}\t{}",
            l.at.as_millisecond(),
            story.show(l.at, "%Y-%m-%dT%H:%M:%S%.3fZ"),
            l.text
        )
    };
    each(story, |container| format!("Logs-{}.txt", container.len()), line)
        .into_iter()
        .zip([super::PROXY, APP])
        .map(|((name, text), container)| {
            let head = format!(
                "Common labels: {}\nLine limit: \"1000 (2 returned)\"\n\n\n",
                labels(container)
            );
            (name, [head.into_bytes(), text].concat())
        })
        .collect()
}

fn aws(story: &Story) -> Files {
    let stream = |container: &str| {
        format!("ip-10-0-0-7-application.var.log.containers.{}", log_name(container))
    };
    let line = |l: &Line| {
        format!(
            "{} {} {}",
            story.show(l.at, "%Y-%m-%dT%H:%M:%S%.6f%:z"),
            stream(l.container),
            l.text
        )
    };
    one("tail.txt", story.text(line))
}

fn fluentd(story: &Story) -> Files {
    let line = |l: &Line| {
        let record = story.object(&[("log", l.text.clone().into()), ("stream", "stderr".into())]);
        format!(
            "{}\tkubernetes.var.log.containers.{}\t{record}",
            story.show(l.at, "%Y-%m-%dT%H:%M:%S%:z"),
            log_name(l.container)
        )
    };
    one("buffer.log", story.text(line))
}

fn utf16(story: &Story) -> Files {
    let (name, text) = prefixed(story).remove(0);
    let text = String::from_utf8(text).expect("made of text");
    one(
        &name,
        format!("\u{feff}{text}").encode_utf16().flat_map(u16::to_le_bytes).collect::<Vec<u8>>(),
    )
}

fn crlf(story: &Story) -> Files {
    let (name, text) = prefixed(story).remove(0);
    one(&name, String::from_utf8(text).expect("made of text").replace('\n', "\r\n"))
}

fn must_gather(story: &Story) -> Files {
    each(
        story,
        |c| format!("namespaces/{NAMESPACE}/pods/{POD}/{c}/{c}/logs/current.log"),
        |line| timed(story, line),
    )
}

fn bug_report(story: &Story) -> Files {
    let mut files = each(
        story,
        |container| format!("proxies/{NAMESPACE}/{POD}/{container}.log"),
        |line| match line.container {
            // Istio's own lines bear their time; what the application writes is fetched with one.
            APP => timed(story, line),
            _ => line.text.clone(),
        },
    );
    files.sort();
    files
}

fn console(story: &Story) -> Files {
    let line = |l: &Line| {
        let text = l.text.replace('\t', " ");
        format!("E {} {c} {POD} {text} {c} {POD}", l.at, c = l.container)
    };
    one("page.txt", story.text(line))
}
