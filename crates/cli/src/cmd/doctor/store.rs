//! `sunup doctor --cloud-logging` and `--loki`: the vendor's procedure in two rounds. What the first
//! one finds is looked through while it goes on to the reader; the second asks for the start of the
//! pods that came up in it.

use std::sync::mpsc::{SyncSender, sync_channel};
use std::thread::JoinHandle;

use anyhow::Context as _;
use serde_json::json;
use sunup_evidence::collect::Collector;
use sunup_evidence::gap::Gap;
use sunup_evidence::snapshot::{PodFacts, Snapshot};
use sunup_intake::{Input, Options};
use sunup_store::{Ask, Asked, Piece, Seen, Store, Wanted, ask, first, second};
use tokio::sync::mpsc::{Sender, channel};

use super::args::Args;
use crate::global::Global;
use crate::keep::{self, Keep};
use crate::out;
use crate::store::{StoreArgs, Waiting, runtime, stop};

/// Pages on their way to a reader.
const IN_FLIGHT: usize = 4;
/// Pods for which a link is printed.
const LINKS: usize = 3;
/// A pod's readiness fails now and then while it starts: only so many of these events are trouble.
const UNREADY: u32 = 3;

/// Asking that goes on while its answers are read.
pub(super) struct Asking(JoinHandle<anyhow::Result<Vec<String>>>);

impl Asking {
    /// When all has been read: notes for after the report.
    pub(super) fn done(self) -> anyhow::Result<Vec<String>> {
        match self.0.join() {
            Ok(done) => done,
            Err(panicked) => std::panic::resume_unwind(panicked),
        }
    }
}

/// What one asking needs.
struct Run {
    store: StoreArgs,
    wanted: Wanted,
    global: Global,
    verbose: bool,
    /// For the first round's answers, which are looked through here too.
    options: Options,
    sink: Sender<Piece>,
}

/// Begins to ask the store that was named, if one was.
pub(super) fn begin(
    args: &Args,
    global: &Global,
    keep: Option<&Keep>,
) -> anyhow::Result<Option<(Input, Asking)>> {
    if !args.store.is_asked() {
        return Ok(None);
    }
    let wanted = args.wanted()?;
    let (sink, pieces) = channel(IN_FLIGHT);
    let pieces = keep::input(pieces, |Piece { name, bytes }| (name, bytes), keep);
    let run = Run {
        store: args.store.clone(),
        wanted,
        global: *global,
        verbose: args.verbose,
        options: Options { scope: args.scope(), limits: args.limits(), ..Options::default() },
        sink,
    };
    Ok(Some((pieces, Asking(std::thread::spawn(move || run.all())))))
}

impl Run {
    fn all(self) -> anyhow::Result<Vec<String>> {
        runtime()?.block_on(self.rounds())
    }

    async fn rounds(self) -> anyhow::Result<Vec<String>> {
        let mut bounds = self.store.bounds(stop(&self.global)?);
        let (store, name) = self.store.connect().await?;
        let store = store.as_ref();
        let span = self.wanted.within;
        out::note(&self.global, &format!("asking {name}, {} to {}", span.from, span.until));
        let mut asked = Asked::default();
        let waiting = Waiting::new(&self.global, &name);
        let asks = first(&self.wanted);
        self.explain(store, &asks);
        let (scout, found) = self.scout();
        let (sink, mut pieces) = channel::<Piece>(1);
        let pass = async {
            while let Some(piece) = pieces.recv().await {
                let copy = (piece.name.clone(), piece.bytes.clone());
                let _ = tokio::task::block_in_place(|| scout.send(copy));
                let _ = self.sink.send(piece).await;
            }
            drop(scout);
        };
        let round = async {
            let done = ask(store, &asks, &mut bounds, &mut asked, &waiting, &sink).await;
            drop(sink);
            done
        };
        let (done, ()) = tokio::join!(round, pass);
        done.with_context(|| name.clone())?;
        let snapshot = tokio::task::block_in_place(|| found.join());
        let snapshot = snapshot.unwrap_or_else(|panicked| std::panic::resume_unwind(panicked));
        let seen = seen(&snapshot);
        let pods = seen.len();
        let links = links(store, &seen);
        let asks = second(&self.wanted, store, seen);
        self.explain(store, &asks);
        ask(store, &asks, &mut bounds, &mut asked, &waiting, &self.sink).await?;
        drop(waiting);
        let _ = self.sink.send(about(&name, store, &asked)).await;
        let mut notes = notes(&name, pods, &asked);
        notes.extend(links);
        Ok(notes)
    }

    /// Somebody who looks through what the first round finds.
    fn scout(&self) -> (SyncSender<(String, Vec<u8>)>, JoinHandle<Snapshot>) {
        let (pieces, come) = sync_channel::<(String, Vec<u8>)>(IN_FLIGHT);
        let options = self.options.clone();
        let found = std::thread::spawn(move || {
            let mut collector = Collector::new(options.scope.clone());
            let pieces = Input::Pieces(Box::new(come.into_iter()));
            sunup_intake::read(vec![pieces], &options, &mut collector);
            collector.finish()
        });
        (pieces, found)
    }

    /// With `-v`: what is asked, as it can be pasted.
    fn explain(&self, store: &dyn Store, asks: &[Ask]) {
        for one in asks.iter().filter(|_| self.verbose) {
            let query = store.query(one);
            if !query.is_empty() {
                out::note(&self.global, &format!("asking for\n{query}"));
            }
        }
    }
}

/// Pods of which something can be seen to have failed, and when.
fn seen(snapshot: &Snapshot) -> Vec<Seen> {
    let of = |pod: &PodFacts| {
        let name = pod.name.clone()?;
        let logs = pod.logs.values().flat_map(|log| {
            let refused = log.refusals.iter().flat_map(|burst| &burst.samples);
            let bound = log.bind_denied.iter().map(|denied| &denied.sample);
            let signs = log.symptoms.iter().filter(|(sign, _)| !sign.only_explains());
            refused.chain(bound).chain(signs.flat_map(|(_, marks)| marks.iter()))
        });
        let unready: u32 = pod
            .events
            .iter()
            .filter(|run| run.event.reason == "Unhealthy")
            .flat_map(|run| run.occurrences.iter().map(|one| one.count))
            .sum();
        let events = pod.events.iter().filter(|run| {
            run.event.warning && (run.event.reason != "Unhealthy" || unready >= UNREADY)
        });
        let events = events.flat_map(|run| &run.occurrences);
        let times = logs.filter_map(|sample| sample.at);
        let times = times.chain(events.flat_map(|one| [one.first, one.last]).flatten());
        let (mut from, mut until) = (None, None);
        for at in times {
            from = Some(from.map_or(at, |from: jiff::Timestamp| from.min(at)));
            until = Some(until.map_or(at, |until: jiff::Timestamp| until.max(at)));
        }
        Some(Seen { namespace: pod.namespace.clone(), pod: name, times: (from?, until?) })
    };
    snapshot.pods.iter().filter_map(of).collect()
}

/// Where the first few pods can be looked at by hand.
fn links(store: &dyn Store, seen: &[Seen]) -> Vec<String> {
    let link = |pod: &Seen| Some(format!("{}: {}", pod.pod, store.link(&pod.pod)?));
    seen.iter().take(LINKS).filter_map(link).collect()
}

/// What was asked where, and what is missing: read back with the rest.
fn about(name: &str, store: &dyn Store, asked: &Asked) -> Piece {
    let gap = |(one, why): &(Ask, Box<str>)| Gap {
        namespace: one.place.namespace.clone(),
        what: one.what.word().to_owned(),
        why: format!("{name}: {why}"),
        get_it_with: None,
    };
    let about = json!({
        "apiVersion": "sunup.dev/v1",
        "kind": "Collection",
        "metadata": {"name": name},
        "gaps": asked.left.iter().map(gap).collect::<Vec<_>>(),
    });
    let name = format!("{}/collection.json", store.name());
    Piece { name, bytes: format!("{about}\n").into_bytes() }
}

fn notes(name: &str, pods: usize, asked: &Asked) -> Vec<String> {
    let plural = |number: u64, one: &str, many: &str| match number {
        1 => format!("1 {one}"),
        number => format!("{number} {many}"),
    };
    let mut notes = vec![format!(
        "{name}: {} in {}, of {} looked at closer. Exclusions and sinks may keep entries from it, \
         and the latest minute may not be in it yet",
        plural(asked.entries, "entry", "entries"),
        plural(asked.requests, "request", "requests"),
        plural(pods as u64, "pod that was", "pods that were"),
    )];
    if let Some((one, why)) = asked.left.first() {
        let more = match asked.left.len() {
            1 => String::new(),
            left => format!("; {} more questions were left likewise", left - 1),
        };
        let what = one.what.word();
        notes.push(format!(
            "not all was asked for: {why}: {what} of {} to {} are missing in part{more}",
            one.within.from, one.within.until
        ));
    }
    notes
}
