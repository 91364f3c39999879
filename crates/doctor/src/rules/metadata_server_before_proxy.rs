//! `metadata-server-before-proxy`: the first thing that the application asks for is the cloud's
//! metadata server, and it asks before its proxy is ready.
//!
//! Libraries ask once whether they are on a cloud, and live with the answer: an application that
//! goes on without an error may be the worse for it.
//!
//! # Sources
//! istio/istio issues 9454, 40010; GoogleCloudPlatform/cloud-sql-proxy issues 949, 2361; RULES.md E6.

use sunup_api::report::{Severity, Verdict};
use sunup_evidence::line::Sign;
use sunup_evidence::log::{ContainerLog, Sample};
use sunup_evidence::refused::Host;
use sunup_evidence::shape::is_mesh_container;
use sunup_evidence::window::Place;

use crate::fix::remedies::{self, Needed};
use crate::judging::fault::{Fault, Judgements, item};
use crate::judging::meta::{Meta, Need, Stage, Status, page};
use crate::judging::pod::{Case, Route};
use crate::judging::remedy::Remedy;
use crate::judging::rule::Rule;
use crate::judging::subject::at;
use crate::knowledge::gate;
use crate::knowledge::proxy;
use crate::knowledge::refusals::{self, Explained, Sorted};
use crate::knowledge::{identity, init_order};

/// The rule.
pub(crate) struct MetadataServerBeforeProxy;

static META: Meta = Meta {
    id: "metadata-server-before-proxy",
    title: "The application asks the metadata server for its identity before the proxy is ready",
    stage: Stage::Application,
    severity: Severity::Error,
    status: Status::Stable { since: "0.1.0" },
    needs: &[&[Need::AppLog]],
    helps: &[
        Need::PodObject,
        Need::PodEvents,
        Need::ProxyLog,
        Need::Workload,
        Need::Nodes,
        Need::MeshConfig,
    ],
    hears: &[],
    signs: &[Sign::Metadata],
    explains: &["app-before-proxy"],
    doc: page!("metadata_server_before_proxy", "doc.md"),
    fires: page!("metadata_server_before_proxy", "fires.txtar"),
    quiet: page!("metadata_server_before_proxy", "quiet.txtar"),
};

impl Rule for MetadataServerBeforeProxy {
    fn meta(&self) -> &'static Meta {
        &META
    }

    fn passes(&self) -> bool {
        true
    }

    fn pod(&self, case: &Case<'_>, out: &mut Judgements) {
        if case.shape.gateway || !case.capture_shown() || case.shape.ambient {
            return;
        }
        let mut told = Vec::new();
        let judged = |n: &&str| !is_mesh_container(n) && !init_order::before_any_proxy(case, n);
        for name in case.applications().into_iter().filter(judged) {
            let Some(log) = case.facts.log(name) else { continue };
            let sorted = refusals::sort(case, name, log);
            let early: Vec<&Sorted<'_>> =
                sorted.iter().filter(|s| matches!(s.explained, Explained::Window(_))).collect();
            let (of_server, others): (Vec<_>, Vec<_>) =
                early.into_iter().partition(|s| is_server(s));
            // Where more is refused than that, it is the start as a whole that is too early.
            if !others.is_empty() {
                return;
            }
            let lines: Vec<Sample> = match of_server.is_empty() {
                false => of_server.iter().flat_map(|s| s.burst.samples.clone()).collect(),
                true => without_credentials(case, log),
            };
            if !lines.is_empty() {
                told.push((name, lines, !of_server.is_empty()));
            }
        }
        for (name, lines, refused) in told {
            out.faults.push(fault(case, name, &lines, refused));
        }
    }
}

fn is_server(sorted: &Sorted<'_>) -> bool {
    let to = &sorted.burst.destinations;
    let server = |h: &Host| match h {
        Host::Ip(ip) => *ip == identity::METADATA_SERVER,
        Host::Name(name) => name == "metadata.google.internal" || name == "metadata",
    };
    !to.is_empty()
        && to.iter().all(|d| server(&d.host))
        && !matches!(sorted.route, Route::Direct(_))
        && refusals::is_strong(sorted.burst)
}

/// Words by which a library says that it found no identity, in the proxy's not-ready window.
fn without_credentials(case: &Case<'_>, log: &ContainerLog) -> Vec<Sample> {
    let inside =
        |s: &&Sample| s.at.is_some_and(|t| matches!(case.windows.locate(t), Place::Inside(_)));
    identity::not_found(log).filter(inside).cloned().collect()
}

fn fault(case: &Case<'_>, name: &str, lines: &[Sample], refused: bool) -> Fault {
    let verdict = if refused { Verdict::Confirmed } else { Verdict::Likely };
    let summary =
        format!("{name} asked the metadata server for its identity before istio-proxy was ready");
    let what = if refused { "metadata server refused" } else { "no credentials found" };
    let mut fault = proxy::fault(&META, case, verdict, summary, lines, what).because(
        "169.254.169.254 is captured like every other address. While the proxy is not ready it is \
         refused at once, and libraries that look for the cloud's identity take that for \"not on \
         this cloud\", often for the life of the process and without an error.",
    );
    if !refused {
        fault = fault.because(
            "The line says only that no credentials were found; that the metadata server was asked in \
             vain is concluded from the time.",
        );
    }
    fault.subject = at(&case.subject, name);
    fault.evidence.extend(proxy::log(case).and_then(|l| l.ready.iter().next()).map(item));
    fault.explanation.extend(remedies::remarks(case, false));
    gate::tell(case, &mut fault, lines.iter().filter_map(|line| line.at).min());
    fault.offer(remedies(case))
}

fn remedies(case: &Case<'_>) -> Vec<Remedy> {
    let needed =
        Needed { ip: identity::METADATA_SERVER, source: "the cloud's metadata server".to_owned() };
    let live = case.pod().map(|p| &p.metadata.annotations);
    let mut found = remedies::app_before_proxy(case, false);
    let exclude = remedies::exclude_range(case, &[needed]).map(|r| r.with_live(live));
    let place = found.iter().position(|r| r.changes.is_empty()).unwrap_or(found.len());
    if let Some(exclude) = exclude {
        found.insert(place, exclude);
    }
    found
}
