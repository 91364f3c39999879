//! Answers of the kernel by netlink.
#![no_main]

sunup_fuzz::target!(sunup_sys::fuzz::netlink);
