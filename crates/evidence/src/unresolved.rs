//! Words by which resolvers and clients say that a name has no address: no connection was tried.
//!
//! # Sources
//! `gai_strerror(3)` of glibc and the BSDs; Go's `net`, libuv, the JDK, curl, busybox.

/// ASCII, in lower case, five bytes or more.
pub(crate) const WORDS: &[&str] = &[
    "no such host",
    "name resolution",
    "eai_again",
    "enotfound",
    "could not resolve host",
    "name or service not known",
    "unknownhostexception",
    "unresolvedaddress",
    "nodename nor servname",
    // busybox: `wget: bad address 'config:8888'`
    "bad address '",
];
