//! The two rounds: first what can show a fault, anywhere; then the start of the pods that came up.

use jiff::{SignedDuration, Timestamp};
use sunup_evidence::line;

use crate::ask::{Ask, Place, What, Window};
use crate::held::Held;
use crate::run::Store;

/// What somebody wants to know of.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Wanted {
    /// Whose.
    pub place: Place,
    /// Of when.
    pub within: Window,
}

/// A pod of which the first round showed something.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Seen {
    /// Its namespace.
    pub namespace: Option<String>,
    /// The first and the last thing that was seen of it; a pod without times can't be asked for.
    pub times: (Timestamp, Timestamp),
    /// Its name.
    pub pod: String,
}

/// How long before the first sign of trouble a pod may have started. An application that waits
/// for its first connection longer than this starts after any proxy.
const BEFORE: SignedDuration = SignedDuration::from_mins(15);
/// How long after it the proxy may still come up.
const AFTER: SignedDuration = SignedDuration::from_mins(10);
/// How far into a row of the same trouble is looked; a pod that fails for days fails as it did.
const LONGEST: SignedDuration = SignedDuration::from_hours(1);
/// Pods whose spans lie so close are asked for together.
const NEAR: SignedDuration = SignedDuration::from_mins(10);

/// What can show a fault: lines that tell of one, and warnings; but for those that are there.
#[must_use]
pub fn first(wanted: &Wanted, held: &Held) -> Vec<Ask> {
    let Wanted { place, within } = wanted;
    let of = |what, except| Ask { place: place.clone(), within: *within, what, except };
    vec![
        of(What::Lines(line::telling()), held.lines(place, *within)),
        of(What::Events { warnings: true }, held.events(place, *within)),
    ]
}

/// The start of these pods: what explains a line that tells of a fault, and their other events.
/// Nothing is asked for twice or that is there, and nothing outside of what was wanted.
#[must_use]
pub fn second(wanted: &Wanted, store: &dyn Store, held: &Held, mut seen: Vec<Seen>) -> Vec<Ask> {
    seen.sort();
    seen.dedup();
    let mut asks = Vec::new();
    for group in groups(&seen, store.pods_at_once()) {
        let (mut from, mut until) = (Timestamp::MAX, Timestamp::MIN);
        for pod in group {
            let (first, last) = pod.times;
            let end = last.min(first.saturating_add(LONGEST).unwrap_or(last));
            from = from.min(first.saturating_sub(BEFORE).unwrap_or(Timestamp::MIN));
            until = until.max(end.saturating_add(AFTER).unwrap_or(Timestamp::MAX));
        }
        let within = wanted.within.cut(Window { from, until });
        if within.is_empty() {
            continue;
        }
        let namespace = group[0].namespace.clone().or_else(|| wanted.place.namespace.clone());
        let of = |is_there: &dyn Fn(&str) -> bool| {
            let pods = group.iter().map(|pod| pod.pod.clone());
            let pods: Vec<String> = pods.filter(|pod| !is_there(pod)).collect();
            let namespace = namespace.clone();
            let place = Place { namespace, pods, pods_of: None, ..wanted.place.clone() };
            (!place.pods.is_empty()).then_some(place)
        };
        let namespace = namespace.as_deref();
        if let Some(place) = of(&|pod| held.has_lines(namespace, pod, within)) {
            let (what, except) = (What::Lines(line::explaining()), held.lines(&place, within));
            asks.push(Ask { place, within, what, except });
        }
        if let Some(place) = of(&|pod| held.has_events(namespace, pod, within)) {
            let (what, except) = (What::Events { warnings: false }, held.events(&place, within));
            asks.push(Ask { place, within, what, except });
        }
    }
    asks
}

/// Pods of one namespace that start near each other, at most `at_once` together.
fn groups(seen: &[Seen], at_once: usize) -> Vec<&[Seen]> {
    let mut groups = Vec::new();
    let mut from = 0;
    for at in 1..=seen.len() {
        let together = seen.get(at).is_some_and(|next| {
            let first = &seen[from];
            next.namespace == first.namespace
                && at - from < at_once
                && next.times.0.duration_since(first.times.0) <= NEAR
        });
        if !together {
            groups.push(&seen[from..at]);
            from = at;
        }
    }
    groups
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::held::{HeldPod, Since};
    use crate::run::{Later, Page, Watch};

    struct Few;

    impl Store for Few {
        fn name(&self) -> &'static str {
            "few"
        }

        fn page<'a>(&'a self, _: &'a Ask, _: Option<&'a str>, _: &'a dyn Watch) -> Later<'a, Page> {
            Box::pin(async { Ok(Page::default()) })
        }

        fn query(&self, _: &Ask) -> String {
            String::new()
        }

        fn pods_at_once(&self) -> usize {
            2
        }
    }

    fn at(text: &str) -> Timestamp {
        format!("2026-11-02T{text}Z").parse().unwrap()
    }

    fn seen(namespace: &str, pod: &str, first: &str, last: &str) -> Seen {
        Seen {
            namespace: Some(namespace.to_owned()),
            pod: pod.to_owned(),
            times: (at(first), at(last)),
        }
    }

    fn none() -> Held {
        Held::default()
    }

    fn wanted() -> Wanted {
        let within = Window { from: at("08:00:00"), until: at("20:00:00") };
        Wanted { place: Place { cluster: Some("c".to_owned()), ..Place::default() }, within }
    }

    #[test]
    fn the_rounds_ask_for_no_line_twice() {
        let first = first(&wanted(), &none());
        let second =
            second(&wanted(), &Few, &none(), vec![seen("shop", "a", "10:00:00", "10:00:05")]);
        let texts = |asks: &[Ask]| -> Vec<&str> {
            let lines = asks.iter().filter_map(|ask| match &ask.what {
                What::Lines(texts) => Some(texts.clone()),
                What::Events { .. } | What::Filter(_) => None,
            });
            lines.flatten().collect()
        };
        let (one, two) = (texts(&first), texts(&second));
        assert!(!one.is_empty() && !two.is_empty());
        assert!(one.iter().all(|text| !two.contains(text)));
        // Together they are all that a reader of files looks at, the proxy's name apart.
        let both: Vec<&str> = one.into_iter().chain(two).collect();
        for literal in line::literals() {
            assert!(literal == "istio-proxy" || both.contains(&literal), "{literal}");
        }
    }

    #[test]
    fn pods_that_start_together_are_asked_for_together() {
        let asks = second(
            &wanted(),
            &Few,
            &none(),
            vec![
                seen("shop", "b", "10:01:00", "10:01:00"),
                seen("shop", "a", "10:00:00", "10:00:05"),
                seen("shop", "c", "10:02:00", "10:02:00"),
                seen("shop", "late", "15:00:00", "19:59:00"),
                seen("pay", "a", "10:00:00", "10:00:05"),
            ],
        );
        let of =
            |ask: &Ask| (ask.place.namespace.clone().unwrap(), ask.place.pods.clone(), ask.within);
        let lines = asks.iter().filter(|ask| matches!(ask.what, What::Lines(_)));
        let lines: Vec<_> = lines.map(of).collect();
        let window = |from, until| Window { from: at(from), until: at(until) };
        let own = |text: &str| text.to_owned();
        assert_eq!(
            lines,
            [
                (own("pay"), vec![own("a")], window("09:45:00", "10:10:05")),
                (own("shop"), vec![own("a"), own("b")], window("09:45:00", "10:11:00")),
                (own("shop"), vec![own("c")], window("09:47:00", "10:12:00")),
                // An hour of it is enough.
                (own("shop"), vec![own("late")], window("14:45:00", "16:10:00")),
            ]
        );
        assert_eq!(asks.len(), 8);
    }

    #[test]
    fn what_is_there_is_not_asked_for() {
        let pod = |name: &str, since| HeldPod {
            namespace: "shop".to_owned(),
            name: name.to_owned(),
            lines: [("app".to_owned(), since)].into(),
            every_container: true,
            events: Some(since),
        };
        // Of one all is there, of another only what is after the restart that matters.
        let cut = Since::At(at("10:02:00"));
        let held = Held { pods: vec![pod("whole", Since::Ever), pod("cut", cut)] };
        let pods = |ask: &Ask| ask.place.pods.clone();
        let seen = |pod: &str| seen("shop", pod, "10:00:00", "10:00:05");
        assert!(second(&wanted(), &Few, &held, vec![seen("whole")]).is_empty());
        let asks = second(&wanted(), &Few, &held, vec![seen("whole"), seen("cut")]);
        assert_eq!(asks.iter().map(pods).collect::<Vec<_>>(), [["cut"], ["cut"]]);
        for ask in asks {
            let [except] = ask.except.as_slice() else { panic!("{ask:?}") };
            assert_eq!(
                (&except.pods, except.from),
                (&vec!["cut".to_owned()], Some(at("10:02:00")))
            );
        }
        let first = first(&wanted(), &held);
        assert!(first.iter().all(|ask| ask.except.len() == 2), "{first:?}");
    }

    #[test]
    fn nothing_outside_of_what_was_wanted_is_asked_for() {
        let narrow =
            Wanted { within: Window { from: at("09:59:00"), until: at("10:01:00") }, ..wanted() };
        let asks = second(&narrow, &Few, &none(), vec![seen("shop", "a", "10:00:00", "10:00:05")]);
        assert!(asks.iter().all(|ask| ask.within == narrow.within), "{asks:?}");
    }
}
