//! The scenarios of our own sidecar with real Envoy in its place, behind the same capture and gate:
//! what capture and gate promise holds for any proxy.

use crate::world::{Sidecar, envoy, with_world};
use crate::{data, start};

/// What arrives on 15001 and 15006 goes on to where it was going: marked, or from the address that
/// capture lets through. 15021 answers as soon as Envoy serves.
pub(crate) const SIDECAR: &str = r#"{"static_resources": {
  "listeners": [
    {"name": "outbound",
     "address": {"socket_address": {"address": "0.0.0.0", "port_value": 15001}},
     "listener_filters": [{"name": "envoy.filters.listener.original_dst", "typed_config":
       {"@type": "type.googleapis.com/envoy.extensions.filters.listener.original_dst.v3.OriginalDst"}}],
     "filter_chains": [{"filters": [{"name": "envoy.filters.network.tcp_proxy", "typed_config":
       {"@type": "type.googleapis.com/envoy.extensions.filters.network.tcp_proxy.v3.TcpProxy",
        "stat_prefix": "outbound", "cluster": "onward"}}]}]},
    {"name": "inbound",
     "address": {"socket_address": {"address": "0.0.0.0", "port_value": 15006}},
     "listener_filters": [{"name": "envoy.filters.listener.original_dst", "typed_config":
       {"@type": "type.googleapis.com/envoy.extensions.filters.listener.original_dst.v3.OriginalDst"}}],
     "filter_chains": [{"filters": [{"name": "envoy.filters.network.tcp_proxy", "typed_config":
       {"@type": "type.googleapis.com/envoy.extensions.filters.network.tcp_proxy.v3.TcpProxy",
        "stat_prefix": "inbound", "cluster": "inward"}}]}]},
    {"name": "readiness",
     "address": {"socket_address": {"address": "0.0.0.0", "port_value": 15021}},
     "filter_chains": [{"filters": [{"name": "envoy.filters.network.http_connection_manager",
       "typed_config": {
        "@type": "type.googleapis.com/envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager",
        "stat_prefix": "readiness",
        "http_filters": [{"name": "envoy.filters.http.router", "typed_config":
          {"@type": "type.googleapis.com/envoy.extensions.filters.http.router.v3.Router"}}],
        "route_config": {"virtual_hosts": [{"name": "all", "domains": ["*"], "routes": [
          {"match": {"prefix": "/"}, "direct_response": {"status": 200}}]}]}}}]}]}],
  "clusters": [
    {"name": "onward", "type": "ORIGINAL_DST", "lb_policy": "CLUSTER_PROVIDED",
     "connect_timeout": "10s", "upstream_bind_config": {
       "source_address": {"address": "0.0.0.0", "port_value": 0},
       "socket_options": [{"level": 1, "name": 36, "int_value": 7, "state": "STATE_PREBIND"}]}},
    {"name": "inward", "type": "ORIGINAL_DST", "lb_policy": "CLUSTER_PROVIDED",
     "connect_timeout": "10s", "upstream_bind_config": {
       "source_address": {"address": "127.0.0.6", "port_value": 0}}}]}}"#;

#[test]
fn who_connects_before_envoy_waits_and_is_served() {
    let test = "envoy::who_connects_before_envoy_waits_and_is_served";
    with_world(test, |world| {
        let Some(program) = envoy(test) else { return };
        start::early_connections_are_served(world, &Sidecar::Envoy(program));
    });
}

#[test]
fn killing_envoy_in_the_middle_of_load_refuses_no_new_connection() {
    let test = "envoy::killing_envoy_in_the_middle_of_load_refuses_no_new_connection";
    with_world(test, |world| {
        let Some(program) = envoy(test) else { return };
        start::a_kill_refuses_nobody(world, &Sidecar::Envoy(program));
    });
}

#[test]
fn envoy_passes_bytes_and_greetings_behind_the_same_capture() {
    let test = "envoy::envoy_passes_bytes_and_greetings_behind_the_same_capture";
    with_world(test, |world| {
        let Some(program) = envoy(test) else { return };
        let _envoy = world.ready_sidecar(&Sidecar::Envoy(program));
        data::half_close_is_kept(world, &[0]);
        data::a_greeting_comes_at_once(world);
    });
}
