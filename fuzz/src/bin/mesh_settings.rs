//! A mesh's settings, and a pod that is injected with them.
#![no_main]

sunup_fuzz::target!(text sunup_fuzz::inject::settings);
