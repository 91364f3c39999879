//! Reading of texts and of directories made for a test, told as plain lines.

use std::io::Cursor;
use std::path::Path;

use sunup_evidence::collect::Collector;
use sunup_evidence::snapshot::{PodFacts, Snapshot};
use sunup_intake::{Input, Options, Summary};

pub(crate) const REFUSED: &str = "dial tcp 10.0.0.1:6379: connect: connection refused";

pub(crate) struct Got {
    pub(crate) summary: Summary,
    pub(crate) snapshot: Snapshot,
}

impl Got {
    /// What could not be read, one `place: reason` each.
    pub(crate) fn unreadable(&self) -> Vec<String> {
        self.snapshot.unreadable.iter().map(|u| format!("{}: {}", u.source, u.why)).collect()
    }

    /// The only pod.
    pub(crate) fn pod(&self) -> &PodFacts {
        let [pod] = self.snapshot.pods.as_slice() else {
            panic!("one pod, not {:#?}", self.snapshot.pods);
        };
        pod
    }

    /// Refused lines: `namespace/pod/container place at text`.
    pub(crate) fn refusals(&self) -> Vec<String> {
        let mut out = Vec::new();
        for pod in &self.snapshot.pods {
            for (container, log) in &pod.logs {
                for refusal in log.refusals.iter().flat_map(|burst| &burst.samples) {
                    out.push(format!(
                        "{}/{}/{container} {} {} {}",
                        pod.namespace.as_deref().unwrap_or("-"),
                        pod.name.as_deref().unwrap_or("-"),
                        refusal.place,
                        refusal.at.map_or("-".to_owned(), |at| at.to_string()),
                        refusal.text
                    ));
                }
            }
        }
        out
    }

    /// Events: `kind/name container reason first message`.
    pub(crate) fn events(&self) -> Vec<String> {
        let of_pods = self.snapshot.pods.iter().flat_map(|pod| &pod.events);
        of_pods
            .chain(&self.snapshot.events)
            .map(|run| {
                let e = &run.event;
                format!(
                    "{}/{} {} {} {} {}",
                    e.kind,
                    e.name.as_deref().unwrap_or("-"),
                    e.container.as_deref().unwrap_or("-"),
                    e.reason,
                    e.first.map_or("-".to_owned(), |at| at.to_string()),
                    e.message
                )
            })
            .collect()
    }
}

/// Reads a text as standard input.
pub(crate) fn text(text: impl AsRef<[u8]>) -> Got {
    with(vec![Input::Stdin(Box::new(Cursor::new(text.as_ref().to_vec())))], &Options::default())
}

pub(crate) fn with(inputs: Vec<Input>, options: &Options) -> Got {
    let mut collector = Collector::new(options.scope.clone());
    let summary = sunup_intake::read(inputs, options, &mut collector);
    Got { summary, snapshot: collector.finish() }
}

pub(crate) fn write(dir: &Path, files: &[(&str, &[u8])]) {
    for (name, bytes) in files {
        let path = dir.join(name);
        std::fs::create_dir_all(path.parent().expect("below the directory")).expect("made");
        std::fs::write(path, bytes).expect("written");
    }
}

/// A directory with these files, read as a whole.
pub(crate) fn directory(files: &[(&str, &[u8])]) -> Got {
    let dir = tempfile::tempdir().expect("a directory for the test");
    write(dir.path(), files);
    with(vec![Input::Path(dir.path().to_owned())], &Options::default())
}

/// A log entry of Cloud Logging.
pub(crate) fn entry(text: &str, at: &str) -> String {
    format!(
        r#"{{"insertId":"a","labels":{{"k8s-pod/pod-template-hash":"5d4f8c7b9","logging.gke.io/top_level_controller_name":"web","logging.gke.io/top_level_controller_type":"Deployment"}},"logName":"projects/p/logs/stderr","receiveTimestamp":"2020-03-31T10:41:16Z","resource":{{"labels":{{"cluster_name":"c","container_name":"app","namespace_name":"shop","pod_name":"web-5d4f8c7b9-x7k2p"}},"type":"k8s_container"}},"severity":"ERROR","textPayload":"{text}","timestamp":"{at}"}}"#
    )
}
