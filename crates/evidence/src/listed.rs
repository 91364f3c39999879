//! What a table says of an object: a row of `kubectl get`, of a pane, of a dashboard.
//!
//! A row is a glance at an object from outside: one word for its status, how many of its
//! containers are ready, an age. It never stands for the object, of which it shows next to
//! nothing: that a table has no sidecar in it does not mean that the pod has none. Knows no
//! format and no rule.

use jiff::SignedDuration;

use crate::object::{ContainerStatus, Map};
use crate::record::Place;

/// A row. What its table has no column for, or leaves empty, is `None`.
#[derive(Debug, Clone, PartialEq)]
pub struct Listed {
    /// `Pod`, `Job` …, as the API spells it.
    pub kind: String,
    /// Namespace, where a column or the command says it.
    pub namespace: Option<String>,
    /// Name; `None` where the text is about an object that it does not name.
    pub name: Option<String>,
    /// The word for its state, as it stands: `Running`, `NotReady`, `Init:0/1`, `Completed`.
    pub status: Option<String>,
    /// Ready containers (of a pod), replicas (of a workload) or completions (of a Job), and how
    /// many there are or should be.
    pub ready: Option<(u32, u32)>,
    /// How often containers were started again, all together.
    pub restarts: Option<u32>,
    /// How long before the table was printed the last of them was.
    pub restarted: Option<Age>,
    /// How long before the table was printed the object was made.
    pub age: Option<Age>,
    /// For how long a Job has run, or did.
    pub duration: Option<Age>,
    /// The node of a pod.
    pub node: Option<String>,
    /// The address of a pod.
    pub ip: Option<String>,
    /// The owner (kind, name) where a column or a field says it.
    pub owner: Option<(String, String)>,
    /// Labels, where the table shows them; not all of them need be there.
    pub labels: Map,
    /// Containers that the text names, with what it says of each.
    pub containers: Vec<ContainerStatus>,
    /// Where it was read.
    pub place: Place,
}

impl Listed {
    /// A row of which only the kind and the place are known yet.
    #[must_use]
    pub fn new(kind: &str, place: Place) -> Self {
        Listed {
            kind: kind.to_owned(),
            namespace: None,
            name: None,
            status: None,
            ready: None,
            restarts: None,
            restarted: None,
            age: None,
            duration: None,
            node: None,
            ip: None,
            owner: None,
            labels: Map::new(),
            containers: Vec::new(),
            place,
        }
    }

    /// What it says of one container.
    #[must_use]
    pub fn container(&self, name: &str) -> Option<&ContainerStatus> {
        self.containers.iter().find(|c| c.name == name)
    }

    /// Whether it tells more than that something of this name exists.
    #[must_use]
    pub fn is_telling(&self) -> bool {
        self.status.is_some() || self.ready.is_some() || !self.containers.is_empty()
    }
}

/// A span of time as tables print it: cut down to one or two units, so that it is known only to
/// lie between two lengths. It reaches back from the moment of printing, which no table names.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Age {
    /// It is no shorter than this.
    pub least: SignedDuration,
    /// It is shorter than this.
    pub below: SignedDuration,
}

/// Units, and their seconds.
const UNITS: &[(char, i64)] =
    &[('y', 365 * 86_400), ('d', 86_400), ('h', 3_600), ('m', 60), ('s', 1)];

impl Age {
    /// `41m`, `3m24s`, `2d4h`, `1y12d`: good for the last unit that is printed, and no better: a
    /// `5m` of an old kubectl may have been 5 minutes and 59 seconds.
    ///
    /// # Sources
    /// `k8s.io/apimachinery/pkg/util/duration`: `HumanDuration` and `ShortHumanDuration`.
    #[must_use]
    pub fn parse(text: &str) -> Option<Age> {
        let mut seconds = 0i64;
        let mut unit = 0i64;
        let mut units = UNITS;
        let mut rest = text.trim();
        if rest.is_empty() || rest.len() > 24 {
            return None;
        }
        while !rest.is_empty() {
            let end = rest.find(|c: char| !c.is_ascii_digit())?;
            let count: i64 = rest[..end].parse().ok()?;
            let name = rest[end..].chars().next()?;
            let at = units.iter().position(|(letter, _)| *letter == name)?;
            unit = units[at].1;
            units = &units[at + 1..];
            seconds = seconds.checked_add(count.checked_mul(unit)?)?;
            rest = rest[end + name.len_utf8()..].trim_start();
        }
        Age::of(seconds, unit)
    }

    /// `3 minutes`, `About an hour`, `Less than a second`, `5 weeks`, as Docker words it, with or
    /// without `ago` behind it.
    ///
    /// # Sources
    /// `github.com/docker/go-units`, `HumanDuration`, which rounds down, hours to the nearest.
    #[must_use]
    pub fn parse_words(text: &str) -> Option<Age> {
        let text = text.trim();
        let text = text.strip_suffix(" ago").unwrap_or(text);
        if text.eq_ignore_ascii_case("less than a second") {
            return Age::of(0, 1);
        }
        let (count, unit) = match text.strip_prefix("About ") {
            Some(rest) => (1, rest.split_once(' ')?.1),
            None => {
                let (count, unit) = text.split_once(' ')?;
                (count.parse().ok()?, unit)
            }
        };
        let seconds = match unit.trim_end_matches('s') {
            "second" => 1,
            "minute" => 60,
            "hour" => 3_600,
            "day" => 86_400,
            "week" => 7 * 86_400,
            "month" => 30 * 86_400,
            "year" => 365 * 86_400,
            _ => return None,
        };
        let whole = i64::checked_mul(count, seconds)?;
        // Hours are rounded to the nearest, and longer units are counted in such hours.
        let rounded = if seconds < 3_600 { 0 } else { 1_800 };
        Some(Age {
            least: SignedDuration::from_secs(whole.checked_sub(rounded)?.max(0)),
            below: SignedDuration::from_secs(whole.checked_add(seconds)?.checked_sub(rounded)?),
        })
    }

    fn of(seconds: i64, unit: i64) -> Option<Age> {
        Some(Age {
            least: SignedDuration::from_secs(seconds),
            below: SignedDuration::from_secs(seconds.checked_add(unit)?),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn seconds(text: &str) -> Option<(i64, i64)> {
        Age::parse(text).map(|a| (a.least.as_secs(), a.below.as_secs()))
    }

    #[test]
    fn an_age_is_known_to_its_last_unit() {
        for (text, want) in [
            ("0s", (0, 1)),
            ("41s", (41, 42)),
            ("41m", (2460, 2520)),
            ("3m24s", (204, 205)),
            ("3m20s", (200, 201)),
            ("2d4h", (187_200, 190_800)),
            ("12d", (1_036_800, 1_123_200)),
            ("1y12d", (32_572_800, 32_659_200)),
        ] {
            assert_eq!(seconds(text), Some(want), "{text}");
        }
        for text in [
            "",
            "<none>",
            "<unknown>",
            "<invalid>",
            "m",
            "4",
            "4m3d",
            "5x",
            "-3m",
            "99999999999999999999d",
            "9223372036854775807s",
            "1m1m",
        ] {
            assert_eq!(seconds(text), None, "{text}");
        }
    }

    #[test]
    fn dockers_words() {
        let seconds = |text| Age::parse_words(text).map(|a| (a.least.as_secs(), a.below.as_secs()));
        for (text, want) in [
            ("Less than a second ago", (0, 1)),
            ("12 seconds", (12, 13)),
            ("About a minute ago", (60, 120)),
            ("3 minutes", (180, 240)),
            ("About an hour ago", (1800, 5400)),
            ("5 hours ago", (16_200, 19_800)),
            ("2 weeks", (1_207_800, 1_812_600)),
        ] {
            assert_eq!(seconds(text), Some(want), "{text}");
        }
        for text in ["", "About", "3", "many minutes", "3 lightyears", "9223372036854775807 weeks"]
        {
            assert_eq!(seconds(text), None, "{text}");
        }
    }
}
