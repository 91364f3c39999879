//! The rules, one file each. A rule judges one workload from frozen evidence and knows no other.

pub(crate) mod app_before_proxy;
pub(crate) mod gateway_privileged_port;
pub(crate) mod init_before_proxy;
