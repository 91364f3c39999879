//! `pods/log` as a kubelet answers it, for the lab's pods; everything else is the API server's.
//!
//! # Sources
//! Kubernetes, `pkg/kubelet/kubelet_pods.go` (which run's log is meant), `PodLogOptions`.

use std::collections::{BTreeMap, VecDeque};
use std::fmt::Write as _;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use http::{Method, Response, StatusCode};
use jiff::Timestamp;
use sunup_kube::front::{Desk, Reply, query, status};
use sunup_lab::manifest::PodName;
use sunup_lab::{ContainerStatus, Line, PodStatus};

/// Bytes of one run's log; older lines go, as runtimes rotate files.
const BYTES_MAX: usize = 10 << 20;

/// Logs of all pods that run.
#[derive(Default)]
pub(super) struct Logs {
    /// By namespace and name.
    pods: Mutex<BTreeMap<(String, String), Kept>>,
}

/// What is known of a pod.
#[derive(Default)]
struct Kept {
    uid: String,
    status: PodStatus,
    /// By container and restart.
    runs: BTreeMap<(Arc<str>, u32), Run>,
}

/// A container's log from a start to its end.
#[derive(Default)]
struct Run {
    lines: VecDeque<Line>,
    bytes: usize,
}

impl Logs {
    fn lock(&self) -> MutexGuard<'_, BTreeMap<(String, String), Kept>> {
        self.pods.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn change(&self, pod: &PodName, change: impl FnOnce(&mut Kept)) {
        let mut pods = self.lock();
        let kept = pods.entry((pod.namespace.clone(), pod.name.clone())).or_default();
        if kept.uid != pod.uid {
            *kept = Kept { uid: pod.uid.clone(), ..Kept::default() };
        }
        change(kept);
    }

    pub(super) fn status(&self, pod: &PodName, status: &PodStatus) {
        self.change(pod, |kept| kept.status = status.clone());
    }

    pub(super) fn line(&self, pod: &PodName, line: &Line) {
        self.change(pod, |kept| {
            // A kubelet keeps the log of this run and of the one before.
            kept.runs.retain(|(container, restart), _| {
                *container != line.container || *restart + 1 >= line.restart
            });
            let run = kept.runs.entry((Arc::clone(&line.container), line.restart)).or_default();
            run.bytes += line.text.len();
            run.lines.push_back(line.clone());
            while run.bytes > BYTES_MAX {
                let Some(old) = run.lines.pop_front() else { break };
                run.bytes -= old.text.len();
            }
        });
    }

    pub(super) fn forget(&self, pod: &PodName) {
        let mut pods = self.lock();
        let key = (pod.namespace.clone(), pod.name.clone());
        // One of the same name may be there already.
        if pods.get(&key).is_some_and(|kept| kept.uid == pod.uid) {
            pods.remove(&key);
        }
    }
}

impl Desk for Logs {
    async fn reply(&self, head: &http::request::Parts) -> Reply {
        let words: Vec<&str> = head.uri.path().trim_matches('/').split('/').collect();
        let ["api", "v1", "namespaces", namespace, "pods", pod, "log"] = words[..] else {
            return Reply::Pass;
        };
        let pods = self.lock();
        let known = pods.get(&(namespace.to_owned(), pod.to_owned()));
        let Some(kept) = known.filter(|_| head.method == Method::GET) else {
            return Reply::Pass;
        };
        let answer = Asked::read(&query(&head.uri)).and_then(|asked| kept.log(pod, &asked));
        Reply::Answer(match answer {
            Ok(text) => {
                let mut response = Response::new(text.into());
                let plain = http::HeaderValue::from_static("text/plain");
                response.headers_mut().insert(http::header::CONTENT_TYPE, plain);
                response
            }
            Err(why) => status(StatusCode::BAD_REQUEST, "BadRequest", &why),
        })
    }
}

/// `PodLogOptions`.
#[derive(Debug, Default)]
struct Asked {
    container: Option<String>,
    previous: bool,
    timestamps: bool,
    since: Option<Timestamp>,
    tail: Option<usize>,
    bytes: Option<usize>,
}

impl Asked {
    fn read(pairs: &[(String, String)]) -> Result<Asked, String> {
        let mut asked = Asked::default();
        for (key, value) in pairs {
            let wrong = || format!("{key}: `{value}` is not understood");
            let number = || value.parse::<usize>().map_err(|_| wrong());
            let is = || match value.as_str() {
                "true" | "1" | "" => Ok(true),
                "false" | "0" => Ok(false),
                _ => Err(wrong()),
            };
            match key.as_str() {
                "container" => asked.container = Some(value.clone()).filter(|c| !c.is_empty()),
                "previous" => asked.previous = is()?,
                "timestamps" => asked.timestamps = is()?,
                "sinceTime" => asked.since = Some(value.parse().map_err(|_| wrong())?),
                "sinceSeconds" => {
                    let seconds = i64::try_from(number()?).map_err(|_| wrong())?;
                    let ago = jiff::SignedDuration::from_secs(seconds);
                    asked.since = Timestamp::now().checked_sub(ago).ok();
                }
                "tailLines" => asked.tail = Some(number()?),
                "limitBytes" => asked.bytes = Some(number()?),
                "follow" if is()? => {
                    return Err("following a log is not done here: ask again".to_owned());
                }
                _ => {}
            }
        }
        Ok(asked)
    }
}

impl Kept {
    fn log(&self, pod: &str, asked: &Asked) -> Result<String, String> {
        let all = self.status.init_container_statuses.iter().chain(&self.status.container_statuses);
        let name = match (&asked.container, &self.status.container_statuses[..]) {
            (Some(name), _) => name.as_str(),
            (None, [only]) if self.status.init_container_statuses.is_empty() => only.name.as_str(),
            (None, _) => {
                let names: Vec<&str> = all.map(|container| container.name.as_str()).collect();
                return Err(format!(
                    "a container name must be specified for pod {pod}, choose one of: [{}]",
                    names.join(" ")
                ));
            }
        };
        let Some(container) = all.into_iter().find(|container| container.name == name) else {
            return Err(format!("container {name} is not valid for pod {pod}"));
        };
        let Some(restart) = meant(container, asked.previous) else {
            let waits = container.state.waiting.as_ref().map_or("", |waiting| waiting.reason);
            return Err(match asked.previous {
                true => {
                    format!("previous terminated container \"{name}\" in pod \"{pod}\" not found")
                }
                false => {
                    format!("container \"{name}\" in pod \"{pod}\" is waiting to start: {waits}")
                }
            });
        };
        let run = self.runs.get(&(Arc::from(name), restart));
        Ok(run.map(|run| run.text(asked)).unwrap_or_default())
    }
}

/// Which run's log is meant: one that waits to be started again shows its last run, asked for
/// either way.
fn meant(container: &ContainerStatus, previous: bool) -> Option<u32> {
    let (now, ended) = (container.restart_count, container.last_state.terminated.is_some());
    match (container.state.waiting.is_some(), previous) {
        (true, _) => ended.then_some(now),
        (false, false) => Some(now),
        (false, true) => now.checked_sub(1).filter(|_| ended),
    }
}

impl Run {
    fn text(&self, asked: &Asked) -> String {
        let late = |line: &&Line| asked.since.is_none_or(|since| line.at >= since);
        let ends = self.lines.iter().filter(late).filter(|line| !line.partial).count();
        let mut skip = asked.tail.map_or(0, |tail| ends.saturating_sub(tail));
        let mut text = String::new();
        let mut begins = true;
        for line in self.lines.iter().filter(late) {
            if skip > 0 {
                skip -= usize::from(!line.partial);
                continue;
            }
            if begins && asked.timestamps {
                let _ = write!(text, "{:.9} ", line.at);
            }
            text.push_str(&line.text);
            // The rest of a long line follows.
            begins = !line.partial;
            if begins {
                text.push('\n');
            }
        }
        if let Some(bytes) = asked.bytes {
            text.truncate(text.floor_char_boundary(bytes));
        }
        text
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use sunup_lab::{State, Stream, Terminated, Time, Waiting};

    fn pod() -> PodName {
        let [namespace, name, uid] = ["shop", "web-0", "u"].map(str::to_owned);
        PodName { namespace, name, uid }
    }

    fn container(waiting: bool, restarts: u32) -> PodStatus {
        let at = Time(Timestamp::UNIX_EPOCH);
        let ended = Terminated {
            exit_code: 1,
            signal: None,
            reason: "Error",
            message: None,
            started_at: at,
            finished_at: at,
            container_id: String::new(),
        };
        let waits = Waiting { reason: "CrashLoopBackOff", message: None };
        let state = State { waiting: waiting.then_some(waits), ..State::default() };
        let last_state =
            State { terminated: (waiting || restarts > 0).then_some(ended), ..State::default() };
        let web = ContainerStatus {
            name: "web".to_owned(),
            restart_count: restarts,
            state,
            last_state,
            ..ContainerStatus::default()
        };
        PodStatus { container_statuses: vec![web], ..PodStatus::default() }
    }

    /// A log of three runs, of which a kubelet has two.
    fn logs(status: &PodStatus) -> Logs {
        let logs = Logs::default();
        for restart in 0..3 {
            for (second, partial) in [(0, false), (1, true), (2, false)] {
                let line = Line {
                    container: "web".into(),
                    restart,
                    stream: Stream::Out,
                    at: Timestamp::from_second(i64::from(restart) * 10 + second).unwrap(),
                    text: format!("r{restart}-{second}"),
                    partial,
                };
                logs.line(&pod(), &line);
            }
        }
        logs.status(&pod(), status);
        logs
    }

    fn ask(logs: &Logs, query: &str) -> Result<String, String> {
        let uri = format!("/log?{query}").parse().unwrap();
        let asked = Asked::read(&super::query(&uri))?;
        logs.lock().values().next().unwrap().log("web-0", &asked)
    }

    #[test]
    fn the_run_that_is_meant_is_the_one_a_kubelet_would_show() {
        let runs = logs(&container(false, 2));
        assert_eq!(ask(&runs, "container=web").unwrap(), "r2-0\nr2-1r2-2\n");
        assert_eq!(ask(&runs, "previous=true").unwrap(), "r1-0\nr1-1r1-2\n");
        let waits = logs(&container(true, 2));
        for query in ["container=web", "container=web&previous=true"] {
            assert_eq!(ask(&waits, query).unwrap(), "r2-0\nr2-1r2-2\n");
        }
        let first = logs(&container(false, 0));
        let none = ask(&first, "previous=true").unwrap_err();
        assert!(none.contains("previous terminated container"), "{none}");
        assert!(ask(&first, "container=x").unwrap_err().contains("is not valid"));
        assert!(ask(&first, "tailLines=x").unwrap_err().contains("tailLines"));
    }

    #[test]
    fn times_tails_and_limits_are_honoured() {
        let runs = logs(&container(false, 2));
        let stamped =
            "1970-01-01T00:00:20.000000000Z r2-0\n1970-01-01T00:00:21.000000000Z r2-1r2-2\n";
        assert_eq!(ask(&runs, "timestamps=true").unwrap(), stamped);
        assert_eq!(ask(&runs, "sinceTime=1970-01-01T00%3A00%3A21Z").unwrap(), "r2-1r2-2\n");
        assert_eq!(ask(&runs, "tailLines=1").unwrap(), "r2-1r2-2\n");
        assert_eq!(ask(&runs, "limitBytes=6").unwrap(), "r2-0\nr");
    }

    #[test]
    fn a_pod_that_has_gone_takes_only_its_own_logs_along() {
        let runs = logs(&container(false, 2));
        let new = PodName { uid: "v".to_owned(), ..pod() };
        runs.status(&new, &container(false, 0));
        runs.forget(&pod());
        assert_eq!(ask(&runs, "").unwrap(), "", "nothing of the old one");
        runs.forget(&new);
        assert!(runs.lock().is_empty());
    }
}
