//! Memory stays where it is however long a log is.

use std::io::Read;

use super::common::{REFUSED, entry, with};
use sunup_intake::{Input, Options};

/// Asked for in the child process that is measured.
const CHILD: &str = "SUNUP_INTAKE_MEASURED";
const BYTES: u64 = 300 << 20;
/// The promise is 150 MiB for a whole run of `sunup`; reading alone has to stay well below it.
const PEAK_KIB_MAX: u64 = 110 << 10;

/// Entries without end, one in ten thousand of them refused.
struct Endless {
    quiet: Vec<u8>,
    refused: Vec<u8>,
    given: u64,
    entries: u64,
    rest: Vec<u8>,
}

impl Read for Endless {
    fn read(&mut self, buf: &mut [u8]) -> std::io::Result<usize> {
        if self.rest.is_empty() {
            if self.given >= BYTES {
                return Ok(0);
            }
            while self.rest.len() < 64 << 10 {
                self.entries += 1;
                let refused = self.entries.is_multiple_of(10_000);
                self.rest.extend_from_slice(if refused { &self.refused } else { &self.quiet });
            }
        }
        let len = buf.len().min(self.rest.len());
        buf[..len].copy_from_slice(&self.rest[..len]);
        self.rest.drain(..len);
        self.given += len as u64;
        Ok(len)
    }
}

/// Reads such a stream in a process of its own and measures that.
fn measured(test: &str, head: &str, quiet: String, refused: String) {
    if std::env::var_os(CHILD).is_none() {
        let exe = std::env::current_exe().expect("this test's own program");
        let name = format!("scale::{test}");
        let output = std::process::Command::new(exe)
            .args([name.as_str(), "--exact", "--nocapture", "--test-threads=1"])
            .env(CHILD, "1")
            .output()
            .expect("started");
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        return;
    }
    let stream = Endless {
        quiet: quiet.into_bytes(),
        refused: refused.into_bytes(),
        given: 0,
        entries: 0,
        rest: head.as_bytes().to_vec(),
    };
    let options = Options { threads: 4, ..Options::default() };
    let got = with(vec![Input::Stdin(Box::new(stream))], &options);
    assert!(got.summary.bytes >= BYTES && got.summary.lines > 20, "{:?}", got.summary);
    let status = std::fs::read_to_string("/proc/self/status").expect("Linux tells it");
    let peak = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).expect("the peak");
    let kib: u64 = peak.trim().trim_end_matches(" kB").parse().expect("a number");
    assert!(kib < PEAK_KIB_MAX, "peak of {kib} KiB");
}

#[test]
fn a_long_export_is_read_in_constant_memory() {
    let line = |text: &str| entry(text, "2020-03-31T10:41:15.5Z") + "\n";
    let quiet = line(&"all is well ".repeat(30));
    measured("a_long_export_is_read_in_constant_memory", "", quiet, line(REFUSED));
}

#[test]
fn a_long_table_is_read_in_constant_memory() {
    let row =
        |text: &str| format!("2020-03-31T10:41:15.5Z,\"{text}\",web-5d4f8c7b9-x7k2p,shop,app\n");
    let head = "timestamp,message,pod,namespace,container\n";
    let quiet = row(&"all \"\"is\"\" well\n".repeat(30));
    measured("a_long_table_is_read_in_constant_memory", head, quiet, row(REFUSED));
}

#[test]
fn a_long_answer_is_read_in_constant_memory() {
    let hit = |text: &str| format!("{{\"_source\":{}}},\n", entry(text, "2020-03-31T10:41:15.5Z"));
    let head = "{\"took\":1,\"hits\":{\"hits\":[\n";
    let quiet = hit(&"all is well ".repeat(30));
    measured("a_long_answer_is_read_in_constant_memory", head, quiet, hit(REFUSED));
}
