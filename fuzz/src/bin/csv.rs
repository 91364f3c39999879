//! Values with separators, as log services export them.
#![no_main]

sunup_fuzz::target!(sunup_fuzz::intake::stream);
