//! The start gate with real sockets.
