//! Events about one container, from any thread.

use std::sync::Arc;

use jiff::Timestamp;

use crate::manifest::PodName;
use crate::record::{Event, Recorder};

/// Reports them.
#[derive(Clone)]
pub(super) struct Reporter {
    pub(super) recorder: Arc<dyn Recorder>,
    pub(super) pod: PodName,
    pub(super) field_path: String,
}

impl Reporter {
    pub(super) fn event(&self, warning: bool, reason: &'static str, message: String) {
        self.recorder.event(
            &self.pod,
            &Event {
                at: Timestamp::now(),
                warning,
                reason,
                message,
                field_path: Some(self.field_path.clone()),
                component: "kubelet",
            },
        );
    }
}
