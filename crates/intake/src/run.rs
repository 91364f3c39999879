//! Reads one input after the other: opens, unpacks, recognises, and hands what was found to the
//! collector in order.

mod ahead;
mod archives;
mod blocks;
mod held;
mod outcome;
mod recognise;
mod several;

use std::collections::{BTreeMap, HashSet};
use std::io::{Cursor, Read};
use std::path::PathBuf;
use std::rc::Rc;
use std::sync::Arc;

use rayon::{ThreadPool, ThreadPoolBuilder};
use sunup_evidence::collect::Collector;
use sunup_evidence::line::ContainerKey;
use sunup_evidence::record::Place;
use sunup_logs::scan::{Chunks, Elements, HEAD_BYTES, Layout, Limits};

use crate::file::File;
use crate::filter::Filter;
use crate::form::Form;
use crate::input::{Input, Options, Summary};
use crate::limits::{Bounded, Raw, Spent};
use crate::origin::Origin;
use crate::out::{Item, Out};
use crate::unpack::{Counted, Fault, Tolerant, Utf16, peek, unpacked, utf16};
use crate::{attribution, json, text, walk};

/// Broken pieces of one file that are named; the rest are counted.
const BROKEN_MAX: usize = 20;

/// Blocks are small enough that what is in flight stays far below the promised memory, and of a
/// fixed size, so that the outcome does not depend on the machine.
pub(crate) const LIMITS: Limits = Limits { block_bytes: 1 << 20, entry_bytes_max: 16 << 20 };

pub(crate) struct Run<'o> {
    options: &'o Options,
    collector: &'o mut Collector,
    filter: Filter,
    pool: Option<ThreadPool>,
    threads: usize,
    summary: Summary,
    names: attribution::Names,
    /// Logs whose path says nothing by itself: read last, when names are known.
    deferred: Option<Vec<walk::Found>>,
    logs: HashSet<Arc<ContainerKey>>,
    /// The last problem that was reported.
    last_told: Option<(Arc<str>, Option<u64>, String)>,
    /// Whether the file at hand gave anything.
    found: bool,
    /// Lines of the text at hand that could not be placed.
    unplaced: u64,
    /// What the input at hand has come to, with all that is packed in it.
    spent: Rc<Spent>,
    /// How many texts were read as what.
    forms: BTreeMap<&'static str, (&'static Form, u64)>,
}

impl<'o> Run<'o> {
    pub(crate) fn new(options: &'o Options, collector: &'o mut Collector) -> Self {
        let cores = std::thread::available_parallelism().map_or(1, usize::from);
        let threads = if options.threads == 0 { cores } else { options.threads };
        collector.keep(options.limits.kept);
        Run {
            options,
            collector,
            filter: Filter::new(&options.scope),
            // Without threads of its own it reads on the calling one.
            pool: ThreadPoolBuilder::new().num_threads(threads).build().ok(),
            threads,
            summary: Summary::default(),
            names: attribution::Names::default(),
            deferred: Some(Vec::new()),
            logs: HashSet::new(),
            last_told: None,
            found: false,
            unplaced: 0,
            spent: Rc::default(),
            forms: BTreeMap::new(),
        }
    }

    pub(crate) fn all(mut self, inputs: Vec<Input>) -> Summary {
        let paths: Vec<PathBuf> = inputs
            .iter()
            .filter_map(|input| match input {
                Input::Path(path) => Some(path.clone()),
                Input::Stdin(_) | Input::Pieces(_) => None,
            })
            .collect();
        let walk::Walked { found, refused, skipped, left_out } = walk::files(&paths);
        self.summary.read.passed_over += skipped;
        self.summary.left_out = left_out;
        if let Some(progress) = &self.options.progress {
            progress.total(found.iter().map(|file| file.bytes).sum());
        }
        for (label, why) in refused {
            self.unreadable(&label.as_str().into(), None, why);
        }
        self.disks(found);
        for input in inputs {
            match input {
                Input::Path(_) => {}
                Input::Stdin(stream) => {
                    let origin = Origin {
                        label: "-".to_owned(),
                        explicit: true,
                        ..Origin::member(String::new())
                    };
                    self.stream(stream, &origin, 0);
                }
                Input::Pieces(pieces) => {
                    for (name, bytes) in pieces {
                        self.stream(Box::new(Cursor::new(bytes)), &Origin::member(name), 0);
                    }
                }
            }
        }
        for file in self.deferred.take().into_iter().flatten() {
            self.disk(file);
        }
        self.tell();
        self.summary
    }

    fn disk(&mut self, file: walk::Found) {
        let label: Arc<str> = file.label.as_str().into();
        let progress = self.options.progress.clone();
        if let Some(progress) = &progress {
            progress.file(&label);
        }
        let opened = match std::fs::File::open(&file.path) {
            Ok(opened) => opened,
            Err(error) => return self.unreadable(&label, None, walk::reason(&error)),
        };
        let origin = Origin::of(file);
        let count = move |bytes| {
            if let Some(progress) = &progress {
                progress.advance(bytes);
            }
        };
        self.stream(Box::new(Counted { inner: opened, count }), &origin, 0);
    }

    /// Reads one stream; what breaks it off is named, what came before counts.
    fn stream(&mut self, reader: Box<dyn Read + '_>, origin: &Origin, depth: usize) {
        let label: Arc<str> = origin.label.as_str().into();
        if depth == 0 {
            self.spent = Rc::default();
        }
        let spent = Rc::clone(&self.spent);
        let reader: Box<dyn Read + '_> = match depth {
            0 => Box::new(Raw { inner: reader, spent: Rc::clone(&spent) }),
            _ => reader,
        };
        let fault = Fault::default();
        // Whatever the system says while reading, here or below a decompressor, ends the stream
        // and is told at the end.
        let raw = Tolerant { inner: reader, fault: Rc::clone(&fault) };
        let limits = self.options.limits;
        let bounded = move |inner| Bounded { inner, spent: Rc::clone(&spent), limits };
        let (reader, packed) = match unpacked(Box::new(raw), depth, bounded) {
            Ok(unpacked) => unpacked,
            Err(error) => return self.unreadable(&label, None, broken_stream(&error)),
        };
        let bytes = Rc::new(std::cell::Cell::new(0u64));
        let counter = Rc::clone(&bytes);
        let counted = Counted { inner: reader, count: move |n| counter.set(counter.get() + n) };
        let tolerant = Tolerant { inner: counted, fault: Rc::clone(&fault) };
        let origin = Origin { path: origin.path.clone().filter(|_| !packed), ..origin.clone() };
        self.content(Box::new(tolerant), &origin, &label, depth);
        self.summary.bytes += if depth == 0 { bytes.get() } else { 0 };
        let fault = fault.borrow_mut().take();
        if let Some(error) = fault {
            self.unreadable(&label, None, broken_stream(&error));
        }
    }

    fn content(
        &mut self,
        reader: Box<dyn Read + '_>,
        origin: &Origin,
        label: &Arc<str>,
        depth: usize,
    ) {
        let Ok((head, reader)) = peek(reader, HEAD_BYTES) else { return };
        if let Some(order) = utf16(&head) {
            let Ok((head, reader)) = peek(Utf16::new(reader, order), HEAD_BYTES) else { return };
            return self.recognised(&head, Box::new(reader), origin, label, depth);
        }
        self.recognised(&head, Box::new(reader), origin, label, depth);
    }

    fn whose(&self, origin: &Origin) -> ContainerKey {
        let mut whose = attribution::of_path(&origin.whose, origin.below, &self.names);
        whose.previous |= origin.rotated;
        // Who asks about one pod and hands over a log that names none says whose it is.
        let asked = &self.options.scope;
        if whose.pod.is_none()
            && let Some(pod) = &asked.pod
        {
            whose.pod = Some(pod.clone());
            whose.namespace = whose.namespace.or_else(|| asked.namespace.clone());
        }
        whose
    }

    /// Log entries or objects as JSON, streamed.
    fn json(&mut self, file: &mut File<'_>, layout: Layout, reader: Box<dyn Read + '_>) {
        let mut broken = 0;
        let bom = without_bom(reader);
        match layout {
            Layout::Lines => {
                self.batches(file, Chunks::new(bom, LIMITS), &mut broken, json::lines);
            }
            layout => {
                let elements = Elements::new(bom, layout, LIMITS);
                self.batches(file, elements, &mut broken, json::elements);
            }
        }
        self.broken_rest(file, broken);
    }

    /// A log as lines of text, streamed.
    fn log(&mut self, file: &mut File<'_>, reader: Box<dyn Read + '_>) {
        self.log_seen(file);
        if file.whose.container.is_none() && file.whose.pod.is_none() {
            // Somebody's log, though nothing says whose: not nothing to read.
            self.summary.logs += 1;
        }
        let mut broken = 0;
        self.batches(file, Chunks::new(without_bom(reader), LIMITS), &mut broken, text::lines);
        self.broken_rest(file, broken);
    }

    fn log_seen(&mut self, file: &File<'_>) {
        if file.whose.container.is_some() || file.whose.pod.is_some() {
            self.seen(file, Arc::new(file.whose.clone()));
        }
    }

    fn seen(&mut self, file: &File<'_>, container: Arc<ContainerKey>) {
        self.collector.container_seen(&file.label, &container);
        if self.collector.is_full() {
            return;
        }
        if let Some(pod) = &container.pod {
            self.names.pod(pod);
        }
        if self.logs.insert(container) {
            self.summary.logs += 1;
        }
    }

    fn fold(&mut self, file: &File<'_>, broken: &mut usize, out: Out) {
        if out.assumed {
            self.assumed_utc(file);
        }
        for mut item in out.items {
            self.found = true;
            if file.lines_before > 0 || file.lines.is_some() {
                item.shift(|line| file.line(line));
            }
            // What is not kept any more gives no names to what is.
            let kept = !self.collector.is_full();
            match item {
                Item::Line(noticed) => {
                    self.summary.lines += 1;
                    self.collector.line(&file.label, noticed);
                }
                Item::Seen(container) => {
                    self.seen(file, container);
                }
                Item::Event(event) => {
                    self.summary.events += 1;
                    if let (true, "Pod", Some(name)) = (kept, event.kind.as_str(), &event.name) {
                        self.names.pod(name);
                    }
                    self.collector.event(*event);
                }
                Item::Object(both) => {
                    let (object, manifest) = *both;
                    if kept {
                        self.names.object(&object);
                    }
                    self.summary.objects += 1;
                    self.collector.object(object, manifest);
                }
                Item::Listed(row) => {
                    self.summary.rows += 1;
                    if let (true, "Pod", Some(name)) = (kept, row.kind.as_str(), &row.name) {
                        self.names.pod(name);
                    }
                    self.collector.listed(*row);
                }
                Item::NodeGate(gate) => {
                    self.summary.rows += 1;
                    self.collector.node_gate(*gate);
                }
                Item::GateCount(count) => {
                    self.summary.rows += 1;
                    self.collector.gate_count(*count);
                }
                Item::Template(line) => {
                    self.collector.template(Place::new(&file.label, line));
                }
                Item::Bad(line, why) => self.bad(file, broken, line, why),
                Item::Unplaced(lines) => self.unplaced += lines,
            }
        }
    }

    /// Names a broken piece, or counts it when enough of this file have been named.
    fn bad(&mut self, file: &File<'_>, broken: &mut usize, line: Option<u64>, why: String) {
        *broken += 1;
        if *broken <= BROKEN_MAX {
            self.unreadable(&file.label, line, why);
        }
    }

    pub(crate) fn broken_rest(&mut self, file: &File<'_>, broken: usize) {
        if broken > BROKEN_MAX {
            let rest = broken - BROKEN_MAX;
            self.unreadable(&file.label, None, format!("{rest} more pieces could not be read"));
        }
    }

    fn unreadable(&mut self, label: &Arc<str>, line: Option<u64>, why: String) {
        self.found = true;
        let told = (Arc::clone(label), line, why.clone());
        // An archive whose stream breaks off says so a second time.
        if self.last_told.as_ref() == Some(&told) {
            return;
        }
        self.last_told = Some(told);
        self.summary.unreadable += 1;
        self.collector.unreadable(Place { file: Arc::clone(label), line, entry: None }, why);
    }
}

fn broken_stream(error: &std::io::Error) -> String {
    match error.kind() {
        std::io::ErrorKind::UnexpectedEof => {
            "cut off before its end: what came before was read".to_owned()
        }
        std::io::ErrorKind::PermissionDenied => "permission denied".to_owned(),
        _ => format!("{error}: what came before was read"),
    }
}

fn without_bom<'r>(reader: Box<dyn Read + 'r>) -> Box<dyn Read + 'r> {
    match peek(reader, 3) {
        Ok((head, whole)) if head == b"\xEF\xBB\xBF" => {
            let (_, rest) = whole.into_inner();
            Box::new(rest)
        }
        Ok((_, whole)) => Box::new(whole),
        Err(_) => Box::new(std::io::empty()),
    }
}
