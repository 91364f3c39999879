//! Manifests, injected.
#![no_main]

sunup_fuzz::target!(text sunup_fuzz::inject::manifests);
