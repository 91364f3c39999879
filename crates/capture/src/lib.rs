//! Traffic capture as a pure plan: settings in, decision for one packet out.
