//! What somebody who stands by in a cluster hears: pods as they change, and warnings as they are given.

use std::collections::BTreeSet;

use serde_json::Value;
use tokio::sync::mpsc::Sender;

use crate::follow::{Event, Follow, meta};
use crate::{Cluster, Trouble};

/// What is heard.
#[derive(Debug)]
pub enum News {
    /// A pod, as it is now.
    Pod(Value),
    /// There is none of this uid any more.
    Gone(String),
    /// That was all there is of it, for now; what follows happens.
    All(What),
    /// A Warning event.
    Warning {
        /// Its object.
        event: Value,
        /// Whether it was there when events were listed.
        known: bool,
    },
    /// Something can't be heard of; it is tried again, later and later.
    Trouble(What, Trouble),
}

/// What is listened to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum What {
    /// Pods.
    Pods,
    /// Warning events.
    Warnings,
}

/// Hears of every pod and every warning of a namespace, or all, for as long as somebody takes what
/// `say` makes of it. Warnings come after the pods that they may be about.
pub async fn hear<T>(
    cluster: Cluster,
    namespace: Option<String>,
    tell: Sender<T>,
    say: impl Fn(News) -> T,
) {
    let path = |resource: &str| match &namespace {
        Some(namespace) => format!("/api/v1/namespaces/{namespace}/{resource}"),
        None => format!("/api/v1/{resource}"),
    };
    let mut pods = Known::default();
    let mut changes = Follow::new(&cluster, &path("pods"), None);
    while let Some(event) = changes.next().await {
        let listed = matches!(event, Event::Listed);
        for news in pods.pod(event) {
            if tell.send(say(news)).await.is_err() {
                return;
            }
        }
        if listed {
            break;
        }
    }
    let mut warnings =
        Follow::new(&cluster, &path("events"), Some(("fieldSelector", "type=Warning")));
    loop {
        let news = tokio::select! {
            Some(event) = changes.next() => pods.pod(event),
            Some(event) = warnings.next() => warning(event).into_iter().collect(),
            else => return,
        };
        for news in news {
            if tell.send(say(news)).await.is_err() {
                return;
            }
        }
    }
}

/// uids of pods.
#[derive(Default)]
struct Known {
    all: BTreeSet<String>,
    /// Those of a list that is not complete yet.
    fresh: BTreeSet<String>,
}

impl Known {
    fn pod(&mut self, event: Event) -> Vec<News> {
        let uid = |pod: &Value| meta(pod, "uid").to_owned();
        match event {
            Event::Begin => self.fresh.clear(),
            Event::There(pod) => {
                self.fresh.insert(uid(&pod));
                return vec![News::Pod(pod)];
            }
            Event::Listed => {
                let fresh = std::mem::take(&mut self.fresh);
                let gone = self.all.difference(&fresh).cloned().map(News::Gone);
                let news = gone.chain([News::All(What::Pods)]).collect();
                self.all = fresh;
                return news;
            }
            Event::Changed(pod) => {
                self.all.insert(uid(&pod));
                return vec![News::Pod(pod)];
            }
            Event::Gone(pod) => {
                self.all.remove(&uid(&pod));
                return vec![News::Gone(uid(&pod))];
            }
            Event::Trouble(why) => return vec![News::Trouble(What::Pods, why)],
        }
        Vec::new()
    }
}

fn warning(event: Event) -> Option<News> {
    match event {
        Event::There(event) => Some(News::Warning { event, known: true }),
        Event::Changed(event) => Some(News::Warning { event, known: false }),
        Event::Listed => Some(News::All(What::Warnings)),
        Event::Trouble(why) => Some(News::Trouble(What::Warnings, why)),
        Event::Begin | Event::Gone(_) => None,
    }
}
