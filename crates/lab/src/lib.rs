//! Pods run as a kubelet runs them, in network namespaces; it links no proxy, it starts one.
