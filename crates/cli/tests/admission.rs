//! The webhook against a real API server, named by `SUNUP_TEST_KUBECONFIG` and
//! `SUNUP_TEST_CONTEXT`, and against clients that no API server would be.
//!
//! Every test has namespaces and configurations of its own, so that they can share a server.

#![expect(clippy::unwrap_used, reason = "helpers of tests, where a panic is the report")]

mod admission {
    //! One subject each.
    pub(crate) mod cluster;
    pub(crate) mod healing;
    pub(crate) mod life;
    pub(crate) mod orders;
    pub(crate) mod release;
    pub(crate) mod replicas;
    pub(crate) mod runs;
    pub(crate) mod server;
    pub(crate) mod sidecars;
    pub(crate) mod standin;
}
