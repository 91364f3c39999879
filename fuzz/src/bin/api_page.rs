//! A page of a list of an API server.
#![no_main]

sunup_fuzz::target!(sunup_kube::fuzz::page);
