//! Scenarios: manifests, which programs their images are, what is late or fails, and what the
//! doctor should find in what is left behind. Files in TOML; those that ship are in
//! `crates/lab/scenarios` and in the program itself.

use std::collections::BTreeMap;
use std::net::Ipv4Addr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context as _, bail};
use serde::Deserialize;

use crate::image::{Image, Images};
use crate::inside::PROGRAMS;
use crate::kubelet::Steps;
use crate::node::Random;

/// A file of `crates/lab/scenarios`.
macro_rules! shipped {
    ($id:literal) => {
        ($id, include_str!(concat!("../scenarios/", $id, ".toml")))
    };
}

/// The scenarios that ship: id and text.
pub const SHIPPED: &[(&str, &str)] = &[
    shipped!("app-before-proxy"),
    shipped!("app-before-proxy-cni"),
    shipped!("app-listens-on-loopback"),
    shipped!("app-runs-as-proxy-uid"),
    shipped!("capture-lock-contention"),
    shipped!("cni-not-ready"),
    shipped!("control-plane-unreachable"),
    shipped!("gateway-not-injected"),
    shipped!("gateway-privileged-port"),
    shipped!("hold-not-effective"),
    shipped!("hold-timed-out"),
    shipped!("init-before-dns-proxy"),
    shipped!("init-before-proxy-cni"),
    shipped!("init-before-proxy-left-over"),
    shipped!("init-before-proxy-vault"),
    shipped!("init-before-proxy-vault-cni"),
    shipped!("init-outside-mesh"),
    shipped!("job-never-completes"),
    shipped!("mesh-container-not-created"),
    shipped!("metadata-server-before-proxy"),
    shipped!("native-sidecar"),
    shipped!("native-sidecar-stripped"),
    shipped!("port-taken"),
    shipped!("postgres"),
    shipped!("probe-unknown-to-agent"),
    shipped!("proxy-cannot-run-on-node"),
    shipped!("proxy-exited-for-good"),
    shipped!("proxy-exits-before-app"),
    shipped!("proxy-image-unavailable"),
    shipped!("proxy-restarted"),
    shipped!("proxy-restarted-by-startup-probe"),
    shipped!("readiness-endpoint-wrong"),
    shipped!("redis"),
    shipped!("root-certificate-missing"),
    shipped!("start-gate-expired"),
    shipped!("sysctl-forbidden"),
    shipped!("unused-ignore"),
];

/// Images of the proxies, as injectors name them.
pub const ISTIO_IMAGE: &str = "docker.io/istio/proxyv2";
/// Sunup's own.
pub const SUNUP_IMAGE: &str = "ghcr.io/sunup-dev/sunup";
/// Vault, its server and its agent.
pub const VAULT_IMAGE: &str = "hashicorp/vault";

/// A scenario.
#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct Scenario {
    /// In one line.
    pub title: String,
    /// What happens and why.
    #[serde(default)]
    pub about: String,
    /// The rule that the doctor must find; none: it must find nothing.
    #[serde(default)]
    pub rule: Option<String>,
    /// The rule's cause, where it has several.
    #[serde(default)]
    pub cause: Option<String>,
    /// The workload that it is about: `Deployment/orders`.
    pub workload: String,
    /// The container of it whose first answer is waited for and measured.
    pub container: String,
    /// Outside parts that it needs: `envoy`, `redis-server`, `any-user` …
    #[serde(default)]
    pub needs: Vec<String>,
    /// Container and text, each of which its log must have had before the fault counts as seen; under
    /// the empty name, what an event of the pod must have said.
    #[serde(default)]
    pub until: Vec<(String, String)>,
    /// How long the fault is watched at least.
    #[serde(default = "six_seconds")]
    pub observe_ms: u64,
    /// Workloads that are ready before the others start.
    #[serde(default)]
    pub first: Vec<String>,
    /// Who injects the pods; nobody where it is missing.
    #[serde(default)]
    pub inject: Option<Inject>,
    /// Addresses of workloads' pods.
    #[serde(default)]
    pub address: BTreeMap<String, Ipv4Addr>,
    /// Names outside of the cluster.
    #[serde(default)]
    pub names: BTreeMap<String, Ipv4Addr>,
    /// By container: the time between its start and its program's, `1.5s` or `0.5s..3s`.
    #[serde(default)]
    pub delay: BTreeMap<String, Delay>,
    /// By container: the time before it is started, which holds up those after it.
    #[serde(default)]
    pub create: BTreeMap<String, Delay>,
    /// By container: its first starts end with a code.
    #[serde(default)]
    pub fail: BTreeMap<String, Fail>,
    /// Images by name.
    #[serde(default)]
    pub image: BTreeMap<String, Program>,
    /// How the stand-in for Istio's proxy behaves.
    #[serde(default)]
    pub proxy: StandIn,
    /// The user's manifests.
    pub manifests: String,
    /// Deletes the pods so long after they were seen; what they do at their end counts too.
    #[serde(default)]
    pub delete_ms: Option<u64>,
    /// Why the unfixed manifests are not tried under Sunup, where that says nothing.
    #[serde(default)]
    pub not_under_sunup: Option<String>,
    /// The unfixed pods come up with Istio's proxy, too, on a node with Sunup's agent. Not taken over
    /// by who extends this one.
    #[serde(default)]
    pub node_agent: bool,
    /// The same after what the doctor advises was done, where no fix of its own does it: another
    /// image, settings of the mesh, a control plane that is there.
    #[serde(skip)]
    pub mended: Option<Box<Scenario>>,
}

fn six_seconds() -> u64 {
    6000
}

/// How pods are injected, in Istio's way.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields, default)]
pub struct Inject {
    /// Native sidecars.
    pub native: bool,
    /// Capture by a CNI plugin.
    pub cni: bool,
    /// The plugin is not there yet when the pods are made.
    pub cni_missing: bool,
    /// Another program holds iptables' lock when Istio's plugin sets capture up.
    pub cni_lock_taken: bool,
    /// Vault's webhook, which runs after the mesh's.
    pub vault: bool,
    /// A webhook after the mesh's that writes init containers back without `restartPolicy`.
    pub stripping: bool,
    /// Capture with Sunup's start gate, and how long it holds: `2s`.
    pub start_gate: Option<String>,
    /// Helm values of the mesh.
    pub values: String,
}

/// A program for an image.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Program {
    /// A stand-in of the lab: its name and arguments.
    #[serde(default)]
    pub part: Vec<String>,
    /// A program of this machine and its arguments.
    #[serde(default)]
    pub command: Vec<String>,
    /// User where the pod names none.
    #[serde(default)]
    pub user: u32,
}

/// A container's first starts that end at once.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Fail {
    /// How many.
    pub times: u32,
    /// With which code.
    pub code: i32,
}

/// The stand-in for Istio's proxy.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields, default)]
pub struct StandIn {
    /// How long it waits for its configuration, in which it listens on nothing.
    pub config_ms: u64,
    /// Its image is for a processor that this machine hasn't.
    pub foreign: bool,
    /// It crashes once, so long after it became ready.
    pub crash_ms: Option<u64>,
    /// It asks this host and port for its configuration, until somebody is there.
    pub control_plane: Option<String>,
    /// Its agent answers probes as pilot-agent does, in its words; otherwise the data plane's own does.
    pub agent: bool,
}

/// A time, or any between two.
#[derive(Debug, Clone, PartialEq)]
pub struct Delay {
    least: Duration,
    most: Duration,
}

impl Delay {
    /// A time of this length, drawn at random.
    pub fn draw(&self, random: &mut Random) -> Duration {
        let span = u64::try_from((self.most - self.least).as_micros()).unwrap_or(u64::MAX);
        self.least + Duration::from_micros(random.below(span.saturating_add(1)))
    }
}

impl<'de> Deserialize<'de> for Delay {
    fn deserialize<D: serde::Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        let text = String::deserialize(from)?;
        let one = |text: &str| {
            let (number, unit) = match text.strip_suffix("ms") {
                Some(number) => (number, 0.001),
                None => (text.strip_suffix('s').unwrap_or_default(), 1.0),
            };
            let number: f64 = number.trim().parse().ok()?;
            Duration::try_from_secs_f64(number * unit).ok()
        };
        let (least, most) = text.split_once("..").unwrap_or((&text, &text));
        match (one(least), one(most)) {
            (Some(least), Some(most)) if least <= most => Ok(Delay { least, most }),
            _ => Err(serde::de::Error::custom(format!("\"{text}\": write 300ms, 3s or 0.5s..3s"))),
        }
    }
}

impl Scenario {
    /// A scenario that ships, or that is in a file.
    ///
    /// # Errors
    /// There is none of this name, or the file is wrong; the error names the place.
    pub fn find(name: &str) -> anyhow::Result<Self> {
        if name.contains('/') || name.ends_with(".toml") {
            let text = std::fs::read_to_string(name).with_context(|| name.to_owned())?;
            return Self::parse(&text).with_context(|| name.to_owned());
        }
        let known = SHIPPED.iter().find(|(id, _)| *id == name);
        let Some((_, text)) = known else {
            let ids: Vec<&str> = SHIPPED.iter().map(|(id, _)| *id).collect();
            bail!("no scenario {name}; there are {}, or give a file", ids.join(", "));
        };
        Self::parse(text).with_context(|| name.to_owned())
    }

    /// Reads a scenario. `extends = "id"` takes what it doesn't say from one that ships.
    ///
    /// # Errors
    /// The text is wrong; the error names the place.
    pub fn parse(text: &str) -> anyhow::Result<Self> {
        let mut table = whole(text, BASES)?;
        let mended = table.remove("mended");
        let mut scenario = Self::of(table.clone())?;
        if let Some(mended) = mended {
            let over: toml::Table = mended.try_into().context("mended")?;
            merge(&mut table, over);
            scenario.mended = Some(Box::new(Self::of(table).context("mended")?));
        }
        Ok(scenario)
    }

    fn of(table: toml::Table) -> anyhow::Result<Self> {
        let mut scenario: Self = table.try_into()?;
        // How one that extends another says "none".
        scenario.rule = scenario.rule.filter(|rule| !rule.is_empty());
        scenario.cause = scenario.cause.filter(|cause| !cause.is_empty());
        Ok(scenario)
    }

    /// Delays and failures of a workload's pod, drawn at random where they are ranges.
    pub fn steps(&self, workload: &str, random: &mut Random) -> Steps {
        let mut draw = |delays: &BTreeMap<String, Delay>| {
            delays.iter().map(|(name, delay)| (name.clone(), delay.draw(random))).collect()
        };
        let mine = workload == self.workload;
        Steps {
            sandbox: Duration::ZERO,
            create: if mine { draw(&self.create) } else { BTreeMap::new() },
            program: if mine { draw(&self.delay) } else { BTreeMap::new() },
            fail: match mine {
                true => self.fail.iter().map(|(n, f)| (n.clone(), (f.times, f.code))).collect(),
                false => BTreeMap::new(),
            },
            address: self.address.get(workload).copied(),
            no_plugin: mine && self.inject.as_ref().is_some_and(|inject| inject.cni_missing),
            lock_taken: mine && self.inject.as_ref().is_some_and(|inject| inject.cni_lock_taken),
        }
    }

    /// Its images, and those of the proxies and of Vault. `envoy` is the real one, where it is to
    /// be used.
    #[must_use]
    pub fn images(&self, envoy: Option<&Path>) -> Images {
        let part = |words: &[&str]| {
            ["sunup", "lab-part"].iter().chain(words).map(|w| (*w).to_owned()).collect::<Vec<_>>()
        };
        let mut images = Images::default();
        let mut env = vec![
            ("SUNUP_START_GATE".to_owned(), "off".to_owned()),
            ("SUNUP_LAB_CONFIG_MS".to_owned(), self.proxy.config_ms.to_string()),
        ];
        if let Some(ms) = self.proxy.crash_ms {
            env.push(("SUNUP_LAB_CRASH_MS".to_owned(), ms.to_string()));
        }
        if let Some(to) = &self.proxy.control_plane {
            env.push(("SUNUP_LAB_CONTROL_PLANE".to_owned(), to.clone()));
        }
        if self.proxy.agent {
            env.push(("SUNUP_LAB_AGENT".to_owned(), "true".to_owned()));
        }
        let mut programs: Vec<(String, PathBuf)> = Vec::new();
        if let Some(envoy) = envoy {
            programs.push(("envoy".to_owned(), envoy.to_owned()));
            env.push(("SUNUP_LAB_ENVOY".to_owned(), format!("{PROGRAMS}/envoy")));
        }
        let foreign = self.proxy.foreign;
        let entrypoint = match foreign {
            true => vec!["pilot-agent".to_owned()],
            false => part(&["istio-proxy"]),
        };
        images.add(ISTIO_IMAGE, Image { entrypoint, env, programs, foreign, ..Image::default() });
        let entrypoint = vec!["sunup".to_owned()];
        images.add(SUNUP_IMAGE, Image { entrypoint, ..Image::default() });
        let entrypoint = part(&["vault"]);
        images.add(VAULT_IMAGE, Image { entrypoint, ..Image::default() });
        for (name, program) in &self.image {
            let words: Vec<&str> = program.part.iter().map(String::as_str).collect();
            let entrypoint = if words.is_empty() { program.command.clone() } else { part(&words) };
            images.add(name, Image { entrypoint, user: program.user, ..Image::default() });
        }
        images
    }
}

/// Scenarios that one may extend, each the next one's base.
const BASES: u32 = 4;

/// A scenario's table, with what it doesn't say taken from the one that it extends.
fn whole(text: &str, bases: u32) -> anyhow::Result<toml::Table> {
    let mut table: toml::Table = text.parse()?;
    let Some(base) = table.remove("extends") else { return Ok(table) };
    let id = base.as_str().context("extends: the id of a scenario")?;
    let known = SHIPPED.iter().find(|(known, _)| *known == id);
    let (_, text) = known.with_context(|| format!("extends: no scenario {id}"))?;
    anyhow::ensure!(bases > 0, "extends: {id} leads back to where it came from");
    let mut base = whole(text, bases - 1)?;
    // What comes of another fault on such a node is for itself to say.
    base.remove("node-agent");
    merge(&mut base, table);
    Ok(base)
}

/// Later values win; tables are joined.
fn merge(base: &mut toml::Table, over: toml::Table) {
    for (key, value) in over {
        match (base.get_mut(&key), value) {
            (Some(toml::Value::Table(base)), toml::Value::Table(over)) => merge(base, over),
            (_, value) => {
                base.insert(key, value);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_scenario_that_ships_can_be_read_and_names_its_workload() {
        for (id, _) in SHIPPED {
            let scenario = Scenario::find(id).expect(id);
            let (kind, name) = scenario.workload.split_once('/').expect("KIND/NAME");
            let objects = crate::manifest::read(&scenario.manifests).expect(id);
            assert!(
                objects.iter().any(|object| match object {
                    crate::manifest::Object::Workload(w) => {
                        w["kind"] == kind && w["metadata"]["name"] == name
                    }
                    _ => false,
                }),
                "{id}: {}",
                scenario.workload
            );
        }
    }

    #[test]
    fn delays_are_times_or_ranges_and_drawn_by_the_seed() {
        let delay = |text: &str| -> Result<Delay, _> {
            toml::Value::String(text.to_owned()).try_into::<Delay>()
        };
        let range = delay("0.5s..3s").expect("a range");
        let draw = |seed| range.draw(&mut Random::new(seed));
        assert_eq!(draw(1), draw(1));
        assert_ne!(draw(1), draw(2));
        assert!((0..50).all(|n| (500..=3000).contains(&draw(n).as_millis())));
        assert_eq!(delay("300ms").expect("a time").least, Duration::from_millis(300));
        for wrong in ["3", "3s..1s", "x", "-1s"] {
            assert!(delay(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn a_wrong_scenario_is_told_with_its_place() {
        let error = format!("{:#}", Scenario::parse("title = 3").expect_err("wrong"));
        assert!(error.contains("title"), "{error}");
        let unknown = Scenario::find("nobody").expect_err("unknown").to_string();
        assert!(unknown.contains("app-before-proxy"), "{unknown}");
    }
}
