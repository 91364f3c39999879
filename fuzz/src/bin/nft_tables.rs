//! Tables, rules, elements and counters of nf_tables.
#![no_main]

sunup_fuzz::target!(sunup_sys::fuzz::tables);
