//! Settings of capture, and what iptables-save says.
#![no_main]

sunup_fuzz::target!(text sunup_fuzz::capture::settings);
