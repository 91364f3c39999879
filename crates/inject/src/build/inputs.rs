//! What overlays are built from.

use serde_json::Value;

use crate::owner::Owner;
use crate::reason::Reason;
use crate::settings::Settings;

/// Istio's way at its traps, or ours.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Way {
    /// Ours: resources complete, hooks kept, sysctl merged, hold where the sidecar is classic.
    Sunup,
    /// Istio's, to the letter.
    Istio,
}

/// What an overlay is built from.
pub(crate) struct Inputs<'a> {
    pub(crate) settings: &'a Settings,
    pub(crate) pod: &'a Value,
    pub(crate) owner: &'a Owner,
    pub(crate) proxy_config: &'a Value,
    pub(crate) native: bool,
    pub(crate) hold: bool,
    pub(crate) way: Way,
    pub(crate) uid: i64,
    pub(crate) gid: i64,
    pub(crate) asked_again: bool,
    pub(crate) reasons: &'a mut Vec<Reason>,
}
