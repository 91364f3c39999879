//! The file of a gateway.
#![no_main]

sunup_fuzz::target!(text sunup_proxy::fuzz::routes);
