//! The serving certificate, kept good: files that somebody else renews, or an authority of our own
//! whose key is in a Secret, so that all replicas sign alike and API servers trust each of them.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use anyhow::Context as _;
use sunup_kube::Cluster;
use sunup_kube::webhook_config::{self, Shared, Trusted};
use sunup_webhook::{Authority, Files, Kept, Leaf, Reviewer};
use tokio::time::{sleep, timeout};

use super::args::Certificate;
use crate::global::Global;
use crate::out;

/// How often files are looked at.
const LOOK: Duration = Duration::from_secs(1);
/// How often Secret and configurations are looked at; somebody may have changed or made them.
const CHECK: Duration = Duration::from_secs(5);
/// How long one look may take; an API server that doesn't answer is asked again.
const CHECK_WITHIN: Duration = Duration::from_secs(15);

/// Keeps the certificate good for as long as it is polled.
pub(super) async fn keep(
    options: Certificate,
    cluster: Option<Cluster>,
    reviewer: Arc<Reviewer>,
    global: Global,
) {
    match (&options.tls_cert, &options.tls_key, cluster) {
        (Some(chain), Some(key), _) => {
            let mut files = Files::new(chain, key);
            let mut told = String::new();
            let mut dates = Dates::default();
            loop {
                let outcome = files.look(&reviewer.certificates);
                if let Ok(true) = outcome {
                    reviewer.certificate(true);
                    out::note(&global, "certificate in use");
                }
                if let Err(error) = outcome {
                    let error = format!("{error}");
                    if told != error {
                        reviewer.certificate(false);
                        out::error(&global, &anyhow::anyhow!("{error} (the one before stays)"));
                        told = error;
                    }
                }
                dates.look(&reviewer, &global);
                sleep(LOOK).await;
            }
        }
        (_, _, Some(cluster)) => {
            let mut own =
                Own { options, cluster, leaf: None, trusted: Trusted::default(), known: None };
            let mut dates = Dates::default();
            loop {
                let outcome = timeout(CHECK_WITHIN, own.check(&reviewer, &global)).await;
                let outcome = outcome.unwrap_or_else(|_| {
                    Err(anyhow::anyhow!("no answer within {} s", CHECK_WITHIN.as_secs()))
                });
                if let Err(error) = outcome {
                    out::error(&global, &error.context("certificate (trying again)"));
                }
                dates.look(&reviewer, &global);
                sleep(CHECK).await;
            }
        }
        // The command line leaves no other way; nothing that is minded may end.
        _ => std::future::pending().await,
    }
}

/// The authorities that callers' certificates have to be signed by, in a file.
pub(super) struct Callers {
    file: PathBuf,
    seen: Vec<u8>,
}

impl Callers {
    /// Demands certificates from here on.
    ///
    /// # Errors
    /// The file can't be read or used: nobody is served who needn't show one.
    pub(super) fn demand(file: PathBuf, reviewer: &Reviewer) -> anyhow::Result<Self> {
        let name = file.display().to_string();
        let seen = std::fs::read(&file).with_context(|| format!("--client-ca {name}"))?;
        reviewer.demand(&seen).with_context(|| format!("--client-ca {name}"))?;
        Ok(Callers { file, seen })
    }

    /// Follows the file for as long as it is polled.
    pub(super) async fn follow(mut self, reviewer: Arc<Reviewer>, global: Global) {
        let mut told = String::new();
        loop {
            sleep(LOOK).await;
            let text = std::fs::read(&self.file);
            if text.as_ref().is_ok_and(|text| *text == self.seen) {
                continue;
            }
            let taken = text.context("it can't be read").and_then(|text| {
                reviewer.demand(&text)?;
                Ok(text)
            });
            let said = match &taken {
                Ok(_) => String::new(),
                Err(error) => format!("{error:#}"),
            };
            let name = self.file.display();
            match taken {
                Ok(text) => {
                    self.seen = text;
                    out::note(&global, &format!("--client-ca {name}: taken over"));
                }
                Err(error) if told != said => {
                    let error = error.context(format!("--client-ca {name}: those before stay"));
                    out::error(&global, &error);
                }
                Err(_) => {}
            }
            told = said;
        }
    }
}

/// Says once that a certificate in use is out of date.
#[derive(Default)]
struct Dates {
    told: Option<&'static str>,
}

impl Dates {
    fn look(&mut self, reviewer: &Reviewer, global: &Global) {
        let now = SystemTime::now();
        let in_use = reviewer.certificates.left(now).is_some();
        let problem = reviewer.certificates.problem(now).filter(|_| in_use);
        if self.told != problem
            && let Some(why) = problem
        {
            out::error(global, &anyhow::anyhow!("{why}: not ready until there is a good one"));
        }
        self.told = problem;
    }
}

struct Own {
    options: Certificate,
    cluster: Cluster,
    leaf: Option<Leaf>,
    trusted: Trusted,
    /// The Secret as it was last seen with an authority in it.
    known: Option<Shared>,
}

impl Own {
    /// One look: the authority, what API servers trust, and our own certificate.
    async fn check(&mut self, reviewer: &Reviewer, global: &Global) -> anyhow::Result<()> {
        let now = SystemTime::now();
        let authority = self.authority(now).await?;
        let name = &self.options.configuration;
        let trusted = webhook_config::trust(&self.cluster, name, authority.bundle()).await?;
        if trusted.found != self.trusted.found {
            out::note(global, &format!("{} configurations named {name}", trusted.found));
        }
        if trusted.mended > 0 {
            out::note(global, &format!("{name}: caBundle of {} webhooks set", trusted.mended));
        }
        self.trusted = trusted;
        let due = match &self.leaf {
            None => true,
            // A new authority signs only once API servers have had the time to hear of it.
            Some(leaf) if leaf.signed_by != authority.id() => trusted.mended == 0,
            Some(leaf) => now >= leaf.renew_at,
        };
        if due {
            let leaf = authority.issue(&self.names(), now)?;
            reviewer.certificates.install(leaf.chain.as_bytes(), leaf.key.as_bytes())?;
            reviewer.certificate(true);
            self.leaf = Some(leaf);
            out::note(global, "certificate in use, signed by our own authority");
        }
        Ok(())
    }

    fn names(&self) -> Vec<String> {
        let (service, namespace) = (&self.options.service, &self.options.namespace);
        let in_cluster =
            ["", ".cluster.local"].map(|end| format!("{service}.{namespace}.svc{end}"));
        in_cluster.into_iter().chain(self.options.san.iter().cloned()).collect()
    }

    /// The authority that all replicas share: read, made where there is none, renewed where it is
    /// old. Whoever writes first has made it; the others read.
    ///
    /// Where the Secret was deleted or emptied, the authority that was in it comes back: API servers
    /// trust it, and replicas' certificates are signed by it.
    async fn authority(&mut self, now: SystemTime) -> anyhow::Result<Authority> {
        let (namespace, secret) = (&self.options.namespace, format!("{}-ca", self.options.service));
        // Twice is enough: what was written is read, be it ours or that of who won a race.
        for _ in 0..3 {
            let found = webhook_config::shared(&self.cluster, namespace, &secret).await?;
            // One without content is there only so that it goes with what it was installed with.
            let kept = found.as_ref().filter(|found| !found.data.is_empty());
            self.known = kept.cloned().or(self.known.take());
            let current = self.known.as_ref().map(read).transpose();
            let next = match current.with_context(|| format!("Secret {namespace}/{secret}"))? {
                Some(old) if old.is_old(now) => old.renew(now)?,
                Some(current) if kept.is_some() => return Ok(current),
                Some(lost) => lost,
                None => Authority::make(now)?,
            };
            let data = write(next.keep());
            let (found, lost) = (found.as_ref(), self.known.as_ref());
            webhook_config::share(&self.cluster, namespace, &secret, data, found, lost).await?;
        }
        anyhow::bail!("Secret {namespace}/{secret} is changed by somebody all the time")
    }
}

const BUNDLE: &str = "ca.crt";
const KEY: &str = "ca.key";
const MADE: &str = "made";

fn read(secret: &Shared) -> anyhow::Result<Authority> {
    let part = |key: &str| secret.data.get(key).cloned().unwrap_or_default();
    Ok(Authority::read(&Kept { bundle: part(BUNDLE), key: part(KEY), made: part(MADE) })?)
}

fn write(kept: Kept) -> BTreeMap<String, String> {
    let entries = [(BUNDLE, kept.bundle), (KEY, kept.key), (MADE, kept.made)];
    entries.into_iter().map(|(key, value)| (key.to_owned(), value)).collect()
}
