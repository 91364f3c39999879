//! What somebody has of a cluster's pods already, and need not be asked of a store.

use std::collections::{BTreeMap, BTreeSet};

use jiff::Timestamp;

use crate::ask::{Ask, Except, Place, Window};

/// Bytes that exceptions may take of a filter: others of its terms take as much, and a filter of
/// more than 20,000 characters is refused.
const EXCEPT_MAX: usize = 9_000;

/// From when on something is there.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Since {
    /// From its beginning: there never was more.
    Ever,
    /// From then on. What was before is not there any more, or is another pod's of the same name.
    At(Timestamp),
}

impl Since {
    /// The later of both.
    #[must_use]
    pub fn and(self, other: Since) -> Since {
        self.max(other)
    }

    /// As a term within `window`: `None` where nothing of it is there, `Some(None)` where all is.
    fn within(self, window: Window) -> Option<Option<Timestamp>> {
        match self {
            Since::Ever => Some(None),
            Since::At(at) if at <= window.from => Some(None),
            Since::At(at) if at >= window.until => None,
            Since::At(at) => Some(Some(at)),
        }
    }
}

/// What is there of a pod.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HeldPod {
    /// Its namespace.
    pub namespace: String,
    /// Its name.
    pub name: String,
    /// Its containers' lines. A container that isn't named has none.
    pub lines: BTreeMap<String, Since>,
    /// Whether these are all its containers, and each has lines or never had any.
    pub every_container: bool,
    /// Its events, where there are any to be had.
    pub events: Option<Since>,
}

/// What is there of pods.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Held {
    /// Each pod once.
    pub pods: Vec<HeldPod>,
}

/// From when on, in which namespace, of which container.
type Of<'a> = (Option<Timestamp>, &'a str, Option<&'a str>);
/// What of a pod is there: one time for all of it, or one for each container.
type Parts<'a> = Vec<(Option<&'a str>, Since)>;

impl HeldPod {
    fn lines(&self) -> Parts<'_> {
        let mut times: Vec<Since> = self.lines.values().copied().collect();
        times.sort();
        times.dedup();
        match times.as_slice() {
            [one] if self.every_container => vec![(None, *one)],
            _ => self.lines.iter().map(|(name, since)| (Some(name.as_str()), *since)).collect(),
        }
    }

    fn events(&self) -> Parts<'_> {
        self.events.iter().map(|since| (None, *since)).collect()
    }
}

impl Held {
    /// The lines that need not be asked for.
    pub(crate) fn lines(&self, place: &Place, window: Window) -> Vec<Except> {
        self.except(place, window, HeldPod::lines)
    }

    /// The events that need not be asked for.
    pub(crate) fn events(&self, place: &Place, window: Window) -> Vec<Except> {
        self.except(place, window, HeldPod::events)
    }

    fn except(
        &self,
        place: &Place,
        window: Window,
        parts: for<'a> fn(&'a HeldPod) -> Parts<'a>,
    ) -> Vec<Except> {
        let mut groups: BTreeMap<Of<'_>, Vec<String>> = BTreeMap::new();
        for pod in self.pods.iter().filter(|pod| place.takes(&pod.namespace, &pod.name)) {
            for (container, since) in parts(pod) {
                let Some(from) = since.within(window) else { continue };
                let of = (from, pod.namespace.as_str(), container);
                groups.entry(of).or_default().push(pod.name.clone());
            }
        }
        // Those of which all is there come first: each of them spares the most.
        let mut room = EXCEPT_MAX;
        let mut excepts = Vec::new();
        for ((from, namespace, container), mut pods) in groups {
            let terms = 160 + namespace.len() + container.map_or(0, str::len);
            room = room.saturating_sub(terms);
            pods.retain(|pod| {
                let takes = pod.len() + " OR \"\"".len();
                let fits = takes <= room;
                room -= if fits { takes } else { 0 };
                fits
            });
            if !pods.is_empty() {
                let (namespace, container) = (namespace.to_owned(), container.map(str::to_owned));
                excepts.push(Except { namespace, pods, container, from });
            }
        }
        excepts
    }

    /// How many pods of which all lines are there did not fit into the first round's first question.
    #[must_use]
    pub fn left_out(&self, asks: &[Ask]) -> usize {
        let Some(ask) = asks.first() else { return 0 };
        let mut named = BTreeSet::new();
        for except in &ask.except {
            named.extend(except.pods.iter().map(|pod| (except.namespace.as_str(), pod.as_str())));
        }
        let whole = |pod: &&HeldPod| {
            let (namespace, name) = (pod.namespace.as_str(), pod.name.as_str());
            ask.place.takes(namespace, name)
                && self.has_lines(Some(namespace), name, ask.within)
                && !named.contains(&(namespace, name))
        };
        self.pods.iter().filter(whole).count()
    }

    /// Whether all lines of a pod within a window are there.
    pub(crate) fn has_lines(&self, namespace: Option<&str>, pod: &str, window: Window) -> bool {
        self.has(namespace, pod, window, HeldPod::lines)
    }

    /// Whether all its events are.
    pub(crate) fn has_events(&self, namespace: Option<&str>, pod: &str, window: Window) -> bool {
        self.has(namespace, pod, window, HeldPod::events)
    }

    fn has(
        &self,
        namespace: Option<&str>,
        name: &str,
        window: Window,
        parts: for<'a> fn(&'a HeldPod) -> Parts<'a>,
    ) -> bool {
        let all = |pod: &HeldPod| match parts(pod).as_slice() {
            [(None, since)] => since.within(window) == Some(None),
            parts => {
                let whole = |(_, since): &(_, Since)| since.within(window) == Some(None);
                pod.every_container && !parts.is_empty() && parts.iter().all(whole)
            }
        };
        let of = |pod: &&HeldPod| Some(pod.namespace.as_str()) == namespace && pod.name == name;
        self.pods.iter().find(of).is_some_and(all)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(text: &str) -> Timestamp {
        format!("2026-11-02T{text}Z").parse().unwrap()
    }

    fn pod(name: &str, lines: &[(&str, Since)], events: Option<Since>) -> HeldPod {
        let lines = lines.iter().map(|(name, since)| ((*name).to_owned(), *since)).collect();
        let (namespace, name) = ("shop".to_owned(), name.to_owned());
        HeldPod { namespace, name, lines, every_container: true, events }
    }

    fn held() -> Held {
        let cut = Since::At(at("10:00:00"));
        Held {
            pods: vec![
                pod("web-a", &[("app", Since::Ever), ("istio-proxy", Since::Ever)], Some(cut)),
                pod("web-b", &[("app", Since::Ever), ("istio-proxy", Since::Ever)], Some(cut)),
                pod("web-c", &[("app", cut), ("istio-proxy", Since::Ever)], None),
                pod("old", &[("app", Since::At(at("23:00:00")))], Some(Since::Ever)),
            ],
        }
    }

    fn window() -> Window {
        Window { from: at("08:00:00"), until: at("20:00:00") }
    }

    fn texts(excepts: &[Except]) -> Vec<String> {
        let of = |e: &Except| {
            let (container, from) = (e.container.as_deref().unwrap_or("*"), e.from);
            let from = from.map(|from| format!(" from {from}")).unwrap_or_default();
            format!("{}/{} {container}{from}", e.namespace, e.pods.join("+"))
        };
        excepts.iter().map(of).collect()
    }

    #[test]
    fn only_what_is_not_there_is_asked_for() {
        let all = Place::default();
        assert_eq!(
            texts(&held().lines(&all, window())),
            [
                "shop/web-a+web-b *",
                "shop/web-c istio-proxy",
                "shop/web-c app from 2026-11-02T10:00:00Z"
            ]
        );
        assert_eq!(
            texts(&held().events(&all, window())),
            ["shop/old *", "shop/web-a+web-b * from 2026-11-02T10:00:00Z"]
        );
        // From a time on at which all is there, nothing is said of times.
        let late = Window { from: at("12:00:00"), until: at("13:00:00") };
        assert_eq!(
            texts(&held().lines(&all, late)),
            ["shop/web-a+web-b *", "shop/web-c app", "shop/web-c istio-proxy"]
        );
        let other = Place { namespace: Some("pay".to_owned()), ..Place::default() };
        assert!(held().lines(&other, window()).is_empty());
        let stem = Place { pods_of: Some("web".to_owned()), ..Place::default() };
        assert_eq!(texts(&held().events(&stem, late)), ["shop/web-a+web-b *"]);
    }

    #[test]
    fn a_pod_of_which_all_is_there_is_left_alone() {
        let held = held();
        let has = |pod| held.has_lines(Some("shop"), pod, window());
        assert!(has("web-a") && !has("web-c") && !has("old") && !has("nobody"));
        let events = |pod| held.has_events(Some("shop"), pod, window());
        assert!(events("old") && !events("web-a") && !events("web-c"));
        assert!(!held.has_lines(Some("pay"), "web-a", window()));
        let mut partly = held;
        partly.pods[0].every_container = false;
        assert!(!partly.has_lines(Some("shop"), "web-a", window()));
    }

    #[test]
    fn a_filter_stays_within_what_a_store_takes() {
        let name = |n: usize| format!("a-long-name-of-a-pod-{n:06}");
        let many = (0..5_000).map(|n| pod(&name(n), &[("app", Since::Ever)], None)).collect();
        let excepts = Held { pods: many }.lines(&Place::default(), window());
        let named: usize = excepts.iter().map(|except| except.pods.len()).sum();
        assert!((200..400).contains(&named), "{named}");
    }
}
