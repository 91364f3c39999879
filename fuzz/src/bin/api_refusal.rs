//! A refusal of an API server.
#![no_main]

sunup_fuzz::target!(sunup_kube::fuzz::refusal);
