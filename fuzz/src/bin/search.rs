//! A stream of entries, searched.
#![no_main]

sunup_fuzz::target!(sunup_fuzz::logs::stream);
