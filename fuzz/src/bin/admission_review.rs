//! A review of an API server.
#![no_main]

sunup_fuzz::target!(sunup_webhook::fuzz::review);
