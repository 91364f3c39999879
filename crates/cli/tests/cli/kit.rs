//! Runs the binary with nothing of this machine's environment, and two small inputs.

use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

/// A gateway that cannot bind its port without a sysctl: one finding, one safe fix.
pub(crate) const GATEWAY: &str = "\
# the way in
apiVersion: apps/v1
kind: Deployment
metadata:
  name: way-in
  namespace: edge
spec:
  selector:
    matchLabels: {app: way-in}
  template:
    metadata:
      annotations:
        inject.istio.io/templates: gateway   # do not remove
      labels: {app: way-in, sidecar.istio.io/inject: \"true\"}
    spec:
      containers:
      - name: istio-proxy
        image: auto
---
apiVersion: v1
kind: Service
metadata:
  name: way-in
  namespace: edge
spec:
  selector: {app: way-in}
  ports:
  - {name: http, port: 80, targetPort: 80}
";

/// A manifest that has nothing to do with a mesh.
pub(crate) const HEALTHY: &str = "\
apiVersion: v1
kind: ConfigMap
metadata: {name: settings, namespace: edge}
data: {a: b}
";

/// What a run gave.
#[derive(Debug)]
pub(crate) struct Run {
    pub(crate) code: i32,
    pub(crate) out: String,
    pub(crate) err: String,
}

impl From<Output> for Run {
    fn from(output: Output) -> Self {
        Run {
            code: output.status.code().expect("it was not killed"),
            out: String::from_utf8(output.stdout).expect("output is UTF-8"),
            err: String::from_utf8(output.stderr).expect("errors are UTF-8"),
        }
    }
}

/// The binary in a folder, without the caller's terminal settings.
pub(crate) fn sunup(folder: &Path, arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_sunup"));
    command.current_dir(folder).args(arguments).stdin(Stdio::null());
    for name in ["NO_COLOR", "CLICOLOR", "CLICOLOR_FORCE", "TERM", "COLUMNS"] {
        command.env_remove(name);
    }
    command
}

/// Runs it with empty standard input.
pub(crate) fn run(folder: &Path, arguments: &[&str]) -> Run {
    sunup(folder, arguments).output().expect("the binary starts").into()
}

/// Runs it with something on standard input.
pub(crate) fn run_with(folder: &Path, arguments: &[&str], input: &[u8]) -> Run {
    let mut command = sunup(folder, arguments);
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().expect("the binary starts");
    let mut stdin = child.stdin.take().expect("piped");
    // It may stop reading early; what it says of that is what counts.
    let _ = stdin.write_all(input);
    drop(stdin);
    child.wait_with_output().expect("it ends").into()
}

/// A folder with these files.
pub(crate) fn folder(files: &[(&str, &str)]) -> tempfile::TempDir {
    let folder = tempfile::tempdir().expect("a temporary folder");
    for (name, text) in files {
        write(folder.path(), name, text.as_bytes());
    }
    folder
}

/// A file below a folder.
pub(crate) fn write(folder: &Path, name: &str, bytes: &[u8]) {
    let path: PathBuf = folder.join(name);
    std::fs::create_dir_all(path.parent().expect("below the folder")).expect("made");
    std::fs::write(path, bytes).expect("written");
}
