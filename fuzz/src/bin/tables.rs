//! Tables as kubectl and dashboards print them, descriptions.
#![no_main]

sunup_fuzz::target!(sunup_fuzz::intake::stream);
