//! Cluster access; it knows no rule and no proxy.
