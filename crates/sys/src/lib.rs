//! Linux calls: nf_tables over netlink, network namespaces. The only crate with unsafe.
