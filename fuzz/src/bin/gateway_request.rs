//! The head of a request to a gateway.
#![no_main]

sunup_fuzz::target!(sunup_proxy::fuzz::request);
