//! Pods as an API server tells of them, for whoever asks and for a moment waits.

use std::collections::BTreeMap;
use std::sync::{Condvar, Mutex, PoisonError};
use std::time::{Duration, Instant};

use sunup_node::Pod;
use sunup_node::wire::PodName;

/// Pods of this node, by uid.
#[derive(Debug, Default)]
pub struct Pods {
    known: Mutex<BTreeMap<String, Pod>>,
    news: Condvar,
}

impl Pods {
    /// It is there, as it is now.
    pub fn put(&self, pod: Pod) {
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        known.insert(pod.metadata.uid.clone(), pod);
        self.news.notify_all();
    }

    /// There is none of this uid any more.
    pub fn remove(&self, uid: &str) {
        self.known.lock().unwrap_or_else(PoisonError::into_inner).remove(uid);
    }

    /// All that are known.
    #[must_use]
    pub fn all(&self) -> Vec<Pod> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner).values().cloned().collect()
    }

    /// A pod that a runtime names, waited for as long.
    #[must_use]
    pub fn find(&self, name: &PodName, within: Duration) -> Option<Pod> {
        let end = Instant::now() + within;
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        loop {
            if let Some(pod) = known.values().find(|pod| pod.is(name)) {
                return Some(pod.clone());
            }
            let left = end.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return None;
            }
            known = self.news.wait_timeout(known, left).unwrap_or_else(PoisonError::into_inner).0;
        }
    }
}
