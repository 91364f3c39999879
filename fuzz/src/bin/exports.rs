//! Exports and answers of log services in JSON.
#![no_main]

sunup_fuzz::target!(sunup_fuzz::intake::stream);
