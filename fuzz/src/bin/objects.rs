//! Kubernetes objects in JSON and YAML.
#![no_main]

sunup_fuzz::target!(sunup_fuzz::intake::stream);
