//! Addresses of the names in a gateway's file. No request waits for a name server while addresses
//! are known: the old ones serve until there are new ones. One question a name at a time, a few for
//! all of them; a name server that is away costs nothing but those.

use std::collections::HashMap;
use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use tokio::sync::{Semaphore, watch};
use tokio::time::{Instant, timeout};

use crate::metrics::lock;

/// How long what lasts.
#[derive(Debug, Clone, Copy)]
struct Times {
    /// Addresses are used so long before a name is looked up again.
    fresh: Duration,
    /// From when on a request waits a little for newer ones, unless it is known that none come.
    old: Duration,
    wait_for_newer: Duration,
    /// How long a request waits for the first ones.
    wait_for_first: Duration,
    /// After a question without an answer the next one is this far away.
    again: Duration,
}

const TIMES: Times = Times {
    fresh: Duration::from_secs(5),
    old: Duration::from_secs(60),
    wait_for_newer: Duration::from_millis(250),
    wait_for_first: Duration::from_secs(5),
    again: Duration::from_secs(1),
};

/// Questions at a time. Each takes a thread for as long as the system's resolver likes.
const QUESTIONS_MAX: usize = 8;

type Answer = Pin<Box<dyn Future<Output = io::Result<Vec<SocketAddr>>> + Send>>;
type Resolver = Box<dyn Fn(Arc<str>) -> Answer + Send + Sync>;

/// Names and what is known of them.
pub(super) struct Names {
    resolver: Resolver,
    times: Times,
    known: Mutex<HashMap<Arc<str>, Name>>,
    questions: Semaphore,
}

struct Name {
    found: Option<(Instant, Arc<[SocketAddr]>)>,
    /// A question is under way.
    asked: bool,
    /// The last one had no answer.
    failed: Option<Instant>,
    news: watch::Sender<()>,
}

impl Default for Name {
    fn default() -> Self {
        Self { found: None, asked: false, failed: None, news: watch::Sender::new(()) }
    }
}

impl std::fmt::Debug for Names {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Names").finish_non_exhaustive()
    }
}

impl Default for Names {
    fn default() -> Self {
        let system = |name: Arc<str>| -> Answer {
            Box::pin(async move { Ok(tokio::net::lookup_host(&*name).await?.collect()) })
        };
        Self::by(Box::new(system), TIMES)
    }
}

impl Names {
    fn by(resolver: Resolver, times: Times) -> Self {
        let questions = Semaphore::new(QUESTIONS_MAX);
        Self { resolver, times, known: Mutex::default(), questions }
    }

    /// Forgets names that aren't in the table any more; the addresses of the others stay.
    pub(super) fn keep(&self, has: impl Fn(&str) -> bool) {
        lock(&self.known).retain(|name, _| has(name));
    }

    /// The addresses of a name; none where it has none, or nobody says so in time.
    pub(super) async fn resolve(self: &Arc<Self>, name: &Arc<str>) -> Arc<[SocketAddr]> {
        let (wait, mut news) = {
            let mut known = lock(&self.known);
            if !known.contains_key(name) {
                known.insert(Arc::clone(name), Name::default());
            }
            let Some(entry) = known.get_mut(name) else { return Arc::default() };
            let age = entry.found.as_ref().map(|(at, _)| at.elapsed());
            if let (Some((_, addresses)), Some(age)) = (&entry.found, age)
                && age < self.times.fresh
            {
                return Arc::clone(addresses);
            }
            let silent = entry.failed.is_some_and(|at| at.elapsed() < self.times.again);
            if !entry.asked && !silent {
                entry.asked = true;
                tokio::spawn(Arc::clone(self).ask(Arc::clone(name)));
            }
            let wait = match age {
                None if silent => Duration::ZERO,
                None => self.times.wait_for_first,
                Some(age) if age > self.times.old && entry.failed.is_none() => {
                    self.times.wait_for_newer
                }
                Some(_) => Duration::ZERO,
            };
            (wait, entry.news.subscribe())
        };
        if !wait.is_zero() {
            let _ = timeout(wait, news.changed()).await;
        }
        let known = lock(&self.known);
        let found = known.get(name).and_then(|entry| entry.found.as_ref());
        found.map(|(_, addresses)| Arc::clone(addresses)).unwrap_or_default()
    }

    async fn ask(self: Arc<Self>, name: Arc<str>) {
        let answer = match self.questions.acquire().await {
            Ok(_place) => (self.resolver)(Arc::clone(&name)).await.unwrap_or_default(),
            Err(_) => Vec::new(),
        };
        let mut known = lock(&self.known);
        let Some(entry) = known.get_mut(&name) else { return };
        entry.asked = false;
        if answer.is_empty() {
            entry.failed = Some(Instant::now());
        } else {
            entry.failed = None;
            entry.found = Some((Instant::now(), answer.into()));
        }
        entry.news.send_replace(());
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

    use super::*;

    const QUICK: Times = Times {
        fresh: Duration::from_millis(50),
        old: Duration::from_millis(600),
        wait_for_newer: Duration::from_millis(25),
        wait_for_first: Duration::from_millis(500),
        again: Duration::from_millis(10),
    };
    /// How long a server that is away takes to say nothing.
    const SILENCE: Duration = Duration::from_millis(400);

    /// A name server that can be away.
    #[derive(Default)]
    struct Server {
        away: AtomicBool,
        asked: AtomicUsize,
        now: AtomicUsize,
        most: AtomicUsize,
    }

    fn names(server: &Arc<Server>) -> Arc<Names> {
        let server = Arc::clone(server);
        Arc::new(Names::by(
            Box::new(move |name| {
                let server = Arc::clone(&server);
                Box::pin(async move {
                    let asked = server.asked.fetch_add(1, Ordering::Relaxed);
                    let now = server.now.fetch_add(1, Ordering::Relaxed) + 1;
                    server.most.fetch_max(now, Ordering::Relaxed);
                    let away = server.away.load(Ordering::Relaxed);
                    let time = if away { SILENCE } else { Duration::from_millis(1) };
                    tokio::time::sleep(time).await;
                    server.now.fetch_sub(1, Ordering::Relaxed);
                    if away || name.starts_with("nobody") {
                        return Err(io::ErrorKind::NotFound.into());
                    }
                    let port = u16::try_from(asked + 1).unwrap();
                    Ok(vec![SocketAddr::from(([10, 0, 0, 1], port))])
                })
            }),
            QUICK,
        ))
    }

    #[tokio::test]
    async fn a_name_server_that_is_away_stalls_no_request_whose_addresses_are_known() {
        let server = Arc::new(Server::default());
        let names = names(&server);
        let name: Arc<str> = Arc::from("web:80");
        let first = names.resolve(&name).await;
        assert_eq!(first[0].port(), 1);
        server.away.store(true, Ordering::Relaxed);
        let mut slow = 0;
        for _ in 0..60 {
            let begun = Instant::now();
            for _ in 0..100 {
                assert_eq!(names.resolve(&name).await, first);
            }
            slow += usize::from(begun.elapsed() >= SILENCE);
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        assert_eq!(slow, 0, "requests waited for the name server");
        assert_eq!(server.most.load(Ordering::Relaxed), 1, "one question at a time");
        server.away.store(false, Ordering::Relaxed);
        tokio::time::sleep(SILENCE + QUICK.again).await;
        names.resolve(&name).await;
        tokio::time::sleep(Duration::from_millis(100)).await;
        assert_ne!(names.resolve(&name).await, first, "and the new ones once it is back");
    }

    #[tokio::test]
    async fn requests_for_an_unknown_name_share_a_question_and_do_not_wait_for_ever() {
        let server = Arc::new(Server::default());
        let names = names(&server);
        let ask = |name: &str, count| {
            let (names, name) = (Arc::clone(&names), Arc::<str>::from(name));
            async move {
                let all = (0..count).map(|_| {
                    let (names, name) = (Arc::clone(&names), Arc::clone(&name));
                    tokio::spawn(async move { names.resolve(&name).await })
                });
                let all: Vec<_> = all.collect();
                let mut found = 0;
                for one in all {
                    found += usize::from(!one.await.unwrap().is_empty());
                }
                found
            }
        };
        assert_eq!(ask("web:80", 500).await, 500);
        assert_eq!(server.asked.load(Ordering::Relaxed), 1);
        assert_eq!(ask("nobody:80", 500).await, 0);
        assert_eq!(server.asked.load(Ordering::Relaxed), 2);
        server.away.store(true, Ordering::Relaxed);
        let begun = Instant::now();
        let many: Vec<_> =
            (0..100).map(|n| tokio::spawn(ask(&format!("host{n}:80"), 50))).collect();
        for one in many {
            assert_eq!(one.await.unwrap(), 0);
        }
        assert!(begun.elapsed() < QUICK.wait_for_first * 4, "{:?}", begun.elapsed());
        assert!(server.most.load(Ordering::Relaxed) <= QUESTIONS_MAX);
    }

    #[tokio::test]
    async fn a_new_table_keeps_the_addresses_of_names_that_are_still_in_it() {
        let server = Arc::new(Server::default());
        let names = names(&server);
        let [kept, gone] = ["kept:80", "gone:80"].map(Arc::<str>::from);
        let first = names.resolve(&kept).await;
        names.resolve(&gone).await;
        server.away.store(true, Ordering::Relaxed);
        names.keep(|name| name == "kept:80");
        tokio::time::sleep(QUICK.fresh * 2).await;
        assert_eq!(names.resolve(&kept).await, first);
        assert_eq!(lock(&names.known).len(), 1);
    }
}
