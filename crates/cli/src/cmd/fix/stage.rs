//! How far it has come, so that Ctrl-C can say in which condition the cluster is left.

use std::sync::{Arc, Mutex, PoisonError};

use tokio::runtime::Runtime;

use crate::global::Global;
use crate::out;

/// How far it has come.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Stage {
    /// Nothing has been changed.
    Looking,
    /// A change is on its way.
    Applying,
    /// The restart is on its way; the template was as it should be.
    Restarting,
    /// The change is made, pods are coming up.
    Rolling {
        /// What takes it back.
        undo: String,
    },
    /// The change is being taken back.
    TakingBack,
    /// Something has been deleted and not been created again; where its manifest lies.
    Gone(String),
    /// All is said.
    Done,
}

/// The stage, shared with whoever waits for Ctrl-C.
pub(super) struct Stages(Arc<Mutex<Stage>>);

/// As a shell calls it: 128 and the signal's number.
const INTERRUPTED: i32 = 130;

impl Stages {
    /// From now on, Ctrl-C ends the program with a word about the cluster.
    pub(super) fn watch(runtime: &Runtime, global: Global) -> Stages {
        let stages = Stages(Arc::new(Mutex::new(Stage::Looking)));
        let now = Arc::clone(&stages.0);
        runtime.spawn(async move {
            if tokio::signal::ctrl_c().await.is_ok() {
                let stage = now.lock().unwrap_or_else(PoisonError::into_inner).clone();
                out::eprint(&global, &format!("\ninterrupted: {}\n", stage.left()));
                std::process::exit(INTERRUPTED);
            }
        });
        stages
    }

    pub(super) fn set(&self, stage: Stage) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = stage;
    }
}

impl Stage {
    /// In which condition the cluster is left.
    fn left(&self) -> String {
        match self {
            Stage::Looking | Stage::Done => "nothing was being changed".to_owned(),
            Stage::Applying => {
                "the fix was on its way to the API server: it is applied as a whole or not at all; \
                 run again to see"
                    .to_owned()
            }
            Stage::Restarting => "a restart was on its way to the API server; the template is \
                                  unchanged"
                .to_owned(),
            Stage::Rolling { undo } => format!(
                "the fix is applied and stays; its pods go on coming up. To take it back: {undo}"
            ),
            Stage::TakingBack => "the template was being put back: as a whole or not at all; run \
                                  `sunup doctor --live` to see"
                .to_owned(),
            Stage::Gone(again) => {
                format!("it was deleted, and is not created again: `{again}`")
            }
        }
    }
}
