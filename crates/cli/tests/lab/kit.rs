//! A lab for one test, and words to speak about its pods.

use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use serde_json::{Value, json};
use sunup_lab::manifest::Pod;
use sunup_lab::{
    BackOffTimes, Image, Images, Lab, Options, PodHandle, PodRecord, PodStatus, Record, Steps,
};

/// Long enough for a busy machine; nothing waits this long when it is right.
pub(crate) const PATIENCE: Duration = Duration::from_secs(60);

pub(crate) struct World {
    pub(crate) lab: Lab,
    pub(crate) record: Arc<Record>,
    _state: tempfile::TempDir,
}

/// Runs a test in a lab: here, or in this program started again as root of a user namespace.
pub(crate) fn with_lab(test: &str, body: impl FnOnce(&World)) {
    const INSIDE: &str = "SUNUP_TEST_IN_USER_NAMESPACE";
    let inside = std::env::var_os(INSIDE).is_some();
    if !inside && sunup_sys::ns::Namespace::try_new().is_none() {
        let mut again = Command::new(std::env::current_exe().unwrap());
        again.args([test, "--exact", "--nocapture"]).env(INSIDE, "1").stdin(Stdio::null());
        sunup_sys::ns::in_user_namespace(&mut again);
        let what = "network namespaces (root, or user.max_user_namespaces above zero)";
        let Some(out) = sunup_testkit::require(test, what, again.output().ok()) else { return };
        let said = String::from_utf8_lossy(&out.stderr).into_owned();
        assert!(out.status.success(), "{}{said}", String::from_utf8_lossy(&out.stdout));
        return;
    }
    body(&World::new());
}

impl World {
    fn new() -> Self {
        let state = tempfile::tempdir().unwrap();
        let program = PathBuf::from(env!("CARGO_BIN_EXE_sunup"));
        let mut images = Images::default();
        let shell = ["sh", "-c"].map(str::to_owned).to_vec();
        images.add("shell", Image { entrypoint: shell, ..Image::default() });
        let options = Options {
            helper: vec![program.clone().into(), "lab-inside".into()],
            program,
            state: state.path().to_owned(),
            images,
            back_off: BackOffTimes {
                first: Duration::from_millis(300),
                longest: Duration::from_secs(9),
                forget: Duration::from_secs(18),
            },
            seed: 7,
            plugin: None,
        };
        let lab = Lab::start(options).unwrap();
        Self { lab, record: Record::new(), _state: state }
    }

    /// Runs a pod; its `spec` as YAML.
    pub(crate) fn run(&self, name: &str, spec: &str) -> PodHandle {
        self.run_with(name, spec, Steps::default())
    }

    pub(crate) fn run_with(&self, name: &str, spec: &str, steps: Steps) -> PodHandle {
        let spec: Value = serde_saphyr::from_str(spec).unwrap();
        let object = json!({"apiVersion": "v1", "kind": "Pod", "metadata": {"name": name,
            "namespace": "test", "labels": {"app": name}}, "spec": spec});
        let pod = Pod::read(object).unwrap();
        self.lab.run(pod, steps, Arc::clone(&self.record) as _).unwrap()
    }

    pub(crate) fn of(&self, pod: &PodHandle) -> PodRecord {
        self.record.pod(pod.name())
    }

    /// Waits until a container wrote a text; when.
    pub(crate) fn line(&self, pod: &PodHandle, container: &str, text: &str) -> Timestamp {
        let so = |r: &PodRecord| r.first_line(container, text).is_some();
        assert!(self.record.wait_for(pod.name(), PATIENCE, so), "{text}: {}", self.tell(pod));
        self.of(pod).first_line(container, text).unwrap()
    }

    pub(crate) fn event(&self, pod: &PodHandle, reason: &str, text: &str) -> Timestamp {
        let found = |r: &PodRecord| {
            let mut all = r.events.iter();
            all.find(|e| e.reason == reason && e.message.contains(text)).map(|e| e.at)
        };
        let so = |r: &PodRecord| found(r).is_some();
        assert!(self.record.wait_for(pod.name(), PATIENCE, so), "{reason}: {}", self.tell(pod));
        found(&self.of(pod)).unwrap()
    }

    pub(crate) fn until(&self, pod: &PodHandle, so: impl FnMut(&PodStatus) -> bool) -> PodStatus {
        assert!(pod.wait(PATIENCE, so), "{}", self.tell(pod));
        pod.status()
    }

    /// All that happened, for a failed assertion.
    pub(crate) fn tell(&self, pod: &PodHandle) -> String {
        let record = self.of(pod);
        let events: Vec<String> =
            record.events.iter().map(|e| format!("{} {} {}", e.at, e.reason, e.message)).collect();
        let lines: Vec<String> =
            record.lines.iter().map(|l| format!("{} {}: {}", l.at, l.container, l.text)).collect();
        let status = serde_json::to_string(&pod.status()).unwrap();
        format!("{status}\n{}\n{}", events.join("\n"), lines.join("\n"))
    }
}

pub(crate) fn has_reason(status: &PodStatus, container: &str, reason: &str) -> bool {
    let state = status.container(container).map(|c| &c.state);
    state.and_then(|s| s.waiting.as_ref()).is_some_and(|w| w.reason == reason)
}
