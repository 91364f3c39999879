//! Archives and compressed files, within small limits.
#![no_main]

sunup_fuzz::target!(sunup_fuzz::intake::stream);
