//! Real Redis and PostgreSQL with the clients that applications use, which connect before there is
//! a proxy, as in the fault that started this project; then work through it.
//!
//! The clients are where `SUNUP_CLIENTS` says; `.ci/clients DIR` installs them.

use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use crate::world::{Sidecar, World, envoy, with_world};

const REDIS: &str = "10.0.0.1:6379";
const POSTGRES: &str = "10.0.0.1:5432";

/// One attempt to connect, no retry: what isn't served at the first attempt has failed.
const IOREDIS: &str = "
const [host, port] = process.argv.at(-1).split(':');
const { Redis } = require('ioredis');
const options = { host, port: Number(port), retryStrategy: null, connectTimeout: 20000 };
const fail = (error) => { console.log('failed', error.code ?? error.message); process.exit(0); };
const redis = new Redis(options).on('error', fail);
(async () => {
  const big = 'sunup'.repeat(600000);
  await redis.set('node', big);
  if (await redis.get('node') !== big) throw new Error('other bytes came back');
  const pipeline = redis.pipeline();
  for (let n = 0; n < 2000; n++) pipeline.incr('node-count');
  const answers = await pipeline.exec();
  if (answers[1999][1] !== 2000) throw new Error(`answer ${answers[1999]}`);
  const listener = new Redis(options).on('error', fail);
  const heard = new Promise((resolve) => listener.on('message', (_, text) => resolve(text)));
  await listener.subscribe('node-news');
  await redis.publish('node-news', 'news');
  if (await heard !== 'news') throw new Error('other news');
  console.log('ok');
  process.exit(0);
})().catch(fail);
";

const REDIS_PY: &str = "
import sys, redis
from redis.backoff import NoBackoff
from redis.retry import Retry
host, port = sys.argv[1].split(':')
try:
    client = redis.Redis(host, int(port), socket_connect_timeout=20, retry=Retry(NoBackoff(), 0))
    big = b'sunup' * 600_000
    client.set('python', big)
    assert client.get('python') == big, 'other bytes came back'
    with client.pipeline(transaction=False) as pipe:
        for _ in range(2000):
            pipe.incr('python-count')
        assert pipe.execute()[-1] == 2000
    # The server answers late and unasked.
    assert client.blpop('python-nothing', timeout=1) is None
    print('ok')
except Exception as e:
    print('failed', type(e).__name__, e)
";

const PSYCOPG: &str = "
import sys, threading, psycopg
host, port = sys.argv[1].split(':')
try:
    at = f'host={host} port={port} user=sunup dbname=postgres connect_timeout=20'
    with psycopg.connect(at, autocommit=True) as db:
        db.execute('create temp table t (n int, s text)')
        with db.cursor().copy('copy t from stdin') as copy:
            for n in range(20_000):
                copy.write_row((n, 'x' * 50))
        assert db.execute('select sum(n), count(s) from t').fetchone() == (199_990_000, 20_000)
        big = bytes(range(256)) * 8000
        assert db.execute('select %b::bytea', (big,), binary=True).fetchone()[0] == big
        rows = db.execute('select generate_series(1, 50000)').fetchall()
        assert len(rows) == 50_000
        # Cancelling goes by a connection of its own.
        threading.Timer(0.3, db.cancel).start()
        try:
            db.execute('select pg_sleep(30)')
            raise AssertionError('not cancelled')
        except psycopg.errors.QueryCanceled:
            pass
    print('ok')
except Exception as e:
    print('failed', type(e).__name__, e)
";

/// What is installed here; all of it or none.
struct Parts {
    clients: PathBuf,
    redis: PathBuf,
    postgres: PathBuf,
}

fn parts(test: &str) -> Option<Parts> {
    let clients = std::env::var_os("SUNUP_CLIENTS").map(PathBuf::from);
    let clients = sunup_testkit::require(test, "clients (.ci/clients, SUNUP_CLIENTS)", clients)?;
    let redis = sunup_testkit::program("redis-server");
    let redis = sunup_testkit::require(test, "redis-server", redis)?;
    let debian = std::fs::read_dir("/usr/lib/postgresql").ok().into_iter().flatten().flatten();
    let debian = debian.map(|version| version.path().join("bin/initdb")).find(|p| p.is_file());
    let postgres = sunup_testkit::program("initdb").or(debian);
    let postgres = sunup_testkit::require(test, "PostgreSQL's initdb", postgres)?;
    // PostgreSQL refuses to be root, and a namespace of a single uid has nobody else.
    let other = std::fs::read_to_string("/proc/self/uid_map").unwrap();
    let other = other.split_whitespace().nth(2).and_then(|n| n.parse::<u32>().ok());
    sunup_testkit::require(test, "a second uid (root)", other.filter(|n| *n > NOBODY))?;
    Some(Parts { clients, redis, postgres: postgres.parent().unwrap().to_owned() })
}

const NOBODY: u32 = 65_534;

/// A server that ends with its test.
struct Server {
    child: Child,
    _dir: tempfile::TempDir,
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn redis(world: &World, program: &Path) -> Server {
    let dir = tempfile::tempdir().unwrap();
    let mut start = Command::new(program);
    start.args(["--bind", "10.0.0.1", "--protected-mode", "no", "--save", "", "--dir"]);
    start.arg(dir.path()).stdout(Stdio::null());
    let child = world.outside.run(|| start.spawn().unwrap()).unwrap();
    let server = Server { child, _dir: dir };
    world.until("Redis listens", || world.connect_from_outside(REDIS).is_ok());
    server
}

fn postgres(world: &World, programs: &Path) -> Server {
    let dir = tempfile::tempdir().unwrap();
    std::os::unix::fs::chown(dir.path(), Some(NOBODY), Some(NOBODY)).unwrap();
    let data = dir.path().join("data");
    let run = |name: &str, args: &[&str]| {
        let mut command = Command::new(programs.join(name));
        command.arg("-D").arg(&data).args(args).uid(NOBODY).gid(NOBODY).current_dir(dir.path());
        command.stdout(Stdio::null()).stderr(Stdio::null());
        world.outside.run(|| command.spawn().unwrap()).unwrap()
    };
    let made = run("initdb", &["-A", "trust", "-U", "sunup", "--no-sync"]).wait().unwrap();
    assert!(made.success());
    std::fs::write(data.join("pg_hba.conf"), "host all all 0.0.0.0/0 trust\n").unwrap();
    let settings = ["listen_addresses=10.0.0.1", "unix_socket_directories=", "fsync=off"];
    let settings: Vec<&str> = settings.iter().flat_map(|s| ["-c", s]).collect();
    let server = Server { child: run("postgres", &settings), _dir: dir };
    world.until("PostgreSQL listens", || world.connect_from_outside(POSTGRES).is_ok());
    server
}

/// Starts every client in the pod at once.
fn start_clients(world: &World, parts: &Parts) -> Vec<(&'static str, Child)> {
    let go = parts.clients.join("go-client");
    let python = |code: &'static str, at: &'static str| {
        let mut command = Command::new("python3");
        command.args(["-c", code, at]).env("PYTHONPATH", parts.clients.join("python"));
        command
    };
    let mut node = Command::new("node");
    node.args(["-e", IOREDIS, "--", REDIS]).env("NODE_PATH", parts.clients.join("node_modules"));
    let (mut go_redis, mut go_pq) = (Command::new(&go), Command::new(&go));
    go_redis.args(["redis", REDIS]);
    go_pq.args(["postgres", POSTGRES]);
    let all = [
        ("ioredis", node),
        ("redis-py", python(REDIS_PY, REDIS)),
        ("psycopg", python(PSYCOPG, POSTGRES)),
        ("go-redis", go_redis),
        ("lib/pq", go_pq),
    ];
    let start = |(name, mut command): (&'static str, Command)| {
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        (name, world.pod.run(|| command.spawn().unwrap()).unwrap())
    };
    all.into_iter().map(start).collect()
}

/// What each client said.
fn said(clients: Vec<(&'static str, Child)>) -> Vec<(&'static str, String)> {
    let said = |(name, child): (&'static str, Child)| {
        let out = child.wait_with_output().unwrap();
        let text = [out.stdout, out.stderr].concat();
        (name, String::from_utf8_lossy(&text).trim().to_owned())
    };
    clients.into_iter().map(said).collect()
}

/// All clients start, and only then the proxy.
fn early_clients_are_served(test: &str, kind: Option<Sidecar>) {
    with_world(test, |world| {
        let kind = match kind {
            Some(kind) => kind,
            None => match envoy(test) {
                Some(program) => Sidecar::Envoy(program),
                None => return,
            },
        };
        let Some(parts) = parts(test) else { return };
        let _redis = redis(world, &parts.redis);
        let _postgres = postgres(world, &parts.postgres);
        let clients = start_clients(world, &parts);
        // The proxy comes when somebody waits at the gate; half a second more, for the others.
        world.until_held();
        std::thread::sleep(Duration::from_millis(500));
        let _proxy = world.sidecar(&kind);
        for (name, said) in said(clients) {
            assert_eq!(said, "ok", "{name}");
        }
    });
}

#[test]
fn early_clients_of_redis_and_postgres_are_served() {
    let test = "peers::early_clients_of_redis_and_postgres_are_served";
    early_clients_are_served(test, Some(Sidecar::Sunup));
}

#[test]
fn early_clients_of_redis_and_postgres_are_served_behind_envoy() {
    let test = "peers::early_clients_of_redis_and_postgres_are_served_behind_envoy";
    early_clients_are_served(test, None);
}

#[test]
fn without_the_gate_the_same_clients_are_refused() {
    let test = "peers::without_the_gate_the_same_clients_are_refused";
    with_world(test, |world| {
        let Some(parts) = parts(test) else { return };
        let _redis = redis(world, &parts.redis);
        let _postgres = postgres(world, &parts.postgres);
        world.capture(&["-i", "*", "-b", "*", "--start-gate=off"]);
        for (name, said) in said(start_clients(world, &parts)) {
            let refused = said.contains("ECONNREFUSED") || said.contains("refused");
            assert!(said.starts_with("failed") && refused, "{name}: {said}");
        }
    });
}
