//! Words by which a cloud's libraries say that they found no identity; the metadata server, which
//! gives it, is the first that they ask.
//!
//! # Sources
//! Google's libraries for Go, Node, Java and Python; GoogleCloudPlatform/cloud-sql-proxy issues 949, 2361.

use std::net::{IpAddr, Ipv4Addr};

use sunup_evidence::line::Sign;
use sunup_evidence::log::{ContainerLog, Sample};

use crate::knowledge::proxy;

/// The metadata server of the large clouds, a link-local address.
pub(crate) const METADATA_SERVER: IpAddr = IpAddr::V4(Ipv4Addr::new(169, 254, 169, 254));

/// When they give up. That a library asks for credentials, or has them, is no trouble.
const NO_IDENTITY: &[&str] = &[
    "could not find default credentials",
    "could not load the default credentials",
    "default credentials were not found",
    "defaultcredentialserror",
];

/// Lines that tell of an identity that was not found.
pub(crate) fn not_found(log: &ContainerLog) -> impl DoubleEndedIterator<Item = &Sample> {
    proxy::lines(log, Sign::Metadata).filter(|s| {
        let lower = s.text.to_ascii_lowercase();
        NO_IDENTITY.iter().any(|words| lower.contains(words))
    })
}
