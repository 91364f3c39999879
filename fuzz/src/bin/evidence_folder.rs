//! Several files, diagnosed, and the report in every format.
#![no_main]

sunup_fuzz::target!(text sunup_fuzz::doctor::folder);
