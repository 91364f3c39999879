//! What this host tells about itself, read once, for [`sunup_capture::Host`].

use sunup_capture::Host;

/// Reads passwd, group, resolv.conf and the addresses of the calling thread's namespace;
/// whatever can't be read stays unknown.
#[must_use]
pub fn facts() -> Host {
    Host {
        passwd: std::fs::read_to_string("/etc/passwd").ok(),
        group: std::fs::read_to_string("/etc/group").ok(),
        resolv_conf: std::fs::read_to_string("/etc/resolv.conf").ok(),
        addresses: crate::route::addresses().ok(),
    }
}
