//! What one line of a log says.
#![no_main]

sunup_fuzz::target!(text sunup_fuzz::evidence::lines);
