//! Where an init container stands between the redirect and the proxy, and which way it came there.

use sunup_api::container;
use sunup_evidence::object::Container;
use sunup_evidence::shape::{CaptureBy, Shape, Sidecar};

use crate::judging::pod::Case;

/// Which way an init container came to stand where it stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Cause {
    /// A webhook that ran after Istio's appended it behind `istio-init`.
    WebhookOrder,
    /// CNI sets up the redirect before any container.
    Cni,
    /// An "init first" trick puts it before the native sidecar that would have served it.
    LeftOverWorkaround,
    /// It waits until the proxy is ready, which starts only after it.
    WaitsForProxy,
}

impl Cause {
    pub(crate) fn id(self) -> &'static str {
        match self {
            Cause::WebhookOrder => "webhook-order",
            Cause::Cni => "cni",
            Cause::LeftOverWorkaround => "left-over-workaround",
            Cause::WaitsForProxy => "waits-for-proxy",
        }
    }
}

/// Whether a container is a native sidecar of somebody else's that started behind the redirect and
/// before the pod's only instance of its proxy: the rule about init containers speaks of it.
pub(crate) fn before_any_proxy(case: &Case<'_>, name: &str) -> bool {
    let native = case.container(name).is_some_and(Container::is_native_sidecar);
    native && case.windows.instances.len() <= 1 && cause(&case.shape, name).is_some()
}

/// Whether an init container is started before the proxy, wherever the redirect is set up.
pub(crate) fn is_before_proxy(shape: &Shape, init: &str) -> bool {
    let Some(position) = shape.position(init) else { return false };
    match shape.sidecar {
        Sidecar::Classic => true,
        Sidecar::Native => shape.position(container::PROXY).is_some_and(|proxy| position < proxy),
        Sidecar::None | Sidecar::Unknown => false,
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
