//! Where an init container stands between the redirect and the proxy, and which way it came there.

use sunup_api::container;
use sunup_evidence::shape::{CaptureBy, Shape, Sidecar};

/// Which way an init container came to stand where it stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Cause {
    /// A webhook that ran after Istio's appended it behind `istio-init`.
    WebhookOrder,
    /// CNI sets up the redirect before any container.
    Cni,
    /// An "init first" trick puts it before the native sidecar that would have served it.
    LeftOverWorkaround,
}

impl Cause {
    pub(crate) fn id(self) -> &'static str {
        match self {
            Cause::WebhookOrder => "webhook-order",
            Cause::Cni => "cni",
            Cause::LeftOverWorkaround => "left-over-workaround",
        }
    }
}

/// Whether a shape says that an init container comes behind the redirect and before any proxy.
pub(crate) fn cause(shape: &Shape, init: &str) -> Option<Cause> {
    let position = shape.position(init)?;
    let before_proxy = shape.position(container::PROXY).is_none_or(|proxy| position < proxy);
    match (shape.capture, shape.sidecar) {
        (CaptureBy::Init, Sidecar::Classic | Sidecar::Unknown) => {
            (position > shape.position(container::INIT)?).then_some(Cause::WebhookOrder)
        }
        (CaptureBy::Init, Sidecar::Native) => {
            let behind = shape.position(container::INIT).is_some_and(|i| position > i);
            (behind && before_proxy).then_some(Cause::WebhookOrder)
        }
        (CaptureBy::Cni, Sidecar::Classic) => Some(Cause::Cni),
        (CaptureBy::Cni, Sidecar::Native) => before_proxy.then_some(Cause::LeftOverWorkaround),
        (CaptureBy::Cni, Sidecar::Unknown) => Some(Cause::Cni),
        _ => None,
    }
}
