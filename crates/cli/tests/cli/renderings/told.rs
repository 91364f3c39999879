//! What people and runners write around logs: transcripts, pages, jobs.

use super::{APP, Files, Form, Line, NAMESPACE, POD, PROXY, Story, Vary, one};

use Vary::{Colours, Prose, Zone};

pub(super) static FORMS: &[&Form] = &[
    &Form::new("transcript", transcript).varies(&[Zone, Colours, Prose]),
    &Form::new("PowerShell", powershell).varies(&[Zone]),
    &Form::new("Markdown", markdown).varies(&[Zone, Prose]),
    &Form::new("GitHub Actions", github).varies(&[Zone]),
    &Form::new("GitLab CI", gitlab).varies(&[Zone]),
    &Form::new("Jenkins", jenkins).varies(&[Zone]),
];

/// The log of one container as `kubectl logs --timestamps` prints it.
fn log(story: &Story, container: &str) -> Vec<String> {
    let line = |l: &Line| format!("{} {}", story.show(l.at, "%Y-%m-%dT%H:%M:%S%.9f%:z"), l.text);
    story.lines.iter().filter(|l| l.container == container).map(line).collect()
}

fn command(container: &str) -> String {
    format!("kubectl logs -n {NAMESPACE} {POD} -c {container} --timestamps")
}

fn session(story: &Story, prompt: &str) -> String {
    let mut out = String::new();
    for container in [PROXY, APP] {
        out.push_str(&format!("{prompt}{}\n", command(container)));
        for line in log(story, container) {
            out.push_str(&line);
            out.push('\n');
        }
    }
    out
}

fn transcript(story: &Story) -> Files {
    one("session.txt", session(story, "$ "))
}

fn powershell(story: &Story) -> Files {
    one("session.txt", session(story, "PS C:\\Users\\me> "))
}

fn markdown(story: &Story) -> Files {
    let mut out = "# Orders does not start\n\nThe logs:\n\n".to_owned();
    for container in [PROXY, APP] {
        out.push_str(&format!(
            "```\n$ {}\n{}\n```\n\n",
            command(container),
            log(story, container).join("\n")
        ));
    }
    one("ticket.md", out)
}

/// Each line with what a runner puts in front.
fn runner(story: &Story, front: &str, echo: impl Fn(&str) -> Vec<String>) -> String {
    let mut out = String::new();
    for container in [PROXY, APP] {
        let lines = echo(&command(container)).into_iter().chain(log(story, container));
        for line in lines {
            out.push_str(&format!("{front}{line}\n"));
        }
    }
    out
}

fn github(story: &Story) -> Files {
    let front = "2026-03-31T11:02:33.1234567Z ";
    let echo = |command: &str| {
        vec![
            format!("##[group]Run {command}"),
            format!("\u{1b}[36;1m{command}\u{1b}[0m"),
            "shell: /usr/bin/bash -e {0}".to_owned(),
            "##[endgroup]".to_owned(),
        ]
    };
    let end = format!("{front}##[error]Process completed with exit code 1.\n");
    one("3_e2e.txt", runner(story, front, echo) + &end)
}

fn gitlab(story: &Story) -> Files {
    let front = "2026-03-31T11:02:33.123456Z 01O ";
    let echo = |command: &str| vec![format!("\u{1b}[32;1m$ {command}\u{1b}[0;m")];
    let head = format!(
        "{front}Running with gitlab-runner 17.5.0 (12345678)\n{front}section_start:1774954953:step_script\r\u{1b}[0KExecuting \"step_script\"\n"
    );
    one("job.log", head + &runner(story, front, echo))
}

fn jenkins(story: &Story) -> Files {
    let front = "[2026-03-31T11:02:33.123Z] ";
    let echo = |command: &str| vec![format!("+ {command}")];
    one(
        "console.txt",
        format!(
            "Started by user somebody\n[Pipeline] sh\n{}[Pipeline] }}\nFinished: FAILURE\n",
            runner(story, front, echo)
        ),
    )
}
