//! A client for a cluster that was named: by a context, by a kubeconfig that has only one, or by
//! running inside it. Never kubectl's current context, which may be anybody's production.
//!
//! Reads no environment: where kubeconfigs lie is told by the caller.

use std::fmt;
use std::path::PathBuf;
use std::time::Duration;

use kube::client::{AuthError, ClientBuilder};
use kube::config::{KubeConfigOptions, Kubeconfig, KubeconfigError};
use kube::{Client, Config};
use sunup_api::causes::text;
use sunup_api::shell;

/// How long reading credentials may take, a plugin that asks a person to log in included.
const CREDENTIALS_WITHIN: Duration = Duration::from_secs(60);

/// How long a connection to the API server may take to come about.
const CONNECT_WITHIN: Duration = Duration::from_secs(10);

/// Which cluster is wanted, as far as the user said.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Wanted {
    /// A kubeconfig that was named, read instead of the usual ones.
    pub kubeconfig: Option<PathBuf>,
    /// The context that was named.
    pub context: Option<String>,
    /// The files that kubectl would read, in its order.
    pub usual: Vec<PathBuf>,
    /// Whether this process runs in a pod that has a service account.
    pub in_pod: bool,
}

/// A cluster, and under which names it is spoken to. Shown to the user before anything is done.
#[derive(Clone)]
pub struct Cluster {
    pub(crate) client: Client,
    /// Its names.
    pub named: Named,
}

/// What a cluster is called.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Named {
    /// The kubeconfig's context; `None` inside the cluster.
    pub context: Option<String>,
    /// The kubeconfig's name for the cluster.
    pub cluster: Option<String>,
    /// The API server's address.
    pub server: String,
    /// The kubeconfig's name for the user.
    pub user: Option<String>,
    /// The namespace that the context works in.
    pub namespace: String,
    /// The kubeconfig that was named, for commands that are printed.
    pub kubeconfig: Option<PathBuf>,
}

impl Named {
    /// `kubectl`, with what makes it speak to this cluster.
    #[must_use]
    pub fn kubectl(&self) -> String {
        let mut words = "kubectl".to_owned();
        let options = [
            ("--kubeconfig", self.kubeconfig.as_ref().map(|path| path.display().to_string())),
            ("--context", self.context.clone()),
        ];
        for (option, value) in options {
            if let Some(value) = value {
                words.push_str(&format!(" {option} {}", shell::word(&value)));
            }
        }
        words
    }
}

impl fmt::Display for Named {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Some(context) = &self.context else {
            return write!(f, "the cluster this runs in ({})", self.server);
        };
        write!(f, "context {context}")?;
        if let Some(cluster) = self.cluster.as_ref().filter(|cluster| *cluster != context) {
            write!(f, ", cluster {cluster}")?;
        }
        write!(f, " ({})", self.server)
    }
}

impl Cluster {
    /// The client, for whoever speaks to the API server in its own way. It repeats nothing by
    /// itself.
    #[must_use]
    pub fn client(&self) -> &Client {
        &self.client
    }
}

impl fmt::Debug for Cluster {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Cluster").field("named", &self.named).finish_non_exhaustive()
    }
}

/// Why there is no client. None of these is mended by trying again.
#[derive(Debug, thiserror::Error)]
pub enum ConnectError {
    /// Nothing says which cluster is meant.
    #[error("which cluster? Name one with --context{}", listed(contexts, current.as_deref()))]
    Unnamed {
        /// Contexts that there are.
        contexts: Vec<String>,
        /// The one that kubectl would take.
        current: Option<String>,
    },
    /// The context that was named isn't there.
    #[error("no context `{context}`{}", listed(contexts, None))]
    NoSuchContext {
        /// The name.
        context: String,
        /// Contexts that there are.
        contexts: Vec<String>,
    },
    /// No kubeconfig lies where one was looked for.
    #[error("no kubeconfig {}: name one with --kubeconfig", looked_for(.0))]
    NoKubeconfig(Vec<PathBuf>),
    /// A kubeconfig that can't be read or says nothing usable.
    #[error("kubeconfig: {0}")]
    Kubeconfig(Box<str>),
    /// Credentials could not be had.
    #[error("credentials of {user}: {why}")]
    Credentials {
        /// The kubeconfig's user.
        user: Box<str>,
        /// What went wrong, and what to do.
        why: Box<str>,
    },
    /// Anything else that keeps a client from being made: TLS files, a proxy's address.
    #[error("{0}")]
    Client(Box<str>),
}

fn listed(contexts: &[String], current: Option<&str>) -> String {
    if contexts.is_empty() {
        return "; the kubeconfig has no context".to_owned();
    }
    let mut text = "; there are:".to_owned();
    for context in contexts {
        let mark = if Some(context.as_str()) == current { "  (kubectl's current one)" } else { "" };
        text.push_str(&format!("\n  --context {context}{mark}"));
    }
    text
}

fn looked_for(paths: &[PathBuf]) -> String {
    let paths: Vec<String> = paths.iter().map(|path| path.display().to_string()).collect();
    if paths.is_empty() { "was found".to_owned() } else { format!("at {}", paths.join(", ")) }
}

/// Makes a client for the cluster that was named. No request is sent.
///
/// # Errors
/// [`ConnectError`]: nothing was named, or what was named can't be used.
pub async fn connect(wanted: &Wanted) -> Result<Cluster, ConnectError> {
    if wanted.in_pod && wanted.context.is_none() && wanted.kubeconfig.is_none() {
        let config = Config::incluster().map_err(|why| ConnectError::Client(text(&why)))?;
        let named = Named {
            server: config.cluster_url.to_string(),
            namespace: config.default_namespace.clone(),
            ..Named::default()
        };
        return cluster(config, named).await;
    }
    let kubeconfig = read(wanted)?;
    let context = choose(wanted, &kubeconfig)?;
    let names = kubeconfig.contexts.iter().find(|named| named.name == context);
    let names = names.and_then(|named| named.context.clone());
    let options = KubeConfigOptions { context: Some(context.clone()), ..Default::default() };
    let config = Config::from_custom_kubeconfig(kubeconfig, &options).await.map_err(|why| {
        ConnectError::Kubeconfig(format!("context `{context}`: {}", text(&why)).into())
    })?;
    let named = Named {
        cluster: names.as_ref().map(|context| context.cluster.clone()),
        user: names.and_then(|context| context.user),
        context: Some(context),
        server: config.cluster_url.to_string().trim_end_matches('/').to_owned(),
        namespace: config.default_namespace.clone(),
        kubeconfig: wanted.kubeconfig.clone(),
    };
    cluster(config, named).await
}

fn read(wanted: &Wanted) -> Result<Kubeconfig, ConnectError> {
    let unusable = |why: KubeconfigError| ConnectError::Kubeconfig(text(&why));
    if let Some(path) = &wanted.kubeconfig {
        if !path.exists() {
            return Err(ConnectError::NoKubeconfig(vec![path.clone()]));
        }
        return Kubeconfig::read_from(path).map_err(unusable);
    }
    // As kubectl does, files that are listed and missing are passed over.
    let there: Vec<&PathBuf> = wanted.usual.iter().filter(|path| path.exists()).collect();
    if there.is_empty() {
        return Err(ConnectError::NoKubeconfig(wanted.usual.clone()));
    }
    let merge = |so_far: Kubeconfig, path: &PathBuf| so_far.merge(Kubeconfig::read_from(path)?);
    there.into_iter().try_fold(Kubeconfig::default(), merge).map_err(unusable)
}

/// The context that was named, or the only one of a kubeconfig that was.
fn choose(wanted: &Wanted, kubeconfig: &Kubeconfig) -> Result<String, ConnectError> {
    let contexts: Vec<String> = kubeconfig.contexts.iter().map(|c| c.name.clone()).collect();
    match (&wanted.context, contexts.as_slice()) {
        (Some(context), _) if contexts.contains(context) => Ok(context.clone()),
        (Some(context), _) => {
            Err(ConnectError::NoSuchContext { context: context.clone(), contexts })
        }
        (None, [only]) if wanted.kubeconfig.is_some() => Ok(only.clone()),
        (None, _) => {
            Err(ConnectError::Unnamed { contexts, current: kubeconfig.current_context.clone() })
        }
    }
}

async fn cluster(mut config: Config, named: Named) -> Result<Cluster, ConnectError> {
    config.connect_timeout = Some(CONNECT_WITHIN);
    // Requests are repeated by `request`, which knows the deadline and what the server asks for.
    config.default_retry = false;
    let user: Box<str> = named.user.as_deref().unwrap_or("this pod").into();
    let plugin = config.auth_info.exec.as_ref().and_then(|exec| exec.command.clone());
    // A credential plugin is run right here, and may hang.
    let made = tokio::task::spawn_blocking({
        let handle = tokio::runtime::Handle::current();
        move || {
            let _inside = handle.enter();
            ClientBuilder::try_from(config).map(ClientBuilder::build)
        }
    });
    let client = match tokio::time::timeout(CREDENTIALS_WITHIN, made).await {
        Ok(Ok(Ok(client))) => client,
        Ok(Ok(Err(kube::Error::Auth(why)))) => {
            let why = credentials(&why, plugin.as_deref()).into();
            return Err(ConnectError::Credentials { user, why });
        }
        Ok(Ok(Err(why))) => return Err(ConnectError::Client(text(&why))),
        Ok(Err(panicked)) => return Err(ConnectError::Client(text(&panicked))),
        Err(_) => {
            let what = plugin.as_deref().unwrap_or("reading them");
            let seconds = CREDENTIALS_WITHIN.as_secs();
            let why = format!("{what} did not finish within {seconds} s").into();
            return Err(ConnectError::Credentials { user, why });
        }
    };
    Ok(Cluster { client, named })
}

/// Why credentials could not be had, with what helps.
pub(crate) fn credentials(why: &AuthError, plugin: Option<&str>) -> String {
    let plugin = plugin.unwrap_or("the credential plugin");
    match why {
        AuthError::AuthExecStart(error) if error.kind() == std::io::ErrorKind::NotFound => {
            format!("{plugin} is not installed or not on the PATH")
        }
        AuthError::AuthExecStart(error) => format!("{plugin} could not be run: {error}"),
        AuthError::AuthExecRun { out, .. } => {
            let said = String::from_utf8_lossy(&out.stderr);
            let said = said.lines().map(str::trim).rfind(|line| !line.is_empty());
            let said = said.unwrap_or("it said nothing");
            format!("{plugin} failed ({}): {said}; log in again with its own tool", out.status)
        }
        AuthError::AuthExecParse(_) | AuthError::ExecPluginFailed => {
            format!("{plugin} printed no ExecCredential")
        }
        other => other.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TWO: &str = "{apiVersion: v1, kind: Config, current-context: prod, clusters: [], \
        contexts: [{name: prod, context: {cluster: p}}, {name: dev, context: {cluster: d}}]}";

    fn wanted(context: Option<&str>, named: bool) -> Wanted {
        let file = PathBuf::from("config");
        Wanted {
            kubeconfig: named.then(|| file.clone()),
            context: context.map(str::to_owned),
            usual: vec![file],
            in_pod: false,
        }
    }

    #[test]
    fn the_current_context_is_never_taken() {
        let two = Kubeconfig::from_yaml(TWO).unwrap();
        for named in [true, false] {
            let error = choose(&wanted(None, named), &two).unwrap_err().to_string();
            assert!(error.contains("--context prod  (kubectl's current one)"), "{error}");
            assert!(error.contains("--context dev\n") || error.ends_with("--context dev"));
        }
        assert_eq!(choose(&wanted(Some("dev"), false), &two).unwrap(), "dev");
        let error = choose(&wanted(Some("dve"), false), &two).unwrap_err().to_string();
        assert!(error.starts_with("no context `dve`; there are:"), "{error}");
    }

    #[test]
    fn a_kubeconfig_that_was_named_and_has_one_context_is_enough() {
        let one = TWO.replace("{name: prod, context: {cluster: p}}, ", "");
        let one = Kubeconfig::from_yaml(&one).unwrap();
        assert_eq!(choose(&wanted(None, true), &one).unwrap(), "dev");
        // The usual one may have come to hold one context by chance.
        assert!(choose(&wanted(None, false), &one).is_err());
    }

    #[test]
    fn errors_stay_small() {
        assert!(size_of::<ConnectError>() <= 64, "{}", size_of::<ConnectError>());
    }
}
