//! What goes by on a connection.
#![no_main]

sunup_fuzz::target!(sunup_proxy::fuzz::observed);
