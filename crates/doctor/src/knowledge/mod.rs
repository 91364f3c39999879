//! What several rules know of Istio and Kubernetes: one file a subject. Judges nothing by itself.

pub(crate) mod agent;
pub(crate) mod annotations;
pub(crate) mod control_plane;
pub(crate) mod gate;
pub(crate) mod identity;
pub(crate) mod init_order;
pub(crate) mod injection;
pub(crate) mod installed;
pub(crate) mod look_alikes;
pub(crate) mod low_ports;
pub(crate) mod other_meshes;
pub(crate) mod placeholder;
pub(crate) mod proxy;
pub(crate) mod proxy_config;
pub(crate) mod quantity;
pub(crate) mod ranges;
pub(crate) mod refusals;
pub(crate) mod release;
pub(crate) mod scripts;
pub(crate) mod waits;
pub(crate) mod webhook_call;
