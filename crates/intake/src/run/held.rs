//! Texts that are read as a whole: lists of objects, YAML, tables, descriptions, pasted text.

use std::io::{Cursor, Read};
use std::sync::OnceLock;

use super::Run;
use super::outcome::Outcome;
use sunup_logs::scan::HEAD_BYTES;

use crate::file::{File, Uncopied};
use crate::known::{Reader, Way};
use crate::out::Out;
use crate::sniff::Format;
use crate::{form, json, lists, yaml};

/// Items longer than this are parsed one after the other: what they come to in memory adds up.
const LARGE: usize = 1 << 20;

/// Items of a list that are parsed before the collector takes them.
const PORTION: usize = 256;

impl Run<'_> {
    /// Texts that are read as a whole.
    pub(super) fn held(
        &mut self,
        format: Format,
        file: &mut File<'_>,
        mut reader: Box<dyn Read + '_>,
        explicit: bool,
    ) -> Outcome {
        let mut raw = Vec::new();
        // Errors have been noted on the way; what was read counts.
        let max = self.options.limits.text;
        let _ = reader.by_ref().take(max.saturating_add(1)).read_to_end(&mut raw);
        if raw.len() as u64 > max {
            let mib = max.div_ceil(1 << 20);
            let why = format!("longer than {mib} MiB: hand it over in parts (--max-text)");
            self.unreadable(&file.label, None, why);
            return Outcome::Read;
        }
        let mut broken = 0;
        if matches!(format, Format::Documents) {
            let mut file = file.of(file.whose.clone());
            let bytes = raw.as_slice();
            file.uncopied = file.path.as_ref().map(|_| Uncopied { bytes, copy: OnceLock::new() });
            let file = &file;
            self.documents(file, raw.strip_prefix(b"\xEF\xBB\xBF").unwrap_or(&raw), &mut broken);
            self.broken_rest(file, broken);
            return Outcome::Read;
        }
        let whole = match String::from_utf8(raw) {
            Ok(whole) => whole,
            Err(error) => String::from_utf8_lossy(error.as_bytes()).into_owned(),
        };
        if file.path.is_some() && matches!(format, Format::Yaml) {
            file.keep_text(&whole);
        }
        let whole = whole.strip_prefix('\u{feff}').unwrap_or(&whole);
        let mut out = Out::default();
        match format {
            Format::Known(Reader { read: Way::Whole(read), .. }) => read(file, whole, &mut out),
            Format::Known(Reader { read: Way::Parts, .. }) => {
                return self.several(file, whole, explicit);
            }
            _ => return self.yaml(file, whole, explicit),
        }
        self.fold(file, &mut broken, out);
        self.broken_rest(file, broken);
        Outcome::Read
    }

    fn documents(&mut self, file: &File<'_>, raw: &[u8], broken: &mut usize) {
        for (index, document) in lists::Documents::new(raw).enumerate() {
            let mut out = Out::default();
            let Some(items) = &document.items else {
                if document.broken.is_none() {
                    json::document(file, &document.frame, document.line, index, &mut out);
                }
                self.fold(file, broken, out);
                self.cut_off(file, broken, &document);
                continue;
            };
            let of = lists::frame_type(&document.frame);
            for numbered in items.iter().enumerate().collect::<Vec<_>>().chunks(PORTION) {
                let large = numbered.iter().any(|(_, (range, _))| range.len() > LARGE);
                let outs = self.parallel(numbered, !large, |(item, (range, line)), out| {
                    let bytes = &raw[range.clone()];
                    json::item(file, bytes, of.as_ref(), (*line, index, Some(*item)), out);
                });
                for out in outs {
                    self.fold(file, broken, out);
                }
            }
            self.cut_off(file, broken, &document);
        }
    }

    fn cut_off(&mut self, file: &File<'_>, broken: &mut usize, document: &lists::Document) {
        if let Some((line, why)) = &document.broken {
            self.bad(file, broken, Some(*line), why.clone());
        }
    }

    fn yaml(&mut self, file: &mut File<'_>, whole: &str, explicit: bool) -> Outcome {
        let mut broken = 0;
        if let Some((of, pieces)) = yaml::cut(whole) {
            let shared = &*file;
            let numbered: Vec<_> = pieces.iter().enumerate().collect();
            let alone = std::sync::atomic::AtomicBool::new(true);
            let large = pieces.iter().any(|piece| piece.range.len() > LARGE);
            let outs = self.parallel(&numbered, !large, |(index, piece), out| {
                if !yaml::piece(shared, whole, piece, *index, &of, out) {
                    alone.store(false, std::sync::atomic::Ordering::Relaxed);
                }
            });
            if alone.into_inner() {
                for out in outs {
                    self.fold(file, &mut broken, out);
                }
                self.count(&form::OBJECTS_YAML);
                self.broken_rest(file, broken);
                return Outcome::Read;
            }
        }
        let mut out = Out::default();
        let held = yaml::read(file, whole, &mut out);
        // Sentences with colons look like YAML until they are read.
        let named_yaml = file.label.ends_with(".yaml") || file.label.ends_with(".yml");
        let template = out.is_template();
        if template {
            // A fix of what it makes is printed; by itself it shows nothing.
            self.fold(file, &mut broken, out);
            Outcome::Passed
        } else if held.found || !out.items.is_empty() {
            self.fold(file, &mut broken, out);
            self.broken_rest(file, broken);
            self.count(&form::OBJECTS_YAML);
            Outcome::Read
        } else if named_yaml {
            Outcome::Passed
        } else {
            let head = whole.as_bytes();
            let reader = Box::new(Cursor::new(head.to_vec()));
            self.timeless(&head[..head.len().min(HEAD_BYTES)], file, reader, explicit)
        }
    }

    /// Parses pieces side by side; what they give is in their order.
    fn parallel<T: Sync>(
        &self,
        pieces: &[T],
        beside: bool,
        parse: impl Fn(&T, &mut Out) + Sync,
    ) -> Vec<Out> {
        use rayon::prelude::*;
        let run = |part: &[T]| {
            let mut out = Out::default();
            for piece in part {
                parse(piece, &mut out);
            }
            out
        };
        match &self.pool {
            Some(pool) if beside && pieces.len() > 8 => {
                pool.install(|| pieces.par_chunks(16).map(run).collect())
            }
            _ => vec![run(pieces)],
        }
    }
}
