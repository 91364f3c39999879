//! A body in chunks.
#![no_main]

sunup_fuzz::target!(sunup_proxy::fuzz::chunks);
