//! Work grows with the input, and no faster: twice the input takes at most 2.3 times the
//! instructions, whatever it is made of. Instructions are counted by Valgrind, in the program that
//! users run, so that neither a slow nor a busy machine changes the outcome.

#[path = "growth/archives.rs"]
mod archives;
#[path = "growth/cluster.rs"]
mod cluster;
#[path = "growth/count.rs"]
mod count;
#[path = "growth/edits.rs"]
mod edits;
#[path = "growth/parts.rs"]
mod parts;
#[path = "growth/redact.rs"]
mod redact;
#[path = "growth/texts.rs"]
mod texts;
