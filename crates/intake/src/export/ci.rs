//! Logs of continuous integration: GitHub Actions, Azure Pipelines, GitLab, Jenkins.
//!
//! The times in front are when a runner printed a line, and never when it was written: they are
//! taken off. The commands that are echoed become a shell's, so that what they print is read as a
//! transcript is. Knows nothing of what commands print.

use std::borrow::Cow;
use std::io::Read;

use crate::ready::Ready;
use crate::time;

/// Lines of the head that are looked at.
const HEAD_LINES: usize = 400;

/// A longer line is no echo of a command and has no time to take off.
const LINE_MAX: usize = 1 << 20;

/// Commands whose output may hold evidence.
const TOOLS: &[&str] =
    &["kubectl", "oc", "helm", "istioctl", "stern", "docker", "crictl", "k3s", "minikube", "argo"];

/// Lines of a runner's own, by which it is known.
const GITLAB_MARK: &str = "Running with gitlab-runner ";
const JENKINS_MARKS: &[&str] = &[
    "[Pipeline] ",
    "Started by user ",
    "Running on Jenkins",
    "Finished: SUCCESS",
    "Finished: FAILURE",
];

/// Whose runner wrote a text.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Runner {
    /// GitHub Actions and Azure Pipelines.
    GitHub,
    GitLab,
    Jenkins,
}

/// Whether a text is the log of a runner.
pub(crate) fn is(head: &str) -> bool {
    runner(head).is_some()
}

fn runner(head: &str) -> Option<Runner> {
    let lines = || head.lines().filter(|l| !l.trim().is_empty()).take(HEAD_LINES);
    let any = |marks: &[&str]| lines().any(|l| marks.iter().any(|mark| l.contains(mark)));
    let most = |off: fn(&str) -> Option<&str>| {
        let (all, worn) = lines()
            .fold((0, 0), |(all, worn), line| (all + 1, worn + usize::from(off(line).is_some())));
        all > 0 && worn * 10 >= all * 9
    };
    if most(github_time) && any(&["##[", "[command]"]) {
        return Some(Runner::GitHub);
    }
    if any(&["section_start:", GITLAB_MARK]) {
        return Some(Runner::GitLab);
    }
    lines()
        .any(|l| {
            let text = jenkins_time(l).unwrap_or(l);
            JENKINS_MARKS.iter().any(|mark| text.starts_with(mark))
        })
        .then_some(Runner::Jenkins)
}

/// `2024-11-13T09:14:00.3900000Z text`, with `job` and `step` and tabs in front where `gh` printed
/// it.
fn github_time(line: &str) -> Option<&str> {
    let line = line.trim_start_matches('\u{feff}');
    let (_, rest) = time::rfc3339(line).or_else(|| {
        let (_, behind) = line.split_once('\t')?;
        let (_, behind) = behind.split_once('\t')?;
        time::rfc3339(behind.trim_start_matches('\u{feff}'))
    })?;
    rest.strip_prefix(' ').or(rest.is_empty().then_some(""))
}

/// `2024-11-13T09:14:00.390000Z 01O text`: the stream, and `+` where a line goes on.
fn gitlab_time(line: &str) -> Option<&str> {
    let (_, rest) = time::rfc3339(line)?;
    let rest = rest.strip_prefix(' ')?;
    let (stream, text) = rest.split_at_checked(3)?;
    let [a, b, kind] = stream.as_bytes() else { return None };
    let fits = a.is_ascii_hexdigit() && b.is_ascii_hexdigit() && matches!(kind, b'O' | b'E');
    fits.then(|| text.strip_prefix([' ', '+']).unwrap_or(text))
}

/// `[2024-11-13T09:14:00.390Z] text`, `09:14:00  text`.
fn jenkins_time(line: &str) -> Option<&str> {
    if let Some((_, rest)) = line.strip_prefix('[').and_then(time::rfc3339) {
        let rest = rest.strip_prefix(']')?;
        return Some(rest.strip_prefix(' ').unwrap_or(rest));
    }
    let (clock, text) = line.split_once("  ")?;
    let digits = clock.bytes().enumerate().all(|(i, b)| match i {
        2 | 5 => b == b':',
        _ => b.is_ascii_digit(),
    });
    (clock.len() == 8 && digits).then_some(text)
}

/// Takes the runner's own words off, line by line.
struct Strip {
    runner: Runner,
    group: Group,
}

/// Where in a step's head a line stands: the head repeats the script of the step.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Group {
    Outside,
    Script,
    Settings,
}

impl Strip {
    fn line<'l>(&mut self, line: &'l str) -> Cow<'l, str> {
        let line = line.strip_suffix('\r').unwrap_or(line);
        let text = match self.runner {
            Runner::GitHub => return self.github(github_time(line).unwrap_or(line)),
            Runner::GitLab => gitlab(gitlab_time(line).unwrap_or(line)),
            Runner::Jenkins => jenkins_time(line).unwrap_or(line),
        };
        let own = match self.runner {
            Runner::Jenkins => JENKINS_MARKS.iter().any(|mark| text.starts_with(mark)),
            _ => text.contains(GITLAB_MARK),
        };
        if own {
            return Cow::Borrowed("");
        }
        echoed(text, &["+ ", "++ ", "$ "])
    }

    fn github<'l>(&mut self, text: &'l str) -> Cow<'l, str> {
        if let Some(mark) = text.strip_prefix("##[") {
            let (mark, rest) = mark.split_once(']').unwrap_or((mark, ""));
            self.group = match mark {
                "group" if rest.starts_with("Run ") => Group::Script,
                _ => Group::Outside,
            };
            return match mark {
                "command" => echoed(text, &["##[command]"]),
                _ => Cow::Borrowed(""),
            };
        }
        match self.group {
            Group::Outside => echoed(text, &["[command]", "+ ", "++ "]),
            Group::Script if text.starts_with("shell: ") || text.starts_with("with:") => {
                self.group = Group::Settings;
                Cow::Borrowed("")
            }
            Group::Script => echoed(text.trim_start(), &[""]),
            Group::Settings => Cow::Borrowed(""),
        }
    }
}

/// A section's mark, which a carriage return hides, is no text.
fn gitlab(text: &str) -> &str {
    let marked = text.contains("section_start:") || text.contains("section_end:");
    match text.rsplit_once('\r') {
        Some((_, behind)) if marked => behind,
        _ if marked => "",
        _ => text,
    }
}

/// A command behind one of these marks, as a shell shows it; the text itself where it is none.
fn echoed<'l>(text: &'l str, marks: &[&str]) -> Cow<'l, str> {
    for mark in marks {
        let Some(command) = text.strip_prefix(mark) else { continue };
        let (program, rest) = command.split_once(' ').unwrap_or((command, ""));
        let name = program.rsplit('/').next().unwrap_or(program);
        if TOOLS.contains(&name) {
            return Cow::Owned(format!("$ {name} {rest}"));
        }
        return Cow::Borrowed(if mark.is_empty() || *mark == "$ " { text } else { "" });
    }
    Cow::Borrowed(text)
}

/// A runner's log as the transcript that it holds, line for line.
pub(crate) struct Transcript<R> {
    inner: R,
    strip: Strip,
    raw: Vec<u8>,
    ready: Ready,
    done: bool,
}

impl<R: Read> Transcript<R> {
    /// The transcript within a text that begins with `head`; `None` where no runner wrote it.
    pub(crate) fn new(inner: R, head: &str) -> Option<Self> {
        let strip = Strip { runner: runner(head)?, group: Group::Outside };
        let (raw, ready) = (Vec::new(), Ready::default());
        Some(Transcript { inner, strip, raw, ready, done: false })
    }

    fn more(&mut self) -> std::io::Result<()> {
        let mut block = [0u8; 16 << 10];
        let len = self.inner.read(&mut block)?;
        self.done = len == 0;
        self.raw.extend_from_slice(&block[..len]);
        let ready = self.ready.refill();
        let whole = self.done || self.raw.len() > LINE_MAX;
        let end = memchr::memrchr(b'\n', &self.raw).map_or(0, |n| n + 1);
        let end = if whole && (self.done || end == 0) { self.raw.len() } else { end };
        for line in self.raw[..end].split_inclusive(|b| *b == b'\n') {
            let text = line.strip_suffix(b"\n").unwrap_or(line);
            let lossy = String::from_utf8_lossy(text);
            ready.extend_from_slice(self.strip.line(&lossy).as_bytes());
            if text.len() < line.len() {
                ready.push(b'\n');
            }
        }
        self.raw.drain(..end);
        Ok(())
    }
}

impl<R: Read> Read for Transcript<R> {
    fn read(&mut self, buf: &mut [u8]) -> std::io::Result<usize> {
        while self.ready.is_empty() {
            if self.done {
                return Ok(0);
            }
            self.more()?;
        }
        Ok(self.ready.give(buf))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn transcript(text: &str) -> Option<String> {
        let mut out = String::new();
        Transcript::new(text.as_bytes(), text)?.read_to_string(&mut out).ok()?;
        Some(out)
    }

    #[test]
    fn commands_and_output_are_left_line_for_line() {
        for (text, want) in [
            (
                "2024-11-13T09:14:00.3900000Z ##[group]Run kubectl logs web-0 -n shop\n2024-11-13T09:14:00.3900000Z kubectl logs web-0 -n shop\n2024-11-13T09:14:00.3900000Z shell: /usr/bin/bash -e {0}\n2024-11-13T09:14:00.3900000Z env:\n2024-11-13T09:14:00.3900000Z   A: b\n2024-11-13T09:14:00.3900000Z ##[endgroup]\n2024-11-13T09:14:01.3900000Z refused\n2024-11-13T09:14:01.3900000Z ##[error]Process completed with exit code 1.\n",
                "\n$ kubectl logs web-0 -n shop\n\n\n\n\nrefused\n\n",
            ),
            (
                "e2e\tRun tests\t2024-11-13T09:14:00.3900000Z [command]/usr/bin/kubectl get pods\ne2e\tRun tests\t2024-11-13T09:14:00.3900000Z NAME READY\n",
                "$ kubectl get pods\nNAME READY\n",
            ),
            (
                "Running with gitlab-runner 16.5.0\n2024-11-13T09:14:00.390000Z 00O section_start:1731489240:step_script\r\n2024-11-13T09:14:00.390000Z 01O $ kubectl logs web-0\n2024-11-13T09:14:00.390000Z 01O refused\n2024-11-13T09:14:00.390000Z 01O $ make\n",
                "\n\n$ kubectl logs web-0\nrefused\n$ make\n",
            ),
            (
                "Started by user a\n[Pipeline] sh\n[2024-11-13T09:14:00.390Z] + kubectl logs web-0\n[2024-11-13T09:14:00.390Z] refused\n09:14:00  + echo x\n",
                "\n\n$ kubectl logs web-0\nrefused\n\n",
            ),
        ] {
            assert_eq!(transcript(text).as_deref(), Some(want), "{text}");
        }
    }

    #[test]
    fn other_texts_are_no_runners() {
        for text in [
            "",
            "2024-11-13T09:14:00.3900000Z info up\n2024-11-13T09:14:00.3900000Z info down\n",
            "$ kubectl logs web-0\nrefused\n",
            "I wrote ##[group] in a mail\n",
        ] {
            assert_eq!(transcript(text), None, "{text}");
        }
    }
}
