//! YAML with the places of its nodes.
#![no_main]

sunup_fuzz::target!(text sunup_fuzz::yaml::text);
