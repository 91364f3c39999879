//! `token-volume-missing`: the API server cannot issue the token that the proxy's `istio-token` volume asks
//! for.
//!
//! # Sources
//! kubeflow/kfctl issue 406; istio/istio issue 30150; RULES.md B6.

use sunup_api::report::{Severity, Verdict};

use crate::judging::fault::Judgements;
use crate::judging::meta::{Meta, Need, Stage, Status, page};
use crate::judging::pod::Case;
use crate::judging::remedy::Remedy;
use crate::judging::rule::Rule;

/// The rule.
pub(crate) struct TokenVolumeMissing;

static META: Meta = Meta {
    id: "token-volume-missing",
    title: "The API server issues no bound tokens, so `istio-token` cannot be mounted",
    stage: Stage::Sandbox,
    severity: Severity::Error,
    status: Status::Preview { since: "0.1.0" },
    needs: &[&[Need::PodEvents]],
    helps: &[Need::PodObject],
    hears: &["istio-token", "failed to fetch token"],
    signs: &[],
    explains: &[],
    doc: page!("token_volume_missing", "doc.md"),
    fires: page!("token_volume_missing", "fires.txtar"),
    quiet: page!("token_volume_missing", "quiet.txtar"),
};

impl Rule for TokenVolumeMissing {
    fn meta(&self) -> &'static Meta {
        &META
    }

    fn pod(&self, case: &Case<'_>, out: &mut Judgements) {
        // What was said before a container of the pod was started has healed.
        if case.came_up() {
            return;
        }
        let Some(heard) = case.heard(&META, |s| {
            s.has("istio-token")
                && s.has_any(&["tokenrequest", "could not find the requested resource"])
        }) else {
            return;
        };
        let fault = heard.fault(
            &META,
            Verdict::Confirmed,
            "the API server does not issue the token that istio-proxy needs",
            "istio-token could not be mounted",
        );
        let fault = fault
            .because("The proxy proves who it is with a token made for it alone (audience istio-ca). Such tokens \
                 take the TokenRequest API, which an API server has only with an issuer and a signing \
                 key.");
        out.faults.push(fault.offer([Remedy::advice(
            "enable-token-request",
            "start the API server with --service-account-issuer and --service-account-signing-key-file (every managed cluster has them)",
            "kubectl get --raw /api/v1 | jq '.resources[] | select(.name == \"serviceaccounts/token\")'".to_owned(),
        )]));
    }
}
