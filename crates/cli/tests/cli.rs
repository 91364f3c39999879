//! The built binary as a script or a person meets it: streams, exit codes, files.
//!
//! Which fault is found in which evidence is tested in `incidents.rs`; this file needs one fault
//! and no more.

mod cli {
    //! One subject each.
    pub(crate) mod baseline;
    pub(crate) mod browser;
    pub(crate) mod canaries;
    pub(crate) mod change;
    pub(crate) mod chromium;
    pub(crate) mod cluster;
    pub(crate) mod controllers;
    pub(crate) mod dist;
    pub(crate) mod evidence;
    pub(crate) mod fix;
    pub(crate) mod formats;
    pub(crate) mod kit;
    pub(crate) mod live;
    pub(crate) mod mending;
    pub(crate) mod node;
    pub(crate) mod output;
    pub(crate) mod redact;
    pub(crate) mod renderings;
    pub(crate) mod rights;
    pub(crate) mod shells;
    pub(crate) mod standby;
    pub(crate) mod store;
    pub(crate) mod usage;
    pub(crate) mod watch;
}
