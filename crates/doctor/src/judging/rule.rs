//! What a rule is: its metadata, and the two things it may judge. The engine owns the loops.

use crate::judging::fault::Judgements;
use crate::judging::meta::Meta;
use crate::judging::pod::Case;
use crate::judging::workload::{NamespaceWork, Work};

/// A start-up fault that the doctor can recognise. One file per rule, which knows no other.
///
/// Pure: no file, no clock. A rule that lacks what it needs says so in `unknown`; it never guesses,
/// and never calls healthy what it could not see.
pub(crate) trait Rule: Sync {
    /// What the rule is.
    fn meta(&self) -> &'static Meta;
    /// Whether the fault is over once the pod is up: a race at the start, or what kept it waiting.
    /// Such a fault weighs by what became of the pod (see [`crate::judging::outcome`]).
    fn passes(&self) -> bool {
        false
    }
    /// Judges one pod.
    fn pod(&self, _case: &Case<'_>, _out: &mut Judgements) {}
    /// Judges one object that makes pods: its manifest, and what was said of it while it could make
    /// none. `out` holds what this rule said of pods before.
    fn work(&self, _work: &Work<'_>, _out: &mut Judgements) {}
    /// Judges one Namespace.
    fn namespace(&self, _on: &NamespaceWork<'_>, _out: &mut Judgements) {}
}
