//! `sunup doctor --cloud-logging` and `--loki`: the vendor's procedure in two rounds. What the first
//! one finds is looked through while it goes on to the reader; the second asks for the start of the
//! pods that came up in it.

use std::collections::BTreeSet;
use std::sync::mpsc::{SyncSender, sync_channel};
use std::thread::JoinHandle;

use anyhow::Context as _;
use serde_json::json;
use sunup_evidence::collect::Collector;
use sunup_evidence::gap::Gap;
use sunup_evidence::snapshot::{PodFacts, Snapshot};
use sunup_intake::{Input, Options};
use sunup_store::{Ask, Asked, Held, Piece, Seen, Store, Wanted, ask, first, second};
use tokio::sync::mpsc::{Sender, channel};
use tokio::sync::oneshot;

use super::args::Args;
use super::hearing::Hearing;
use super::live::Live;
use crate::global::Global;
use crate::keep;
use crate::live::{Beside, Listener};
use crate::out;
use crate::store::{Named, StoreArgs, Waiting, runtime, stop};

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
    args: StoreArgs,
    store: Named,
    wanted: Wanted,
    global: Global,
    verbose: bool,
    scout: Scout,
    /// What a cluster has itself; comes when it has been asked.
    held: Option<oneshot::Receiver<Held>>,
    sink: Sender<Piece>,
}

/// Somebody who looks through what is found before the second round.
struct Scout {
    pieces: SyncSender<File>,
    found: JoinHandle<Snapshot>,
}

type File = (String, Vec<u8>);

/// Begins to ask the store that was named, if one was: what it gives is read last. Who it is asked as
/// and about is known before anything else is asked.
pub(super) fn begin(
    args: &Args,
    global: &Global,
    live: Option<&Live>,
    beside: &mut Beside<'_>,
) -> anyhow::Result<Option<Asking>> {
    if !args.store.is_asked() {
        return Ok(None);
    }
    let runtime = runtime()?;
    let mut asked = args.store.clone();
    let scout =
        Scout::new(Options { scope: args.scope(), limits: args.limits(), ..Options::default() });
    let mut held = None;
    if let Some(live) = live.filter(|_| asked.is_auto()) {
        let settled = asked.settle(live.clues()?, live.is_own());
        out::note(global, &runtime.block_on(settled)?);
        let (tell, told) = oneshot::channel();
        let (hearing, pieces) = (Hearing::default(), scout.pieces.clone());
        beside.listener = Some(Box::new(Ear { hearing, pieces, tell }));
        held = Some(told);
    }
    let namespace = live.map_or(args.namespace.as_deref(), Live::namespace);
    let wanted = args.wanted(&asked, namespace)?;
    let store = runtime.block_on(asked.connect())?;
    let (sink, mut pieces) = channel(IN_FLIGHT);
    let files = std::iter::from_fn(move || {
        pieces.blocking_recv().map(|Piece { name, bytes }| (name, bytes))
    });
    beside.last.push(keep::input(files, beside.keep));
    let (global, verbose) = (*global, args.verbose);
    let run = Run { args: asked, store, wanted, global, verbose, scout, held, sink };
    Ok(Some(Asking(std::thread::spawn(move || runtime.block_on(run.rounds())))))
}

/// Hears what a cluster has, for whoever asks for the rest.
struct Ear {
    hearing: Hearing,
    /// What can be seen to have failed there is asked about too.
    pieces: SyncSender<File>,
    tell: oneshot::Sender<Held>,
}

impl Listener for Ear {
    fn piece(&mut self, piece: &sunup_kube::collect::Piece) {
        self.hearing.piece(piece);
        // A scout that ended says so itself.
        let _ = self.pieces.send((piece.name.clone(), piece.bytes.clone()));
    }

    fn done(self: Box<Self>) {
        let _ = self.tell.send(self.hearing.held());
    }
}

impl Scout {
    fn new(options: Options) -> Scout {
        let (pieces, come) = sync_channel::<File>(IN_FLIGHT);
        let found = std::thread::spawn(move || {
            let mut collector = Collector::new(options.scope.clone());
            let pieces = Input::Pieces(Box::new(come.into_iter()));
            sunup_intake::read(vec![pieces], &options, &mut collector);
            collector.finish()
        });
        Scout { pieces, found }
    }
}

impl Run {
    async fn rounds(self) -> anyhow::Result<Vec<String>> {
        let held = match self.held {
            None => Held::default(),
            Some(told) => match told.await {
                Ok(held) => held,
                // The cluster could not be asked: that is told, and all that there is to tell.
                Err(_) => return Ok(Vec::new()),
            },
        };
        let mut bounds = self.args.bounds(stop(&self.global)?);
        let (store, name) = self.store;
        let store = store.as_ref();
        let span = self.wanted.within;
        out::note(&self.global, &format!("asking {name}, {} to {}", span.from, span.until));
        let mut asked = Asked::default();
        let waiting = Waiting::new(&self.global, &name);
        let asks = first(&self.wanted, &held);
        let explain = |asks: &[Ask]| explain(&self.global, self.verbose, store, asks);
        explain(&asks);
        let twice = held.left_out(&asks);
        let Scout { pieces: scout, found } = self.scout;
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
        let links = links(store, &seen);
        let asks = second(&self.wanted, store, &held, seen);
        let pods = asks.iter().flat_map(|ask| {
            ask.place.pods.iter().map(|pod| (ask.place.namespace.clone(), pod.clone()))
        });
        let pods = pods.collect::<BTreeSet<_>>().len();
        explain(&asks);
        ask(store, &asks, &mut bounds, &mut asked, &waiting, &self.sink).await?;
        drop(waiting);
        let _ = self.sink.send(about(&name, store, &asked)).await;
        let mut notes = notes(&name, pods, &asked);
        notes.extend((!held.pods.is_empty()).then(|| has(&held, twice)));
        notes.extend(links);
        Ok(notes)
    }
}

/// With `-v`: what is asked, as it can be pasted.
fn explain(global: &Global, verbose: bool, store: &dyn Store, asks: &[Ask]) {
    for one in asks.iter().filter(|_| verbose) {
        let query = store.query(one);
        if !query.is_empty() {
            out::note(global, &format!("asking for\n{query}"));
        }
    }
}

/// What was not asked for, since a cluster has it.
fn has(held: &Held, twice: usize) -> String {
    let pods = counted(held.pods.len() as u64, "pod", "pods");
    let twice = match twice {
        0 => String::new(),
        twice => {
            format!("; {twice} of them did not fit into a filter, and what they log counts twice")
        }
    };
    format!("not asked for: what the cluster itself still has of its {pods}{twice}")
}

fn counted(number: u64, one: &str, many: &str) -> String {
    match number {
        1 => format!("1 {one}"),
        number => format!("{number} {many}"),
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
    let mut notes = vec![format!(
        "{name}: {} in {}, of {} looked at closer. Exclusions and sinks may keep entries from it, \
         and the latest minute may not be in it yet",
        counted(asked.entries, "entry", "entries"),
        counted(asked.requests, "request", "requests"),
        counted(pods as u64, "pod that was", "pods that were"),
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
