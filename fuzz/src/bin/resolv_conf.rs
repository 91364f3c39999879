//! resolv.conf, and a query that nobody answers.
#![no_main]

sunup_fuzz::target!(sunup_proxy::fuzz::resolv_conf);
