//! A list that is followed: what there is, then what changes, for as long as somebody listens.
//!
//! Objects are JSON values: what is wanted of them is a handful of fields, which need no type of
//! the whole API. Knows no kind.

#[cfg(any(test, fuzzing))]
pub(crate) mod fuzz;

use std::time::Duration;

use bytes::Bytes;
use http_body_util::BodyExt as _;
use serde_json::Value;
use tokio::sync::mpsc;
use tokio::task::JoinHandle;
use tokio::time::Instant;

use crate::Cluster;
use crate::request::{Ask, Bounds, Refusal, Trouble, ask, escape, open};

/// Objects of one page.
const PAGE: usize = 200;
/// How long one page may take.
const PAGE_WITHIN: Duration = Duration::from_secs(60);
/// Bytes of a page, and of one line of a watch.
const BYTES_MAX: usize = 64 << 20;
/// How long the API server is asked to keep one watch open: a little less than the five minutes
/// after which proxies on the way close what is silent.
const WATCH_SECONDS: u64 = 290;
/// After how long without a word a watch is taken for dead: the server should have ended it.
const SILENT: Duration = Duration::from_secs(WATCH_SECONDS + 10);
/// The pause after a first trouble; doubled with each that follows, up to [`PAUSE_MAX`].
const PAUSE: Duration = Duration::from_millis(800);
/// The longest pause.
const PAUSE_MAX: Duration = Duration::from_secs(30);
/// After how long without trouble the next one is a first one.
const CALM: Duration = Duration::from_secs(120);

/// What becomes of a list.
#[derive(Debug)]
pub(crate) enum Event {
    /// All that there is follows, whatever was told before.
    Begin,
    /// One of what there is.
    There(Value),
    /// That was all of it.
    Listed,
    /// A new object, or one that has changed.
    Changed(Value),
    /// An object, as it was before it went.
    Gone(Value),
    /// Something failed; it is tried again, later and later.
    Trouble(Trouble),
}

/// A list that is followed until this is dropped.
pub(crate) struct Follow {
    events: mpsc::Receiver<Event>,
    task: JoinHandle<()>,
}

impl Follow {
    /// Follows the list at a path such as `/api/v1/nodes`, as far as a selector goes:
    /// `("fieldSelector", "metadata.name=a")`. Must be called within a runtime.
    pub(crate) fn new(cluster: &Cluster, path: &str, selector: Option<(&str, &str)>) -> Follow {
        let query = selector.map(|(key, value)| format!("&{key}={}", escape(value)));
        let list = List {
            cluster: cluster.clone(),
            path: path.to_owned(),
            query: query.unwrap_or_default(),
        };
        let (tell, events) = mpsc::channel(16);
        Follow { events, task: tokio::spawn(list.follow(tell)) }
    }

    /// The next event; nothing is lost where this is dropped before it comes.
    pub(crate) async fn next(&mut self) -> Option<Event> {
        self.events.recv().await
    }
}

impl Drop for Follow {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// A field of an object as text; empty where there is none.
pub(crate) fn meta<'v>(object: &'v Value, field: &str) -> &'v str {
    object["metadata"][field].as_str().unwrap_or_default()
}

/// Nobody listens any more.
struct Unheard;

struct List {
    cluster: Cluster,
    path: String,
    query: String,
}

/// Why a watch ended.
enum Ended {
    /// The server's time for it was over, or something on the way gave up: it can go on.
    Over,
    /// What it was begun from is forgotten: everything has to be listed anew.
    Forgotten,
    Failed(Trouble),
}

impl List {
    async fn follow(self, tell: mpsc::Sender<Event>) {
        let mut pause = PAUSE;
        let mut troubled: Option<Instant> = None;
        // The version that is to be watched from; none before the list is known.
        let mut version: Option<String> = None;
        loop {
            let began = Instant::now();
            let trouble = match &mut version {
                None => match self.list(&tell).await {
                    Ok(Ok(listed)) => {
                        version = Some(listed);
                        continue;
                    }
                    Ok(Err(trouble)) => trouble,
                    Err(Unheard) => return,
                },
                Some(from) => match self.watch(from, &tell).await {
                    Ok(ended @ (Ended::Over | Ended::Forgotten)) => {
                        version = version.filter(|_| matches!(ended, Ended::Over));
                        // A server that ends every watch at once isn't stormed.
                        if began.elapsed() < PAUSE {
                            tokio::time::sleep(PAUSE).await;
                        }
                        continue;
                    }
                    Ok(Ended::Failed(trouble)) => trouble,
                    Err(Unheard) => return,
                },
            };
            if troubled.is_some_and(|at| at.elapsed() > CALM) {
                pause = PAUSE;
            }
            troubled = Some(Instant::now());
            if tell.send(Event::Trouble(trouble)).await.is_err() {
                return;
            }
            tokio::time::sleep(uneven(pause)).await;
            pause = (pause * 2).min(PAUSE_MAX);
        }
    }

    /// Tells all that there is; the version it is of.
    async fn list(&self, tell: &mpsc::Sender<Event>) -> Result<Result<String, Trouble>, Unheard> {
        let send = async |event| tell.send(event).await.map_err(|_| Unheard);
        send(Event::Begin).await?;
        let mut token = String::new();
        loop {
            let mut path = format!("{}?limit={PAGE}{}", self.path, self.query);
            if !token.is_empty() {
                path.push_str(&format!("&continue={}", escape(&token)));
            }
            let request = Ask::get(path);
            let page = ask(&self.cluster, &request, Bounds::new(PAGE_WITHIN, BYTES_MAX));
            let mut page = match page.await.and_then(|bytes| json(&bytes)) {
                Ok(page) => page,
                // What was begun with a page is forgotten: the rest of it would be of another time.
                Err(trouble) if trouble.code() == Some(410) && !token.is_empty() => {
                    token.clear();
                    send(Event::Begin).await?;
                    continue;
                }
                Err(trouble) => return Ok(Err(trouble)),
            };
            for item in page["items"].as_array_mut().into_iter().flatten() {
                send(Event::There(item.take())).await?;
            }
            token = meta(&page, "continue").to_owned();
            if token.is_empty() {
                send(Event::Listed).await?;
                return Ok(Ok(meta(&page, "resourceVersion").to_owned()));
            }
        }
    }

    /// Tells what changes after a version, which is kept up to what was told.
    async fn watch(
        &self,
        version: &mut String,
        tell: &mpsc::Sender<Event>,
    ) -> Result<Ended, Unheard> {
        let path = format!(
            "{}?watch=true&allowWatchBookmarks=true&timeoutSeconds={WATCH_SECONDS}\
             &resourceVersion={}{}",
            self.path,
            escape(version),
            self.query
        );
        let mut body = match tokio::time::timeout(PAGE_WITHIN, open(&self.cluster, &path)).await {
            Ok(Ok(body)) => body,
            Ok(Err(trouble)) if trouble.code() == Some(410) => return Ok(Ended::Forgotten),
            Ok(Err(trouble)) => return Ok(Ended::Failed(trouble)),
            Err(_) => return Ok(Ended::Failed(Trouble::Late(PAGE_WITHIN))),
        };
        let mut lines = Lines::default();
        loop {
            match tokio::time::timeout(SILENT, body.frame()).await {
                Ok(Some(Ok(frame))) => {
                    if let Ok(data) = frame.into_data() {
                        lines.push(&data);
                    }
                }
                // A watch that breaks off has lost nothing: it goes on from its version.
                Ok(None | Some(Err(_))) | Err(_) => return Ok(Ended::Over),
            }
            if lines.held() > BYTES_MAX {
                return Ok(Ended::Failed(Trouble::Huge(BYTES_MAX)));
            }
            while let Some(line) = lines.next() {
                let change = match json(&line) {
                    Ok(change) => change,
                    Err(trouble) => return Ok(Ended::Failed(trouble)),
                };
                match told(change) {
                    Ok((event, at)) => {
                        if let Some(event) = event {
                            tell.send(event).await.map_err(|_| Unheard)?;
                        }
                        if !at.is_empty() {
                            *version = at;
                        }
                    }
                    Err(ended) => return Ok(ended),
                }
            }
        }
    }
}

/// What a line of a watch tells, and the version that is known with it.
fn told(mut change: Value) -> Result<(Option<Event>, String), Ended> {
    // A line need not be an object, whatever the API promises.
    let object = change.get_mut("object").map(Value::take).unwrap_or_default();
    let version = meta(&object, "resourceVersion").to_owned();
    Ok(match change["type"].as_str().unwrap_or_default() {
        "ADDED" | "MODIFIED" => (Some(Event::Changed(object)), version),
        "DELETED" => (Some(Event::Gone(object)), version),
        "BOOKMARK" => (None, version),
        "ERROR" => {
            let refusal: Refusal = serde_json::from_value(object).unwrap_or_default();
            return Err(match refusal.code {
                410 => Ended::Forgotten,
                _ => Ended::Failed(Trouble::Refused(Box::new(refusal))),
            });
        }
        other => {
            let why = format!("a watch tells of `{other}`");
            return Err(Ended::Failed(Trouble::Garbled(why.into())));
        }
    })
}

/// A pause by which many who were cut off together do not come back together.
fn uneven(pause: Duration) -> Duration {
    use std::hash::{BuildHasher as _, RandomState};
    // Different each time, without a generator of our own.
    let part = RandomState::new().hash_one(0) % 500;
    pause.mul_f64(0.75 + part as f64 / 1000.0)
}

fn json(bytes: &[u8]) -> Result<Value, Trouble> {
    serde_json::from_slice(bytes).map_err(|why| Trouble::Garbled(why.to_string().into()))
}

/// Bytes that come in pieces, as lines.
#[derive(Default)]
struct Lines {
    bytes: Vec<u8>,
    /// How far the bytes were looked through.
    seen: usize,
}

impl Lines {
    fn push(&mut self, data: &Bytes) {
        self.bytes.extend_from_slice(data);
    }

    fn held(&self) -> usize {
        self.bytes.len()
    }

    fn next(&mut self) -> Option<Vec<u8>> {
        let end = self.bytes[self.seen..].iter().position(|byte| *byte == b'\n');
        let Some(end) = end.map(|end| self.seen + end) else {
            self.seen = self.bytes.len();
            return None;
        };
        self.seen = 0;
        let rest = self.bytes.split_off(end + 1);
        let line = std::mem::replace(&mut self.bytes, rest);
        Some(line)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_are_about_as_long_as_they_should_be_and_differ() {
        let pauses: Vec<Duration> = (0..20).map(|_| uneven(PAUSE)).collect();
        let near = |pause: &Duration| *pause >= PAUSE * 3 / 4 && *pause <= PAUSE * 5 / 4;
        assert!(pauses.iter().all(near), "{pauses:?}");
        assert!(pauses.iter().any(|pause| *pause != pauses[0]), "{pauses:?}");
    }

    #[test]
    fn a_line_that_is_no_change_ends_the_watch() {
        for line in ["\"type\"", "7", "null", "[]", "{}", "{\"type\":\"ODD\"}"] {
            let change = json(line.as_bytes()).expect("JSON");
            assert!(matches!(told(change), Err(Ended::Failed(Trouble::Garbled(_)))), "{line}");
        }
    }
}
