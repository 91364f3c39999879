//! Reviews, by memory where that is certain.

use serde_json::Value;

use super::shape::{self, Kind, Shape};
use super::{Entry, Known, Outcome, owner, pieces, pieces_of, stand_in, taint};
use crate::decide::IGNORED_NAMESPACES;
use crate::injector::{Context, Injector};
use crate::owner::Owner;
use crate::request::{Answer, Asked, ReviewError};

impl Injector {
    /// Decides on a pod that the API server's selectors have sent, and injects it.
    ///
    /// # Errors
    /// A pod that can't be read or injected.
    pub fn review(&self, asked: &Asked<'_>) -> Result<Answer, ReviewError> {
        let Some(known) = self.known(asked) else { return self.review_anew(asked) };
        if let Some(entry) = self.memo.get(&known.key) {
            return match &*entry {
                Entry::Always(outcome) if outcome.fits(&known) => Ok(outcome.filled(&known)),
                _ => self.review_anew(asked),
            };
        }
        let answer = self.review_anew(asked)?;
        let entry = match self.generalised(asked, &known) {
            Some(outcome) if outcome.fits(&known) && outcome.filled(&known) == answer => {
                Entry::Always(Box::new(outcome))
            }
            _ => Entry::Never,
        };
        self.memo.put(known.key, entry);
        Ok(answer)
    }

    /// The pod taken apart; `None` where it has to be injected anew.
    pub(super) fn known<'a>(&self, asked: &Asked<'a>) -> Option<Known<'a>> {
        let policy = &self.settings().policy;
        let fixed_labels = !(policy.never.is_empty() && policy.always.is_empty());
        let shape = Shape::of(asked.object, fixed_labels)?;
        let facts = &shape.facts;
        if facts.injected
            || facts.namespace.is_empty()
            || IGNORED_NAMESPACES.contains(&facts.namespace)
        {
            return None;
        }
        let owner = owner(facts)?;
        let mut key = shape.text.clone();
        let mut part = |text: &str| {
            key.push(0);
            key.extend_from_slice(text.as_bytes());
        };
        part(&owner.kind);
        part(&owner.api_version);
        for (name, value) in asked.env.into_iter().flatten() {
            part(name);
            part(value);
        }
        for (name, value) in asked.namespace_annotations.into_iter().flatten() {
            part(name);
            part(value);
        }
        let word = shape::is_word(&owner.name);
        part(if word { "\u{1}" } else { &owner.name });
        let owner_hole = word.then_some(shape.holes.len());
        Some(Known { key, shape, owner, owner_hole })
    }

    /// What becomes of every pod of this shape, as far as a run on stand-ins tells.
    fn generalised(&self, asked: &Asked<'_>, known: &Known<'_>) -> Option<Outcome> {
        let text = known.symbolic()?;
        let pod: Value = serde_json::from_str(&text).ok()?;
        let namespace = pod.pointer("/metadata/namespace")?.as_str()?.to_owned();
        let name = match known.owner_hole {
            Some(place) => stand_in(Kind::Word, place),
            None => known.owner.name.clone(),
        };
        let owner = Owner { name, namespace, ..known.owner.clone() };
        let context = Context {
            owner: Some(owner),
            native: None,
            namespace_annotations: asked.namespace_annotations,
            env: asked.env,
            asked_again: true,
        };
        let (answer, seen) = taint::watch(|| self.answer(&pod, asked.namespace, &context));
        let answer = answer.ok()?;
        if seen.looked_at {
            return None;
        }
        let pieces = match &answer.patch {
            Some(patch) => Some(pieces(patch)?),
            None => None,
        };
        let shows = |text: &String| pieces_of(text.as_bytes()).is_none_or(|p| p.len() > 1);
        if answer.warnings.iter().any(shows) {
            return None;
        }
        Some(Outcome {
            decision: answer.decision,
            warnings: answer.warnings,
            pieces,
            not_equal: seen.not_equal,
        })
    }
}
