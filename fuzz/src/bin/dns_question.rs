//! A question to the lab's name server.
#![no_main]

sunup_fuzz::target!(sunup_lab::fuzz::question);
