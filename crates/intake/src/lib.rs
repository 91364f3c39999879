//! Reads files, archives and streams into evidence.
