//! Every format that people hand over, read from files as they are written.

mod common;
mod exports;
mod pasted;
