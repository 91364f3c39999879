//! A log store as an input: which one the user named, as whom, and how far it may be asked.

use std::io::IsTerminal as _;
use std::num::NonZeroU64;
use std::path::PathBuf;
use std::sync::Mutex;
use std::time::{Duration, Instant};

use anyhow::{Context as _, bail, ensure};
use indicatif::{ProgressBar, ProgressStyle};
use sunup_store::{
    Bounds, CloudLogging, Clues, Identity, Labels, Loki, Names, Place, Proxies, Store, Told,
    Wanted, Watch, Web, Where, Window, attributes,
};
use tokio::sync::watch;

use crate::global::Global;
use crate::out;
use crate::when::When;

/// How long asking may take before something is shown.
const PATIENCE: Duration = Duration::from_secs(1);
/// A wait that is told where nobody watches a bar.
const LONG_WAIT: Duration = Duration::from_secs(2);
/// In place of a project's id, which has at least six letters: as the cluster says.
const AUTO: &str = "auto";
/// How far back is asked where nothing is said.
const SINCE: &str = "24h";

/// Which store, and how far.
#[derive(Debug, Clone, Default, clap::Args)]
#[command(next_help_heading = "From a log store")]
pub(crate) struct StoreArgs {
    #[command(flatten)]
    cloud: CloudArgs,

    /// Only this cluster's entries
    #[arg(long, value_name = "NAME", requires = "stores")]
    cluster: Option<String>,

    /// Only those of clusters in this region or zone
    #[arg(long, value_name = "PLACE", requires = "cloud_logging")]
    location: Vec<String>,

    /// Ask for the resource types of Legacy Logging: container and gke_cluster
    #[arg(long, requires = "cloud_logging")]
    legacy_resources: bool,

    #[command(flatten)]
    loki: LokiArgs,

    #[command(flatten)]
    reach: ReachArgs,
}

/// Which Cloud Logging.
#[derive(Debug, Clone, Default, clap::Args)]
pub(crate) struct CloudArgs {
    /// Ask Cloud Logging, also of pods that are gone. PROJECT is a project's id, or a resource name
    /// such as folders/123. Reads only; takes logging.logEntries.list, by Application Default
    /// Credentials or else `gcloud`. Where no time is said: the last 24 hours. With --live, `auto`
    /// takes project, location and cluster from the cluster, and asks only for what that no longer has
    #[arg(long, value_name = "PROJECT", groups = ["asked", "stores"])]
    pub(crate) cloud_logging: Option<String>,

    /// Ask one view instead: locations/LOCATION/buckets/BUCKET/views/VIEW
    #[arg(long, value_name = "VIEW", requires = "cloud_logging")]
    view: Option<String>,

    /// Where the API is, if not at https://logging.googleapis.com
    #[arg(long, value_name = "URL", requires = "cloud_logging")]
    endpoint: Option<String>,
}

/// Which Loki, and what things are called there.
#[derive(Debug, Clone, Default, clap::Args)]
struct LokiArgs {
    /// Ask the Loki at this address instead
    #[arg(long, value_name = "URL", groups = ["asked", "stores"], conflicts_with = "cloud_logging")]
    loki: Option<String>,

    /// Send this header to Loki, for a tenant or a token: `X-Scope-OrgID=shop`; with `NAME=@FILE` its
    /// value is read from a file
    #[arg(long, value_name = "NAME=VALUE", requires = "loki")]
    loki_header: Vec<String>,

    /// What Loki's labels are called, where not cluster, namespace, pod: `namespace=kube_namespace`
    #[arg(long, value_name = "LABEL=NAME", requires = "loki")]
    loki_label: Vec<String>,

    /// The streams in which Loki has Kubernetes events, such as {job="kubernetes-events"}
    #[arg(long, value_name = "SELECTOR", requires = "loki")]
    loki_events: Option<String>,
}

/// How far a store may be asked.
#[derive(Debug, Clone, Default, clap::Args)]
pub(crate) struct ReachArgs {
    /// Entries that are read at most [default: 200000]
    #[arg(long, value_name = "NUMBER", requires = "stores")]
    max_entries: Option<NonZeroU64>,

    /// Minutes that asking may take [default: 15]
    #[arg(long, value_name = "MINUTES", requires = "stores")]
    max_time: Option<NonZeroU64>,
}

/// A store, and how it is called.
pub(crate) type Named = (Box<dyn Store>, String);

impl StoreArgs {
    /// Whether a store was named.
    pub(crate) fn is_asked(&self) -> bool {
        self.cloud.cloud_logging.is_some() || self.loki.loki.is_some()
    }

    /// Whether project and cluster are to be taken from a live one.
    pub(crate) fn is_auto(&self) -> bool {
        self.cloud.cloud_logging.as_deref() == Some(AUTO)
    }

    /// Takes project, location and cluster from what is known of a live one, and says by what. What
    /// was named by options stays.
    pub(crate) async fn settle(&mut self, mut clues: Clues, own: bool) -> anyhow::Result<String> {
        if own {
            clues.attributes = attributes(&web()?, set("GCE_METADATA_HOST").as_deref()).await;
        }
        let told = clues.told().map_err(anyhow::Error::msg);
        let Told { project, cluster, locations, by } = told.context("--cloud-logging auto")?;
        let Some(cluster) = self.cluster.take().or(cluster) else {
            bail!(
                "--cloud-logging auto: the project is {project}, {by}, but nothing says what the \
                 cluster is called there: give --cluster NAME, as `gcloud container clusters list \
                 --project {project}` has it"
            );
        };
        if self.location.is_empty() {
            self.location = locations;
        }
        let place = self.location.join(" or ");
        let said =
            format!("Cloud Logging has it as cluster {cluster} in {place} of {project}, {by}");
        (self.cluster, self.cloud.cloud_logging) = (Some(cluster), Some(project));
        Ok(said)
    }

    /// What is wanted of it.
    pub(crate) fn wanted(
        &self,
        namespace: Option<&str>,
        (pod, workload): (Option<&str>, Option<&str>),
        (since, until): (Option<&When>, Option<&When>),
    ) -> anyhow::Result<Wanted> {
        Ok(Wanted {
            place: Place {
                cluster: self.cluster.clone(),
                locations: self.location.clone(),
                namespace: namespace.map(str::to_owned),
                pods: pod.map(str::to_owned).into_iter().collect(),
                pods_of: workload.map(str::to_owned),
            },
            within: window(since, until)?,
        })
    }

    /// The store. No entry is asked for yet.
    pub(crate) async fn connect(&self) -> anyhow::Result<Named> {
        let names = if self.legacy_resources { Names::Legacy } else { Names::Current };
        match &self.loki.loki {
            Some(url) => self.loki.connect(url),
            None => self.cloud.connect(names).await,
        }
    }

    /// How far asking may go, from now on.
    pub(crate) fn bounds(&self, stop: watch::Receiver<bool>) -> Bounds {
        self.reach.bounds(stop)
    }
}

impl CloudArgs {
    /// Cloud Logging of the project that was named.
    pub(crate) async fn connect(&self, names: Names) -> anyhow::Result<Named> {
        let Some(project) = &self.cloud_logging else { bail!("no project was named") };
        ensure!(project != AUTO, "--cloud-logging auto: only `doctor --live` has a cluster to ask");
        let web = web()?;
        let endpoint = self.endpoint.as_deref();
        // An endpoint without TLS is one on this machine: nobody's token is sent there unasked.
        let plain = endpoint.is_some_and(|url| url.starts_with("http://"));
        let named = std::env::var_os("GOOGLE_APPLICATION_CREDENTIALS").is_some();
        let identity = match plain && !named {
            true => None,
            false => Some(Identity::find(&places(), &web).await?),
        };
        let who = identity.as_ref().map(|who| format!(", as {}", who.said())).unwrap_or_default();
        let view = self.view.as_deref();
        let store = CloudLogging::new(web, identity, endpoint, project, view, names)?;
        let said = format!("Cloud Logging of {}{who}", store.resource());
        Ok((Box::new(store), said))
    }
}

impl LokiArgs {
    fn connect(&self, url: &str) -> anyhow::Result<Named> {
        let headers = self.loki_header.iter().map(|text| header(text));
        let headers = headers.collect::<anyhow::Result<Vec<_>>>()?;
        let loki = Loki::new(web()?, url, &headers, self.labels()?)?;
        Ok((Box::new(loki), format!("Loki at {}", without_secrets(url))))
    }

    fn labels(&self) -> anyhow::Result<Labels> {
        let mut labels = Labels { events: self.loki_events.clone(), ..Labels::default() };
        for text in &self.loki_label {
            let (label, name) = text.split_once('=').unwrap_or((text, ""));
            let plain = |c: char| c.is_ascii_alphanumeric() || c == '_';
            ensure!(
                !name.is_empty() && name.chars().all(plain),
                "--loki-label {text}: give it as LABEL=NAME, such as namespace=kube_namespace"
            );
            let place = match label {
                "cluster" => &mut labels.cluster,
                "namespace" => &mut labels.namespace,
                "pod" => &mut labels.pod,
                _ => bail!("--loki-label {text}: the labels are cluster, namespace and pod"),
            };
            name.clone_into(place);
        }
        Ok(labels)
    }
}

impl ReachArgs {
    /// How far asking may go, from now on.
    pub(crate) fn bounds(&self, stop: watch::Receiver<bool>) -> Bounds {
        let minutes = self.max_time.map_or(15, NonZeroU64::get);
        Bounds {
            entries_max: self.max_entries.map_or(200_000, NonZeroU64::get),
            until: tokio::time::Instant::now() + Duration::from_secs(minutes.saturating_mul(60)),
            stop,
        }
    }
}

/// The time that is asked about: without a beginning the last day, without an end until now.
pub(crate) fn window(since: Option<&When>, until: Option<&When>) -> anyhow::Result<Window> {
    let until = until.map_or_else(jiff::Timestamp::now, |until| until.at);
    let from = match since {
        Some(since) => since.at,
        None => SINCE.parse::<When>().map_err(anyhow::Error::msg)?.at.min(until),
    };
    ensure!(from < until, "--since is not before --until: nothing would be asked for");
    Ok(Window { from, until })
}

/// A thread of its own for asking.
pub(crate) fn runtime() -> anyhow::Result<tokio::runtime::Runtime> {
    tokio::runtime::Builder::new_multi_thread()
        .worker_threads(1)
        .enable_all()
        .build()
        .context("no threads for asking a log store")
}

fn header(text: &str) -> anyhow::Result<(String, String)> {
    let Some((name, value)) = text.split_once('=') else {
        bail!("--loki-header: give it as NAME=VALUE, or as NAME=@FILE");
    };
    let value = match value.strip_prefix('@') {
        Some(path) => std::fs::read_to_string(path)
            .with_context(|| format!("--loki-header {name}: {path}"))?,
        None => value.to_owned(),
    };
    Ok((name.to_owned(), value))
}

/// An address without the name and the password that may stand in it.
fn without_secrets(url: &str) -> String {
    let Some((scheme, rest)) = url.split_once("://") else { return url.to_owned() };
    let (authority, path) = rest.split_at(rest.find('/').unwrap_or(rest.len()));
    let host = authority.rsplit('@').next().unwrap_or(authority);
    let path = path.split(['?', '#']).next().unwrap_or_default();
    format!("{scheme}://{host}{path}")
}

fn web() -> anyhow::Result<Web> {
    Web::new(&proxies(), None).map_err(anyhow::Error::msg)
}

fn set(name: &str) -> Option<String> {
    std::env::var(name).ok().filter(|value| !value.is_empty())
}

fn proxies() -> Proxies {
    let either = |name: &str| set(name).or_else(|| set(&name.to_ascii_lowercase()));
    Proxies {
        https: either("HTTPS_PROXY").or_else(|| either("ALL_PROXY")).unwrap_or_default(),
        no: either("NO_PROXY").unwrap_or_default(),
    }
}

fn places() -> Where {
    let home = std::env::var_os("HOME").map(PathBuf::from);
    let gcloud = std::env::var_os("CLOUDSDK_CONFIG").filter(|value| !value.is_empty());
    Where {
        file: std::env::var_os("GOOGLE_APPLICATION_CREDENTIALS")
            .filter(|value| !value.is_empty())
            .map(PathBuf::from),
        gcloud: gcloud.map(PathBuf::from).or_else(|| home.map(|home| home.join(".config/gcloud"))),
        metadata: set("GCE_METADATA_HOST"),
        program: None,
        quota_project: set("GOOGLE_CLOUD_QUOTA_PROJECT"),
    }
}

/// Becomes true at the first Ctrl-C: what came is judged. The second one ends the process at once,
/// and so does the first when nothing is asked any more: nobody else hears of it from now on.
pub(crate) fn stop(global: &Global) -> anyhow::Result<watch::Receiver<bool>> {
    let (wish, stop) = watch::channel(false);
    let global = *global;
    // Of its own, since a signal that was once asked for ends nothing by itself, ever.
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let runtime = runtime.context("no thread that hears of Ctrl-C")?;
    std::thread::spawn(move || {
        runtime.block_on(async {
            while tokio::signal::ctrl_c().await.is_ok() {
                if wish.is_closed() || wish.send_replace(true) {
                    std::process::exit(130);
                }
                out::note(
                    &global,
                    "stopping: what came so far is judged; Ctrl-C again ends at once",
                );
            }
        });
    });
    Ok(stop)
}

/// Shows people who wait what is waited for, once that has taken a second.
pub(crate) struct Waiting {
    global: Global,
    what: String,
    bar: Option<ProgressBar>,
    began: Instant,
    told: Mutex<Option<Instant>>,
}

impl Waiting {
    pub(crate) fn new(global: &Global, what: &str) -> Waiting {
        let bar = std::io::stderr().is_terminal().then(|| {
            let bar = ProgressBar::with_draw_target(None, indicatif::ProgressDrawTarget::hidden());
            if let Ok(style) = ProgressStyle::with_template("{spinner} {wide_msg}") {
                bar.set_style(style);
            }
            bar
        });
        let what = what.to_owned();
        Waiting { global: *global, what, bar, began: Instant::now(), told: Mutex::default() }
    }

    fn say(&self, text: String) {
        let Some(bar) = &self.bar else { return };
        if self.began.elapsed() > PATIENCE && bar.is_hidden() {
            bar.set_draw_target(indicatif::ProgressDrawTarget::stderr());
        }
        bar.set_message(text);
        bar.tick();
    }
}

impl Watch for Waiting {
    fn entries(&self, number: u64) {
        self.say(format!("asking {}: {number} entries", self.what));
    }

    fn waiting(&self, how_long: Duration) {
        let seconds = how_long.as_secs_f64();
        let text = format!("the quota of reads is used up: asking on in {seconds:.0} s");
        if self.bar.is_some() {
            return self.say(text);
        }
        let Ok(mut told) = self.told.lock() else { return };
        let lately = told.is_some_and(|at| at.elapsed() < Duration::from_secs(30));
        if how_long >= LONG_WAIT && !lately {
            *told = Some(Instant::now());
            out::note(&self.global, &text);
        }
    }
}

impl Drop for Waiting {
    fn drop(&mut self) {
        if let Some(bar) = &self.bar {
            bar.finish_and_clear();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_is_said_without_what_is_secret_in_it() {
        for (url, said) in [
            ("https://u:pw@logs.example.com/a?token=x", "https://logs.example.com/a"),
            ("http://127.0.0.1:3100", "http://127.0.0.1:3100"),
            ("nonsense", "nonsense"),
        ] {
            assert_eq!(without_secrets(url), said);
        }
    }
}
