//! A ClientHello, and the name in it.
#![no_main]

sunup_fuzz::target!(sunup_proxy::fuzz::greeting);
