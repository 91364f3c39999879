//! A template of a mesh.
#![no_main]

sunup_fuzz::target!(text sunup_fuzz::inject::template);
