//! A secret planted in a file of evidence.
#![no_main]

sunup_fuzz::target!(text sunup_fuzz::redact::file);
