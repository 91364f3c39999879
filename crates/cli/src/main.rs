//! The `sunup` command.
fn main() {}
