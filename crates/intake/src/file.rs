//! What is known about a file while its pieces are read.

use std::collections::HashSet;
use std::path::PathBuf;
use std::sync::{Arc, OnceLock};

use sunup_evidence::line::ContainerKey;
use sunup_evidence::object::{Manifest, Object, Origin, Pod};
use sunup_evidence::record::Place;
use sunup_evidence::scope::Scope;

use crate::filter::Filter;
use crate::limits::Limits;
use crate::out::{Item, Out};
use crate::parts::command::Command;

/// Shared by all workers that read pieces of one file.
pub(crate) struct File<'r> {
    /// As reported.
    pub(crate) label: Arc<str>,
    /// On disk; `None` for members of archives and streams.
    pub(crate) path: Option<PathBuf>,
    /// Whose log it is, as far as the path says.
    pub(crate) whose: ContainerKey,
    /// The kustomization that lists it.
    pub(crate) kustomization: Option<Arc<str>>,
    /// Line of the first action, where the file is a template.
    pub(crate) template: Option<u64>,
    /// The whole text, where a fix could be shown as a diff of it.
    pub(crate) text: Option<Arc<str>>,
    /// Whether every document of that text could be read.
    pub(crate) sound: bool,
    /// The same, copied only when an object asks for it: what a cluster printed is long, and is
    /// never edited.
    pub(crate) uncopied: Option<Uncopied<'r>>,
    /// Whether the file is a log by its layout: lines, and not an array or a single value.
    pub(crate) is_log: bool,
    /// Lines that stand in front of this text in the file that it is a part of.
    pub(crate) lines_before: u64,
    /// The line of the file that each line of the text is, where they are not the same.
    pub(crate) lines: Option<Arc<[u64]>>,
    /// How the text begins, as it was recognised: without colours, at most
    /// [`sunup_logs::scan::HEAD_BYTES`]; empty unless its reader takes lines or the stream.
    pub(crate) head: String,
    /// The command that printed it, where it stands in a session.
    pub(crate) command: Option<Arc<Command>>,
    pub(crate) limits: Limits,
    pub(crate) scope: &'r Scope,
    pub(crate) filter: &'r Filter,
    /// Marks of proxies whose log was noted in earlier blocks (see [`crate::proxies`]).
    pub(crate) proxies: HashSet<u64>,
    /// Containers whose log was noted in earlier blocks.
    pub(crate) seen: HashSet<Arc<ContainerKey>>,
}

/// A text that may be wanted as a whole.
pub(crate) struct Uncopied<'t> {
    pub(crate) bytes: &'t [u8],
    pub(crate) copy: OnceLock<Option<Arc<str>>>,
}

/// Gives back what a pod's lists have room for beyond what they hold: clusters have thousands of
/// pods, and a container's entry is large.
fn fit(pod: &mut Pod) {
    let spec = &mut pod.spec;
    for containers in [&mut spec.init_containers, &mut spec.containers] {
        containers.shrink_to_fit();
        containers.iter_mut().for_each(|container| container.env.shrink_to_fit());
    }
    let status = &mut pod.status;
    status.init_container_statuses.shrink_to_fit();
    status.container_statuses.shrink_to_fit();
    status.conditions.shrink_to_fit();
    pod.metadata.owner_references.shrink_to_fit();
}

impl File<'_> {
    /// Whether a text holds a word that lines are kept for.
    pub(crate) fn is_telling(&self, text: &str) -> bool {
        self.filter.next_text(text.as_bytes(), 0).is_some()
    }

    /// Where a line of the text stands in the file.
    pub(crate) fn line(&self, of_text: u64) -> u64 {
        let line = of_text + self.lines_before;
        let index = usize::try_from(line.saturating_sub(1)).unwrap_or(usize::MAX);
        self.lines.as_ref().and_then(|lines| lines.get(index)).copied().unwrap_or(line)
    }

    fn whole(&self) -> Option<Arc<str>> {
        let copied = || {
            let Uncopied { bytes, copy } = self.uncopied.as_ref()?;
            copy.get_or_init(|| std::str::from_utf8(bytes).ok().map(Into::into)).clone()
        };
        self.text.clone().or_else(copied)
    }

    /// Notes an object with where it came from.
    pub(crate) fn object(
        &self,
        mut object: Object,
        line: u64,
        document: usize,
        item: Option<usize>,
        rendered: bool,
        out: &mut Out,
    ) {
        let place = Place::new(&self.label, line);
        if let Object::Pod(pod) = &mut object {
            fit(pod);
        }
        if let Object::Event(mut event) = object {
            event.place = Some(place);
            out.items.push(Item::Event(event));
            return;
        }
        let origin = if object.is_export() {
            Origin::Export
        } else if let Some(line) = self.template {
            Origin::Template(line)
        } else if rendered || object.is_managed_by_helm() {
            Origin::HelmRendered
        } else if let Some(kustomization) = &self.kustomization {
            Origin::Kustomize(Arc::clone(kustomization))
        } else if self.path.is_none() {
            Origin::NotAFile
        } else {
            Origin::Plain
        };
        let editable = matches!(origin, Origin::Plain | Origin::Template(_) | Origin::Kustomize(_));
        let text = if editable { self.whole() } else { None };
        let manifest = Manifest {
            place,
            path: self.path.clone(),
            document,
            item,
            origin,
            text,
            sound: self.sound,
        };
        out.items.push(Item::Object(Box::new((object, manifest))));
    }
}

#[cfg(test)]
impl<'r> File<'r> {
    /// A file that lies nowhere.
    pub(crate) fn bare(
        label: Arc<str>,
        whose: ContainerKey,
        scope: &'r Scope,
        filter: &'r Filter,
    ) -> File<'r> {
        let origin = crate::origin::Origin::member(label.to_string());
        File::new(&origin, label, whose, scope, filter)
    }
}

impl<'r> File<'r> {
    /// A file of which nothing has been read yet.
    pub(crate) fn new(
        origin: &crate::origin::Origin,
        label: Arc<str>,
        whose: ContainerKey,
        scope: &'r Scope,
        filter: &'r Filter,
    ) -> File<'r> {
        File {
            label,
            path: origin.path.clone(),
            whose,
            kustomization: origin.kustomization.clone(),
            template: None,
            text: None,
            sound: false,
            uncopied: None,
            is_log: false,
            lines_before: 0,
            lines: origin.lines.clone(),
            head: String::new(),
            command: None,
            limits: Limits::default(),
            scope,
            filter,
            proxies: HashSet::new(),
            seen: HashSet::new(),
        }
    }

    /// Keeps the whole text of YAML on disk: a fix may edit it.
    pub(crate) fn keep_text(&mut self, whole: &str) {
        self.template = sunup_yaml::is_template(whole);
        self.text = Some(whole.into());
    }

    /// The same file, for a part of it that is the log of one container.
    pub(crate) fn of(&self, whose: ContainerKey) -> File<'r> {
        File {
            label: Arc::clone(&self.label),
            path: self.path.clone(),
            whose,
            kustomization: self.kustomization.clone(),
            template: self.template,
            text: self.text.clone(),
            sound: self.sound,
            uncopied: None,
            is_log: self.is_log,
            lines_before: self.lines_before,
            lines: self.lines.clone(),
            head: String::new(),
            command: self.command.clone(),
            limits: self.limits,
            scope: self.scope,
            filter: self.filter,
            proxies: HashSet::new(),
            seen: HashSet::new(),
        }
    }
}
