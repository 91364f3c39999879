//! A proxy's MeshConfig, ProxyConfig and variables.
#![no_main]

sunup_fuzz::target!(text sunup_proxy::fuzz::settings);
