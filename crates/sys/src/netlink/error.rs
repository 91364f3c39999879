//! What a request can come to other than an answer.

/// What the kernel answered to a request.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum NetlinkError {
    /// The request was refused.
    #[error("{what}: {errno}{detail}", detail = said(.text))]
    Refused {
        /// The request, in words.
        what: String,
        /// The error number.
        errno: rustix::io::Errno,
        /// The kernel's own words, where it gave any.
        text: String,
    },
    /// The socket itself failed.
    #[error("netlink: {what}: {errno}")]
    Socket {
        /// The call.
        what: &'static str,
        /// The error number.
        errno: rustix::io::Errno,
    },
    /// The kernel's answer could not be read.
    #[error("netlink: the kernel's answer to {what} is cut short")]
    Garbled {
        /// The request, in words.
        what: String,
    },
}

fn said(text: &str) -> String {
    if text.is_empty() { String::new() } else { format!(" (kernel: {text})") }
}

impl NetlinkError {
    /// The error number, where there is one.
    #[must_use]
    pub fn errno(&self) -> Option<rustix::io::Errno> {
        match self {
            Self::Refused { errno, .. } | Self::Socket { errno, .. } => Some(*errno),
            Self::Garbled { .. } => None,
        }
    }
}
