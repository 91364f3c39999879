//! Why a proxy says that it is not ready.
//!
//! # Sources
//! istio/istio `pilot/cmd/pilot-agent/status/ready/probe.go`; up to 1.10 the wording is "from
//! Pilot (is Pilot running?)", and there "but was rejected" did not exist yet.

use crate::log::find_ignoring_case;

/// Updates of clusters and listeners, as the proxy counts them.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Updates {
    /// Clusters accepted.
    pub cds: u32,
    /// Clusters rejected.
    pub cds_rejected: u32,
    /// Listeners accepted.
    pub lds: u32,
    /// Listeners rejected.
    pub lds_rejected: u32,
}

/// What it waits for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NotReady {
    /// The control plane has sent nothing.
    NothingReceived,
    /// It has sent clusters or listeners, not both.
    PartlyReceived,
    /// What it has sent was rejected.
    Rejected,
    /// Envoy initialises: certificates, clusters that need DNS, listeners.
    Initializing,
    /// Its workers have not started.
    Workers,
    /// Envoy's admin interface does not answer: it is not up, or not any more.
    NoAnswer,
    /// It is ending.
    Ending,
    /// Another reason.
    Other,
}

/// Reads a line that says "Envoy proxy is NOT ready".
#[must_use]
pub fn read(line: &str) -> Option<(NotReady, Option<Updates>)> {
    let at = find_ignoring_case(line, "is not ready")?;
    let reason = &line[at..];
    let has = |part: &str| find_ignoring_case(reason, part).is_some();
    let updates = updates(reason);
    let rejected = updates.is_some_and(|u| u.cds_rejected + u.lds_rejected > 0);
    let why = if has("but was rejected") || rejected {
        NotReady::Rejected
    } else if has("config not fully received") {
        NotReady::PartlyReceived
    } else if has("config not received") {
        // Old releases say so too when one of the two is there.
        match updates {
            Some(u) if u.cds + u.lds > 0 => NotReady::PartlyReceived,
            _ => NotReady::NothingReceived,
        }
    } else if has("draining") || has("terminated") {
        NotReady::Ending
    } else if has("initializing") || has("not live") {
        NotReady::Initializing
    } else if has("workers") {
        NotReady::Workers
    } else if has("failed to get") || has("failed retrieving") {
        NotReady::NoAnswer
    } else {
        NotReady::Other
    };
    Some((why, updates))
}

fn updates(text: &str) -> Option<Updates> {
    let of = |name: &str| -> Option<(u32, u32)> {
        let rest = &text[find_ignoring_case(text, name)? + name.len()..];
        let (accepted, rest) = rest.trim_start().split_once(" successful, ")?;
        let rejected = rest.split(' ').next()?;
        Some((accepted.trim().parse().ok()?, rejected.parse().ok()?))
    };
    let ((cds, cds_rejected), (lds, lds_rejected)) = (of("cds updates:")?, of("lds updates:")?);
    Some(Updates { cds, cds_rejected, lds, lds_rejected })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reasons_of_all_versions() {
        let counted = |c, cr, l, lr| {
            format!(
                "cds updates: {c} successful, {cr} rejected; lds updates: {l} successful, {lr} rejected"
            )
        };
        for (text, want) in [
            (
                format!(
                    "config not received from XDS server (is Istiod running?): {}",
                    counted(0, 0, 0, 0)
                ),
                NotReady::NothingReceived,
            ),
            (
                format!(
                    "config not received from Pilot (is Pilot running?): {}",
                    counted(0, 0, 0, 0)
                ),
                NotReady::NothingReceived,
            ),
            (
                format!(
                    "config not received from Pilot (is Pilot running?): {}",
                    counted(2, 0, 0, 0)
                ),
                NotReady::PartlyReceived,
            ),
            (
                format!(
                    "config not received from Pilot (is Pilot running?): {}",
                    counted(1, 0, 0, 3)
                ),
                NotReady::Rejected,
            ),
            (
                format!("config not fully received from XDS server: {}", counted(1, 0, 0, 0)),
                NotReady::PartlyReceived,
            ),
            (
                format!(
                    "config received from XDS server, but was rejected: {}",
                    counted(1, 0, 0, 2)
                ),
                NotReady::Rejected,
            ),
            (
                "server is not live, current state is: INITIALIZING".to_owned(),
                NotReady::Initializing,
            ),
            ("server is not live, current state is: DRAINING".to_owned(), NotReady::Ending),
            ("server is terminated: received signal: terminated".to_owned(), NotReady::Ending),
            ("workers have not yet started".to_owned(), NotReady::Workers),
            (
                "failed to get readiness stats: Get \"http://127.0.0.1:15000\"".to_owned(),
                NotReady::NoAnswer,
            ),
        ] {
            let line = format!("warn\tEnvoy proxy is NOT ready: {text}");
            assert_eq!(read(&line).map(|(why, _)| why), Some(want), "{line}");
        }
        assert_eq!(read("info\tEnvoy proxy is ready"), None);
        let line = format!("Envoy proxy is NOT ready: x: {}", counted(1, 2, 3, 4));
        let want = Updates { cds: 1, cds_rejected: 2, lds: 3, lds_rejected: 4 };
        assert_eq!(read(&line), Some((NotReady::Rejected, Some(want))));
    }
}
