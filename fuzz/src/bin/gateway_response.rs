//! The head of an answer to a gateway.
#![no_main]

sunup_fuzz::target!(sunup_proxy::fuzz::response);
