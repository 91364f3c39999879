//! A call of a container runtime, and its configuration.
#![no_main]

sunup_fuzz::target!(text sunup_fuzz::node::runtime);
