//! The rules, one file each. A rule judges one workload from frozen evidence and knows no other.
//!
//! `cargo xtask new-rule ID` writes a rule's files and its two lines here.

mod app_before_proxy;
mod gateway_privileged_port;
pub(crate) mod init_before_proxy;
mod injection_webhook_no_endpoints;
mod injection_webhook_unreachable;
mod injection_webhook_untrusted;
mod unused_ignore;

pub(crate) use unused_ignore::unused;

use crate::rule::{Meta, Rule};

/// Every rule, sorted by id.
pub(crate) static RULES: &[&dyn Rule] = &[
    &app_before_proxy::AppBeforeProxy,
    &gateway_privileged_port::GatewayPrivilegedPort,
    &init_before_proxy::InitBeforeProxy,
    &injection_webhook_no_endpoints::InjectionWebhookNoEndpoints,
    &injection_webhook_unreachable::InjectionWebhookUnreachable,
    &injection_webhook_untrusted::InjectionWebhookUntrusted,
    &unused_ignore::UnusedIgnore,
];

/// Ids that were in use once: they are never given to another rule.
pub const RETIRED: &[&str] = &[];

/// What the rules are, sorted by id.
pub fn rules() -> impl ExactSizeIterator<Item = &'static Meta> {
    RULES.iter().map(|rule| rule.meta())
}
