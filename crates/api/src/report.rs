//! The report of `sunup doctor`, as `--format json` prints it.
//!
//! This is a contract: field names, value spellings and their meaning change only with
//! [`SCHEMA`]. Fields that can be absent are `null`, never left out.

use serde::{Deserialize, Serialize};

/// Name and version of the contract.
pub const SCHEMA: &str = "sunup.doctor/v1";

/// In the place of a rule's id: what is missing concerns every rule.
pub const EVERY_RULE: &str = "all";

/// All that the doctor has to say about what it was given.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Report {
    /// Always [`SCHEMA`].
    pub schema: String,
    /// Faults, the most certain and severe first.
    pub findings: Vec<Finding>,
    /// Look-alikes that were ruled out, and why.
    pub cleared: Vec<Cleared>,
    /// What could not be judged, and the command that would get the missing evidence.
    pub unknown: Vec<Unknown>,
    /// Input that could not be read.
    pub unreadable: Vec<Unreadable>,
    /// Which of the sources that findings name are entries of Cloud Logging, in their order.
    #[serde(default)]
    pub entries: Vec<StoreEntry>,
    /// What was made of the input as a whole.
    #[serde(default)]
    pub read: Read,
}

impl Report {
    /// The entry of Cloud Logging that a source is, where it is one.
    #[must_use]
    pub fn entry(&self, source: &str) -> Option<&StoreEntry> {
        let at = self.entries.binary_search_by(|entry| entry.source.as_str().cmp(place(source)));
        at.ok().map(|at| &self.entries[at])
    }
}

/// A source without what is said of it: `pod.json:1` of `pod.json:1 (status of istio-proxy)`.
#[must_use]
pub fn place(source: &str) -> &str {
    source.split(" (").next().unwrap_or(source)
}

impl Default for Report {
    fn default() -> Self {
        Report {
            schema: SCHEMA.to_owned(),
            findings: Vec::new(),
            cleared: Vec::new(),
            unknown: Vec::new(),
            unreadable: Vec::new(),
            entries: Vec::new(),
            read: Read::default(),
        }
    }
}

/// One rule's judgement on one workload.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Finding {
    /// Id of the rule, permanent.
    pub rule: String,
    /// Which of a rule's causes it is, where the rule has several.
    pub cause: Option<String>,
    /// How bad it is.
    pub severity: Severity,
    /// How certain it is.
    pub verdict: Verdict,
    /// Whose fault it is.
    pub subject: Subject,
    /// One sentence.
    pub summary: String,
    /// Why, with the times and the assumptions.
    pub explanation: String,
    /// What happened, in order.
    pub timeline: Vec<TimelineEntry>,
    /// The lines and objects that show it.
    pub evidence: Vec<EvidenceItem>,
    /// Ids of rules that follow from this finding and are not reported again.
    pub consequences: Vec<String>,
    /// What helps, the best first.
    pub fixes: Vec<Fix>,
}

/// How bad a finding is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Severity {
    /// Worth knowing.
    Info,
    /// Will bite.
    Warning,
    /// Keeps the workload from working.
    Error,
}

/// How certain a finding is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Verdict {
    /// From the manifest alone.
    Possible,
    /// Observed, but something else could explain it.
    Likely,
    /// Observed, and nothing else explains it.
    Confirmed,
}

/// A workload: the topmost owner of the pods concerned.
#[derive(Debug, Clone, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Subject {
    /// `null` where nothing says it.
    pub namespace: Option<String>,
    /// `Deployment`, `CronJob` … or `Pod` where the owner is not certain.
    pub kind: String,
    /// Name of that object.
    pub name: String,
    /// The pods that were seen, sorted.
    pub pods: Vec<String>,
    /// The container concerned.
    pub container: Option<String>,
}

/// One point of a pod's start.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct TimelineEntry {
    /// RFC 3339, UTC, with as many digits as the source has.
    pub at: Option<String>,
    /// End of the interval, for [`Precision::Between`].
    pub until: Option<String>,
    /// How well the time is known.
    pub precision: Precision,
    /// What happened.
    pub what: String,
    /// Where it says so.
    pub source: String,
}

/// How well a time is known.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Precision {
    /// To the digits given.
    Exact,
    /// To one second: status fields and events.
    Second,
    /// Not before `at`.
    NotBefore,
    /// Not after `at`.
    NotAfter,
    /// Between `at` and `until`.
    Between,
}

/// A line or an object that shows something.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct EvidenceItem {
    /// `file:line`, relative to what was handed over, or an object.
    pub source: String,
    /// When, where it is known.
    pub at: Option<String>,
    /// The telling text.
    pub text: String,
}

/// An entry of Cloud Logging.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct StoreEntry {
    /// The source as findings name it, without what is in it.
    pub source: String,
    /// `logName`.
    pub log_name: String,
    /// `insertId`.
    pub insert_id: String,
    /// The Logs Explorer with this entry.
    pub link: String,
}

/// A change that removes the fault.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Fix {
    /// Id of the kind of fix, permanent.
    pub id: String,
    /// What it does, one line.
    pub title: String,
    /// Whether `--fix` applies it unasked.
    pub safety: Safety,
    /// The file it edits, or the object it patches.
    pub target: Option<String>,
    /// Unified diff of that file.
    pub diff: Option<String>,
    /// Kind of `patch`.
    pub patch_type: Option<PatchType>,
    /// The patch as an API object takes it.
    pub patch: Option<serde_json::Value>,
    /// A command that applies it, or the next thing to type.
    pub command: Option<String>,
}

/// Whether a fix changes nothing but start-up and the named destination.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Safety {
    /// Start-up is repaired, and nothing but the named destination leaves the mesh.
    Safe,
    /// Has a side effect that somebody must want.
    Unsafe,
}

/// Kinds of patch the Kubernetes API takes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum PatchType {
    /// Strategic merge patch.
    Strategic,
    /// RFC 7386 merge patch.
    Merge,
    /// RFC 6902 JSON patch.
    Json,
}

/// A look-alike that was ruled out.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Cleared {
    /// The rule that it looked like.
    pub rule: String,
    /// Id of the look-alike.
    pub look_alike: String,
    /// The workload.
    pub subject: Subject,
    /// The deciding fact.
    pub why: String,
}

/// A judgement that is missing evidence.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Unknown {
    /// The rule that could not judge.
    pub rule: String,
    /// The workload.
    pub subject: Subject,
    /// What is missing.
    pub missing: Vec<String>,
    /// The command that would get it.
    pub get_it_with: Option<String>,
}

/// A piece of input that could not be read.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Unreadable {
    /// `file:line`, relative to what was handed over.
    pub source: String,
    /// Why, in one line.
    pub why: String,
}

/// What was made of the input: each text was read as one form or another, not recognised, or passed
/// over because it is no evidence of a pod's start.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Read {
    /// How many texts were read as what; a file may hold several.
    pub forms: Vec<FormRead>,
    /// Texts of which some lines could not be placed.
    pub partly: Vec<PartlyRead>,
    /// Texts that look like evidence and were not recognised.
    pub unrecognised: Vec<Unrecognised>,
    /// Texts that name no pod and of which nothing else says whose they are.
    pub unnamed: Vec<String>,
    /// What was taken for granted while reading.
    pub assumed: Vec<Assumed>,
    /// Files and folders that are no evidence: sources, values, templates, settings of other tools.
    pub passed_over: u64,
}

impl Read {
    /// Whether there was nothing but what is no evidence.
    #[must_use]
    pub fn is_passed_over(&self) -> bool {
        self.passed_over > 0 && self.forms.is_empty() && self.unrecognised.is_empty()
    }
}

/// Texts of one form.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct FormRead {
    /// Id of the form, permanent.
    pub form: String,
    /// The form in words.
    pub name: String,
    /// How many.
    pub texts: u64,
}

/// A text that was read in part.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PartlyRead {
    /// The file, relative to what was handed over.
    pub source: String,
    /// Id of the form it was read as.
    pub form: String,
    /// Lines that could not be placed.
    pub lines: u64,
}

/// Something that a text does not say and that was taken for granted.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Assumed {
    /// The file, relative to what was handed over.
    pub source: String,
    /// What, in a few words.
    pub what: String,
}

/// A text that looks like evidence and was not recognised.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Unrecognised {
    /// `file:line`, relative to what was handed over.
    pub source: String,
    /// What it is, as far as one can tell.
    pub why: String,
    /// Id of the form that it comes nearest to.
    pub looks_like: Option<String>,
    /// How to hand it over better.
    pub better: String,
}
