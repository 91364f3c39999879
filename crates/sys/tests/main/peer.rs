//! Who is at the other end of a Unix socket, across pid namespaces.

use std::io::Read as _;
use std::os::unix::net::{UnixListener, UnixStream};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use crate::world::with_namespaces;

/// Where the test is started again, to listen.
const LISTEN: &str = "SUNUP_TEST_PEER";

#[test]
fn a_caller_from_outside_of_the_pid_namespace_has_a_user() {
    if let Some(path) = std::env::var_os(LISTEN) {
        let (caller, _) = UnixListener::bind(path).unwrap().accept().unwrap();
        eprintln!("the caller's user: {}", sunup_sys::socket::peer_user(&caller).unwrap());
        return;
    }
    let test = "peer::a_caller_from_outside_of_the_pid_namespace_has_a_user";
    with_namespaces(test, |_| {
        let path = std::env::temp_dir().join(format!("sunup-peer-{}", std::process::id()));
        let mut listening = Command::new("unshare")
            .args(["--pid", "--fork", "--kill-child"])
            .arg(std::env::current_exe().unwrap())
            .args(["--exact", test, "--nocapture"])
            .env(LISTEN, &path)
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let end = Instant::now() + Duration::from_secs(30);
        while UnixStream::connect(&path).is_err() {
            assert!(Instant::now() < end, "nobody listens");
            std::thread::sleep(Duration::from_millis(5));
        }
        assert!(listening.wait().unwrap().success());
        let mut said = String::new();
        listening.stderr.take().unwrap().read_to_string(&mut said).unwrap();
        let _ = std::fs::remove_file(&path);
        assert!(said.contains("the caller's user: 0\n"), "{said}");
    });
}
