//! A pod's shape: its JSON with holes where its own words stand, and the words.
//!
//! Which words may be holes is decided by where they stand. The injector passes names, images,
//! ports and probes' paths on without looking at them; everything that it decides by (container
//! names, Istio's annotations, security contexts) stays in the shape. What isn't certain, such as
//! a word that YAML would read as a number, stays in it as well: then it only is shared less.

/// What stands in a hole.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    /// A word that means the same in YAML, JSON and quotes; may show in the outcome.
    Word,
    /// Digits, bare; may show in the outcome.
    Number,
    /// Digits in quotes; may show in the outcome.
    Digits,
    /// Any text. Must not show in the outcome.
    Opaque,
}

/// One hole's content, without quotes.
#[derive(Debug, Clone, Copy)]
pub(super) struct Hole<'a> {
    pub(super) text: &'a str,
}

/// A pod, taken apart.
#[derive(Debug)]
pub(super) struct Shape<'a> {
    /// The JSON without spaces; each hole is a mark, a control character that JSON can't have.
    pub(super) text: Vec<u8>,
    pub(super) holes: Vec<Hole<'a>>,
    pub(super) facts: Facts<'a>,
}

/// What of the pod is asked for beside its shape. Without escapes, or the shape isn't taken.
#[derive(Debug, Default)]
pub(super) struct Facts<'a> {
    pub(super) name: &'a str,
    pub(super) generate_name: &'a str,
    pub(super) namespace: &'a str,
    /// JSON of the owners.
    pub(super) owners: &'a str,
    /// Labels that lead from an owner to its owner.
    pub(super) owner_labels: Vec<(&'a str, &'a str)>,
    /// An earlier injection's mark.
    pub(super) injected: bool,
}

/// Marks of the kinds in a shape's text.
pub(super) const MARKS: [(u8, Kind); 4] =
    [(1, Kind::Word), (2, Kind::Number), (3, Kind::Digits), (4, Kind::Opaque)];

/// Holes of one pod; a pod with more is rare, and large.
const HOLES_MAX: usize = 2_000;
/// Levels of nesting; deeper pods take the other way, which has its own bound.
const DEPTH_MAX: usize = 48;

/// Where a value stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Place {
    Root,
    Metadata,
    Labels,
    Annotations,
    Spec,
    Containers,
    Container,
    EnvList,
    Env,
    Ports,
    Port,
    Lifecycle,
    Probe,
    Handler,
    Volumes,
    Volume,
    /// Texts below are nobody's business here.
    OpaqueTree,
    /// Everything below stays.
    Fixed,
    /// A single value that becomes a hole of this kind where it may.
    Leaf(Kind),
    /// Left out, with its key.
    Skip,
    /// Within what is left out.
    Skipped,
}

impl<'a> Shape<'a> {
    /// Takes a pod apart; `None` where it isn't plain enough. `fixed_labels` keeps labels in the
    /// shape, for settings that select by them.
    pub(super) fn of(json: &'a str, fixed_labels: bool) -> Option<Shape<'a>> {
        let mut scan = Scan {
            json,
            bytes: json.as_bytes(),
            at: 0,
            fixed_labels,
            shape: Shape {
                text: Vec::with_capacity(json.len()),
                holes: Vec::with_capacity(48),
                facts: Facts::default(),
            },
        };
        scan.value(Place::Root, 0)?;
        scan.space();
        (scan.at == scan.bytes.len()).then_some(scan.shape)
    }
}

struct Scan<'a> {
    json: &'a str,
    bytes: &'a [u8],
    at: usize,
    fixed_labels: bool,
    shape: Shape<'a>,
}

impl<'a> Scan<'a> {
    fn space(&mut self) {
        while matches!(self.bytes.get(self.at), Some(b' ' | b'\n' | b'\t' | b'\r')) {
            self.at += 1;
        }
    }

    fn value(&mut self, place: Place, depth: usize) -> Option<()> {
        if depth > DEPTH_MAX {
            return None;
        }
        self.space();
        match *self.bytes.get(self.at)? {
            b'{' => self.object(place, depth),
            b'[' => self.list(place, depth),
            b'"' => {
                let text = self.string()?;
                self.text(place, text)
            }
            _ => {
                let from = self.at;
                while !matches!(
                    self.bytes.get(self.at),
                    None | Some(b',' | b'}' | b']' | b' ' | b'\n' | b'\t' | b'\r')
                ) {
                    self.at += 1;
                }
                let word = &self.json[from..self.at];
                if place == Place::Leaf(Kind::Number) && is_port(word) {
                    return self.hole(Kind::Number, word);
                }
                // What JSON doesn't have is refused when the shape is read.
                if word.is_empty() || word.bytes().any(|b| b < b' ') {
                    return None;
                }
                self.shape.text.extend_from_slice(word.as_bytes());
                Some(())
            }
        }
    }

    /// A string's content; `None` for one that isn't closed or has control characters.
    fn string(&mut self) -> Option<&'a str> {
        let from = self.at + 1;
        let mut at = from;
        loop {
            match *self.bytes.get(at)? {
                b'"' => break,
                b'\\' => at += 2,
                0..=0x1f => return None,
                _ => at += 1,
            }
        }
        self.at = at + 1;
        self.json.get(from..at)
    }

    fn text(&mut self, place: Place, text: &'a str) -> Option<()> {
        match place {
            Place::OpaqueTree if !text.is_empty() => self.hole(Kind::Opaque, text),
            Place::Leaf(Kind::Opaque) if !text.is_empty() => self.hole(Kind::Opaque, text),
            Place::Leaf(Kind::Word) if is_word(text) => self.hole(Kind::Word, text),
            Place::Leaf(Kind::Digits) if is_port(text) => self.hole(Kind::Digits, text),
            _ => {
                self.keep(text);
                Some(())
            }
        }
    }

    fn keep(&mut self, text: &str) {
        self.shape.text.push(b'"');
        self.shape.text.extend_from_slice(text.as_bytes());
        self.shape.text.push(b'"');
    }

    fn hole(&mut self, kind: Kind, text: &'a str) -> Option<()> {
        if self.shape.holes.len() >= HOLES_MAX {
            return None;
        }
        let mark = MARKS.iter().find(|(_, k)| *k == kind).map(|(mark, _)| *mark)?;
        self.shape.text.push(mark);
        self.shape.holes.push(Hole { text });
        Some(())
    }

    fn list(&mut self, place: Place, depth: usize) -> Option<()> {
        let item = match place {
            Place::Containers => Place::Container,
            Place::EnvList => Place::Env,
            Place::Ports => Place::Port,
            Place::Volumes => Place::Volume,
            Place::OpaqueTree | Place::Skipped => place,
            _ => Place::Fixed,
        };
        self.at += 1;
        self.shape.text.push(b'[');
        self.space();
        if self.bytes.get(self.at) == Some(&b']') {
            self.at += 1;
            self.shape.text.push(b']');
            return Some(());
        }
        loop {
            // The user's own proxy container is laid over ours, word by word.
            let item =
                if item == Place::Container && self.is_injected() { Place::Fixed } else { item };
            self.value(item, depth + 1)?;
            self.space();
            let next = *self.bytes.get(self.at)?;
            self.at += 1;
            self.shape.text.push(next);
            match next {
                b',' => {}
                b']' => return Some(()),
                _ => return None,
            }
        }
    }

    /// Whether the container here has a name that injectors give, or hides its name.
    fn is_injected(&self) -> bool {
        let rest = self.json[self.at..].trim_start();
        let name = rest.strip_prefix("{\"name\":\"").and_then(|r| r.split('"').next());
        name.is_none_or(|n| n.starts_with("istio-") || n == "enable-core-dump" || n.contains('\\'))
    }

    fn object(&mut self, place: Place, depth: usize) -> Option<()> {
        self.at += 1;
        self.shape.text.push(b'{');
        self.space();
        if self.bytes.get(self.at) == Some(&b'}') {
            self.at += 1;
            self.shape.text.push(b'}');
            return Some(());
        }
        let mut first = true;
        loop {
            self.space();
            if self.bytes.get(self.at) != Some(&b'"') {
                return None;
            }
            let key = self.string()?;
            if key.contains('\\') && place != Place::Skipped {
                return None;
            }
            self.space();
            if self.bytes.get(self.at) != Some(&b':') {
                return None;
            }
            self.at += 1;
            let inner = self.below(place, key);
            if inner == Place::Skip {
                let before = (self.shape.text.len(), self.shape.holes.len());
                self.value(Place::Skipped, depth + 1)?;
                self.shape.text.truncate(before.0);
                self.shape.holes.truncate(before.1);
            } else {
                if !first {
                    self.shape.text.push(b',');
                }
                first = false;
                self.keep(key);
                self.shape.text.push(b':');
                self.space();
                let from = self.at;
                self.value(inner, depth + 1)?;
                self.note(place, key, from)?;
            }
            self.space();
            let next = *self.bytes.get(self.at)?;
            self.at += 1;
            match next {
                b',' => {}
                b'}' => {
                    self.shape.text.push(b'}');
                    return Some(());
                }
                _ => return None,
            }
        }
    }

    /// Where the value of a key stands.
    fn below(&self, place: Place, key: &str) -> Place {
        use Place::{Fixed, Leaf, OpaqueTree};
        match (place, key) {
            (Place::Skipped, _) => Place::Skipped,
            (Place::Root, "metadata") => Place::Metadata,
            (Place::Root, "spec") => Place::Spec,
            (Place::Metadata, "labels") if self.fixed_labels => Fixed,
            (Place::Metadata, "labels") => Place::Labels,
            (Place::Metadata, "annotations") => Place::Annotations,
            (Place::Metadata, "managedFields") => Place::Skip,
            (Place::Metadata, "namespace") => Leaf(Kind::Word),
            (Place::Metadata, "ownerReferences") => OpaqueTree,
            (
                Place::Metadata,
                "name" | "generateName" | "uid" | "resourceVersion" | "creationTimestamp",
            ) => Leaf(Kind::Opaque),
            (Place::Labels, key) if is_ours(key) && !key.starts_with("service.istio.io/") => Fixed,
            (Place::Labels, _) => Leaf(Kind::Word),
            (Place::Annotations, "prometheus.io/port") => Leaf(Kind::Digits),
            (Place::Annotations, key) if is_ours(key) => Fixed,
            (Place::Annotations, _) => Leaf(Kind::Opaque),
            (Place::Spec, "containers" | "initContainers") => Place::Containers,
            (Place::Spec, "volumes") => Place::Volumes,
            (Place::Spec, "serviceAccountName" | "serviceAccount") => Leaf(Kind::Word),
            (Place::Spec, "nodeName" | "hostname" | "subdomain" | "priorityClassName") => {
                Leaf(Kind::Opaque)
            }
            (
                Place::Spec,
                "affinity" | "tolerations" | "topologySpreadConstraints" | "nodeSelector",
            ) => OpaqueTree,
            (Place::Container, "image") => Leaf(Kind::Opaque),
            (
                Place::Container,
                "args" | "command" | "envFrom" | "resources" | "volumeMounts" | "volumeDevices",
            ) => OpaqueTree,
            (Place::Container, "env") => Place::EnvList,
            (Place::Container, "ports") => Place::Ports,
            (Place::Container, "lifecycle") => Place::Lifecycle,
            (Place::Container, "readinessProbe" | "livenessProbe" | "startupProbe")
            | (Place::Lifecycle, "preStop" | "postStart") => Place::Probe,
            (Place::Env, "value") => Leaf(Kind::Opaque),
            (Place::Env, "valueFrom") | (Place::Probe, "exec") => OpaqueTree,
            (Place::Port, "containerPort") | (Place::Handler, "port") => Leaf(Kind::Number),
            (Place::Probe, "httpGet" | "tcpSocket" | "grpc") => Place::Handler,
            (Place::Handler, "path") => Leaf(Kind::Word),
            // A token volume's name is unlike every other pod's; names that people choose meet
            // those of templates.
            (Place::Volume, "name") if self.at_token() => Leaf(Kind::Word),
            (Place::Volume, "name") => Fixed,
            (Place::Volume | Place::OpaqueTree, _) => OpaqueTree,
            _ => Fixed,
        }
    }

    fn at_token(&self) -> bool {
        self.json[self.at..].trim_start().starts_with("\"kube-api-access-")
    }

    /// Keeps what is asked for later. The value that was just read began at `from`.
    fn note(&mut self, place: Place, key: &'a str, from: usize) -> Option<()> {
        let raw = self.json.get(from..self.at)?;
        let inner = || raw.strip_prefix('"').and_then(|r| r.strip_suffix('"')).unwrap_or_default();
        let facts = &mut self.shape.facts;
        match (place, key) {
            (Place::Metadata, "name") => facts.name = inner(),
            (Place::Metadata, "generateName") => facts.generate_name = inner(),
            (Place::Metadata, "namespace") => facts.namespace = inner(),
            (Place::Metadata, "ownerReferences") => {
                facts.owners = raw;
                return Some(());
            }
            (Place::Metadata, "labels" | "annotations") => return Some(()),
            (
                Place::Labels,
                "pod-template-hash" | "rollouts-pod-template-hash" | "deploymentconfig",
            ) => {
                facts.owner_labels.push((key, inner()));
            }
            (Place::Annotations, "sidecar.istio.io/status" | "proxy.istio.io/overrides") => {
                facts.injected = true;
                return Some(());
            }
            _ => return Some(()),
        }
        (!raw.contains('\\')).then_some(())
    }
}

/// Keys that injectors and their neighbours decide by.
fn is_ours(key: &str) -> bool {
    [
        "istio.io",
        "sunup.dev",
        "prometheus",
        "vault",
        "cncf.io",
        "openshift",
        "kubectl.kubernetes.io/default",
        "opentelemetry",
        "gateway",
    ]
    .iter()
    .any(|part| key.contains(part))
}

/// A word that is the same text unquoted in YAML, in quotes, and in JSON within JSON, and that no
/// step here would cut: what labels, names and paths of requests mostly are.
pub(super) fn is_word(text: &str) -> bool {
    let bytes = text.as_bytes();
    let (Some(first), Some(last)) = (bytes.first(), bytes.last()) else { return false };
    let plain = |b: &u8| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_' | b'.' | b'/');
    (first.is_ascii_alphabetic() || *first == b'/')
        && last.is_ascii_alphanumeric()
        && bytes.len() <= 63
        && bytes.iter().all(plain)
        && !text.starts_with("/app-")
        && !matches!(
            text.to_ascii_lowercase().as_str(),
            "true" | "false" | "yes" | "no" | "on" | "off" | "y" | "n" | "null"
        )
}

/// A port of the application's own, as a number without frills.
fn is_port(text: &str) -> bool {
    let digits = !text.is_empty() && text.len() <= 5 && text.bytes().all(|b| b.is_ascii_digit());
    let number: u32 = text.parse().unwrap_or(0);
    digits && !text.starts_with('0') && number <= 65_535 && !(14_900..15_100).contains(&number)
}
