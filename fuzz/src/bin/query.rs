//! A query, and an entry that it is asked about.
#![no_main]

sunup_fuzz::target!(text sunup_fuzz::logs::query);
