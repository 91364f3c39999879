//! Admission server around `sunup-inject`; it knows no proxy.
