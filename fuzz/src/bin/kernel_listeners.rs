//! Listeners and their ends, as the kernel tells them.
#![no_main]

sunup_fuzz::target!(sunup_sys::fuzz::listeners);
