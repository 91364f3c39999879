//! Logs: plain, with times, of CRI, of several containers.
#![no_main]

sunup_fuzz::target!(sunup_fuzz::intake::stream);
