//! An edit of YAML.
#![no_main]

sunup_fuzz::target!(sunup_fuzz::yaml::edits);
