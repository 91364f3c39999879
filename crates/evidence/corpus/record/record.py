#!/usr/bin/env python3
"""Records what clients print when their first connection fails: record.py FOLDER [CLIENT…].

With `--again` the corpus is made anew of what was recorded before.

FOLDER is what `install.sh` filled. Each client is run once for each kind of far end (see
`servers.py`) in namespaces made for it, so that nothing leaves this machine, and what it prints is
kept as `../recorded/ECOSYSTEM.txt`. Three things are changed, by rule: folders of this machine are
named as a container has them, the inner frames of stack traces are cut, and so is what a
client that goes on and on says between its first lines and its last ones.
"""
import asyncio
import concurrent.futures
import json
import os
import pathlib
import re
import signal
import subprocess
import sys
import threading

import servers

HERE = pathlib.Path(__file__).resolve().parent
OUT = HERE.parent / "recorded"
KINDS = {
    "refused": "one.example.net",
    "refused-ip": "192.0.2.10",
    "silent": "two.example.net",
    "unresolved": "nowhere.invalid",
    "tls": "three.example.net",
    "password": "four.example.net",
    "mute": "five.example.net",
}
SECONDS_MAX = 20
LINES_MAX = 24
LINES_FIRST = 8
LINE_MAX = 6000


def programs(folder):
    """Ecosystem, command and working directory of the programs that list their clients."""
    classpath = (folder / "maven/cp.txt").read_text() if (folder / "maven/cp.txt").exists() else ""
    java = ["java", "-XX:TieredStopAtLevel=1", "-Xshare:auto", "-Xmx256m", "-cp", f"{folder}/maven:{classpath}", "Clients"]
    return [
        ("npm", ["node", "clients.mjs"], folder / "npm"),
        ("pypi", [f"{folder}/pypi/bin/python", "clients.py"], folder / "pypi"),
        ("go", ["./clients"], folder / "go"),
        ("maven", java, folder / "maven"),
        ("crates", ["target/debug/clients"], folder / "crates"),
        ("debian", ["php", str(HERE / "clients.php")], folder),
        ("debian", ["ruby", str(HERE / "clients.rb")], folder),
        ("debian", ["perl", str(HERE / "clients.pl")], folder),
    ]


def clients(folder, wanted):
    """All clients as (ecosystem, name, port, packages, command, working directory)."""
    out = []
    for ecosystem, command, cwd in programs(folder):
        try:
            listed = subprocess.run(command, cwd=cwd, capture_output=True, text=True, check=True).stdout
        except (OSError, subprocess.CalledProcessError) as why:
            print(f"{ecosystem}: left out: {why}", file=sys.stderr)
            continue
        for line in listed.splitlines():
            name, port, packages = line.split("\t")
            out.append((ecosystem, name, int(port), packages.split(), [*command, name], cwd))
    for line in (HERE / "tools.tsv").read_text().splitlines():
        name, package, port, shell = line.split("\t")
        out.append(("debian", name, int(port), [package], ["sh", "-c", shell], folder))
    return [c for c in out if not wanted or c[1] in wanted or c[0] in wanted]


def versions(folder):
    """A function from (ecosystem, package) to its version."""
    mod = (folder / "go/go.mod").read_text() if (folder / "go/go.mod").exists() else ""
    go = dict(re.findall(r"(?m)^\t(\S+) (v\S+)", mod))
    pom = dict(re.findall(r"<artifactId>([^<]*)</artifactId><version>([^<]*)<", (HERE / "pom.xml").read_text()))
    lock = (folder / "crates/Cargo.lock").read_text() if (folder / "crates/Cargo.lock").exists() else ""
    lock = dict(re.findall(r'name = "([^"]*)"\nversion = "([^"]*)"', lock))
    site = next((folder / "pypi/lib").glob("python3*/site-packages"), folder)
    pypi = {}
    for info in site.glob("*.dist-info"):
        name, version = info.name.removesuffix(".dist-info").rsplit("-", 1)
        pypi[re.sub("[-_.]+", "-", name.lower())] = version
    own = {"npm": ["node", "--version"], "pypi": ["python3", "--version"], "go": ["go", "version"],
           "maven": ["java", "--version"], "crates": ["rustc", "--version"]}

    def version(ecosystem, package):
        if not package:
            words = subprocess.run(own[ecosystem], capture_output=True, text=True).stdout
            return re.search(r"\d+\.\d[\d.]*", words)[0]
        if ecosystem == "npm":
            return json.loads((folder / "npm/node_modules" / package / "package.json").read_text())["version"]
        if ecosystem == "debian":
            query = ["dpkg-query", "-W", "-f", "${Version}", package]
            return subprocess.run(query, capture_output=True, text=True).stdout
        if ecosystem == "pypi":
            return pypi[re.sub("[-_.]+", "-", package.lower())]
        return {"go": go, "maven": pom, "crates": lock}[ecosystem][package.split(":")[-1]]

    return version


def run(client, kind, folder):
    """What one client prints against one far end."""
    ecosystem, name, port, _, command, cwd = client
    host, tls = KINDS[kind], kind == "tls"
    http = f"http{'s' if tls else ''}://{host}:{port}"
    env = {
        "PATH": os.environ["PATH"], "HOME": "/tmp", "LANG": "C.UTF-8", "HOST": host, "PORT": str(port),
        "TLS": "1" if tls else "0", "HTTP": http, "SSLMODE": "verify-full" if tls else "prefer",
        "PGSSLROOTCERT": "/etc/ssl/certs/ca-certificates.crt", "KAFKA": "ssl" if tls else "plaintext",
        "MOSQUITTO": "--capath /etc/ssl/certs" if tls else "", "S3CMD": "--ssl" if tls else "--no-ssl",
        "LDAP": f"ldap{'s' if tls else ''}://{host}:{port}", "NO_COLOR": "1", "PYTHONWARNINGS": "ignore",
        "NODE_NO_WARNINGS": "1", "AWS_EC2_METADATA_DISABLED": "true", "CHECKPOINT_DISABLE": "1",
    }
    process = subprocess.Popen(command, cwd=cwd, env=env, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                               stderr=subprocess.STDOUT, start_new_session=True)
    try:
        output, _ = process.communicate(timeout=SECONDS_MAX)
    except subprocess.TimeoutExpired:
        os.killpg(process.pid, signal.SIGKILL)
        output, _ = process.communicate()
    return output.decode("utf-8", "replace")


def sections(output):
    """The sections of an output that say something, the client's own words first."""
    first, *rest = output.split("\x1e")
    pairs = [("own", first)] + [tuple(part.split("\n", 1)) for part in rest if "\n" in part]
    return [(name, text.strip("\n")) for name, text in pairs if text.strip()]


# Frames of stack traces: one of a run tells where it happened.
NODE_OR_JAVA = re.compile(r"(\n[ \t]+at [^\n]*)(?:\n[ \t]+at [^\n]*)+")
ESCAPED = re.compile(r"(\\n(?: |\\t)+at (?:(?!\\n)[^\"])*)(?:\\n(?: |\\t)+at (?:(?!\\n)[^\"])*)+")
FRAME = r"\n {2}(?:\| )?File \"[^\n]*(?:\n(?: {2}\| )? {4}[^\n]*)*"
PYTHON = re.compile(f"(?:{FRAME})+({FRAME})")
FRAME_ESCAPED = r"\\n {2}(?:\| )?File (?:(?!\\n).)*(?:\\n {4}(?:(?!\\n)[^\"]|(?<=\\)\")*)*"
PYTHON_ESCAPED = re.compile(f"(?:{FRAME_ESCAPED})+({FRAME_ESCAPED})")
LOGBACK_FRAME = r"\{\"className\":\"[^\"]*\",\"methodName\"[^}]*\},?"
LOGBACK = re.compile(f"({LOGBACK_FRAME})(?:{LOGBACK_FRAME})+")
RUBY_FRAME = r"\n\t*(?:from )?/[^\n]*:in `[^\n']*'(?=\n|$)"
RUBY = re.compile(f"({RUBY_FRAME})(?:{RUBY_FRAME})+")


def cut(text):
    text = NODE_OR_JAVA.sub(r"\1", "\n" + text)[1:]
    text = ESCAPED.sub(r"\1", text)
    text = PYTHON.sub(r"\1", text)
    text = PYTHON_ESCAPED.sub(r"\1", text)
    text = LOGBACK.sub(lambda m: m[1].rstrip(","), text)
    text = RUBY.sub(r"\1", "\n" + text)[1:]
    lines = []
    for line in text.split("\n"):
        line = line.rstrip()
        if len(line) > LINE_MAX:
            line = line[:LINE_MAX] + "…"
        lines.append(line)
    if len(lines) > LINES_MAX:
        lines = lines[:LINES_FIRST] + lines[LINES_FIRST - LINES_MAX :]
    return "\n".join(lines)


def scrub(text, folder):
    prefix = sys.base_prefix
    for path, name in [(str(folder), "/app"), (str(HERE), "/app"), (str(pathlib.Path(prefix)), "/usr"),
                       (os.path.expanduser("~"), "/app")]:
        text = text.replace(path, name)
        text = text.replace(path.replace("/", "\\/"), name.replace("/", "\\/"))
    # A corpus is text: no other control characters than colours, and no line like its own heads.
    text = text.replace(os.uname().release, "6.1.0")
    text = text.replace("\r", "").replace("\0", "")
    return re.sub(r"(?m)^> ", " > ", text)


ANY_FRAME = re.compile(r"\n[ \t]+at [^\n]*|\\n(?: |\\t)+at (?:(?!\\n)[^\"])*|\n {2}(?:\| )?File [^\n]*(?:\n(?: {2}\| )? {4}[^\n]*)*|"
                       + "|".join([FRAME_ESCAPED, LOGBACK_FRAME, RUBY_FRAME]))
VARYING = [
    (re.compile("|".join(re.escape(h) for h in sorted({*KINDS.values(), *servers.ADDRESSES.values()}, key=len, reverse=True))), "HOST"),
    (re.compile(r"\b(https|rediss|amqps|mqtts|ssl|wss|ldaps)(?=:)"), "SCHEME"),
    (re.compile(r"\b(http|redis|amqp|mqtt|tcp|ws|ldap)(?=:)"), "SCHEME"),
    (re.compile(r"\d+(\.\d+)? ?(ms|s|sec|secs|seconds|milliseconds)\b"), "N"),
    (re.compile(r"\b[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}\b"), "N"),
    (re.compile(r"0x[0-9a-f]+|\b(?=[a-f]*\d)[0-9a-f]{8,}\b"), "N"),
    (re.compile(r"\d+[-/:]\d\d[-/:.T\d ,Z+]*|\d{4,}"), "N"),
]


def gist(text):
    """A text without what differs from run to run: which far end, when, how long, which frames."""
    text = ANY_FRAME.sub("", "\n" + text)
    for pattern, name in VARYING:
        text = pattern.sub(name, text)
    return text


def also(kind, section, text, by_kind):
    """The kinds of the other side (a refusal, or anything else) for which the same is said."""
    refusal = kind.startswith("refused")
    others = [k for k in by_kind if k.startswith("refused") != refusal]
    return [k for k in others if (section, gist(text)) in [(s, gist(t)) for s, t in by_kind[k]]]


def kept(kind, found, turn):
    """All sections of a refusal; of the other ends the client's own and one more, of one of them
    also one that a logger wrote, each client another."""
    if kind == "refused":
        return found
    own = [s for s in found if s[0] == "own"]
    rest = [s for s in found if s[0] != "own"]
    if kind == "refused-ip":
        return own + rest[:1]
    bare = [s for s in rest if s[0] in ("uncaught", "message", "main", "console")]
    logged = [s for s in rest if s not in bare] if list(KINDS).index(kind) % 3 == turn % 3 else []
    return own + bare[turn % max(len(bare), 1) :][:1] + logged[turn // 3 % max(len(logged), 1) :][:1]


def tag(ecosystem, packages, version):
    names = packages or [{"npm": "node", "pypi": "python", "go": "go", "maven": "java", "crates": "rust"}[ecosystem]]
    return " ".join(f"{name}@{version(ecosystem, name if packages else '')}" for name in names)


def record(folder, wanted):
    """Runs the wanted clients and keeps what they print in FOLDER/raw, as it is."""
    kinds = os.environ.get("RECORD_KINDS", ",".join(KINDS)).split(",")
    jobs = [(client, kind) for client in clients(folder, wanted) for kind in kinds
            if kind != "password" or client[2] in servers.LOGIN]
    raw = folder / "raw"
    raw.mkdir(exist_ok=True)

    def one(job):
        (ecosystem, name, *_), kind = job
        (raw / f"{ecosystem} {name} {kind}").write_text(run(*job, folder))

    with concurrent.futures.ThreadPoolExecutor(int(os.environ.get("RECORD_JOBS", "4"))) as pool:
        list(pool.map(one, jobs))


def write(folder):
    """Makes the corpus of what lies in FOLDER/raw."""
    version = versions(folder)
    files = {}
    for turn, (ecosystem, name, port, packages, *_) in enumerate(clients(folder, [])):
        by_kind = {}
        for kind in KINDS:
            path = folder / "raw" / f"{ecosystem} {name} {kind}"
            found = sections(scrub(path.read_text(), folder)) if path.exists() else []
            if any(section == "came up" for section, _ in found) or path.exists() and not found:
                print(f"{ecosystem} {name} {kind}: " + ("came up" if found else "said nothing"), file=sys.stderr)
            elif found:
                by_kind[kind] = [(section, cut(text)) for section, text in found]
        for kind, found in by_kind.items():
            for section, text in kept(kind, found, turn):
                same = ",".join(also(kind, section, text, by_kind)) or "-"
                head = f"> {kind} {name} {section} port:{port} same:{same} {tag(ecosystem, packages, version)}"
                files.setdefault(ecosystem, {}).setdefault(name, []).append(f"{head}\n{text}\n")
    OUT.mkdir(exist_ok=True)
    for ecosystem, by_client in files.items():
        head = f"# What clients from {ecosystem} print when a connection fails; made by `record/record.py`, not edited.\n"
        (OUT / f"{ecosystem}.txt").write_text(head + "".join("".join(by_client[name]) for name in sorted(by_client)))


def shell(*commands):
    for command in commands:
        subprocess.run(command, shell=True, check=True)


def world(folder):
    """The namespace's network: addresses that refuse or answer, one that swallows, a name server."""
    shell("mount --make-rprivate /", "hostname shop-0", "ip link set lo up", "ip link add void type veth peer name gone",
          "ip addr add 198.51.100.1/24 dev void", "ip link set void up", "ip link set gone up",
          f"ip neigh add {servers.ADDRESSES['two.example.net']} lladdr 02:00:00:00:00:09 dev void")
    for name, address in servers.ADDRESSES.items():
        if name != "two.example.net":
            shell(f"ip addr add {address}/32 dev lo")
    # One more SYN after a second, then the kernel gives up: a client without a limit of its own ends too.
    pathlib.Path("/proc/sys/net/ipv4/tcp_syn_retries").write_text("1")
    (folder / "resolv.conf").write_text("nameserver 127.0.0.1\noptions timeout:1 attempts:1\n")
    (folder / "hosts").write_text("127.0.0.1 localhost\n127.0.0.1 shop-0\n")
    shell(f"mount --bind {folder}/resolv.conf /etc/resolv.conf", f"mount --bind {folder}/hosts /etc/hosts")
    certificate, key = folder / "certificate.pem", folder / "key.pem"
    if not certificate.exists():
        shell(f"openssl req -x509 -newkey rsa:2048 -nodes -days 3650 -subj /CN=three.example.net "
              f"-addext subjectAltName=DNS:three.example.net -keyout {key} -out {certificate} 2>/dev/null")
    return certificate, key


def main():
    folder = pathlib.Path(sys.argv[1]).resolve()
    if sys.argv[2:] == ["--again"]:
        return write(folder)
    if os.environ.get("RECORD_INSIDE") != "1":
        user = [] if os.getuid() == 0 else ["--map-root-user"]
        os.environ["RECORD_INSIDE"] = "1"
        os.execvp("unshare", ["unshare", "--net", "--mount", "--uts", *user, sys.executable, *sys.argv])
    certificate, key = world(folder)
    ports = {client[2] for client in clients(folder, [])} | set(servers.LOGIN)
    loop = asyncio.new_event_loop()
    ready = threading.Event()

    def serve():
        mute = loop.run_until_complete(servers.serve(ports, certificate, key))
        ready.set()
        loop.run_forever()
        del mute

    threading.Thread(target=serve, daemon=True).start()
    if not ready.wait(10):
        sys.exit("the far ends did not come up")
    record(folder, sys.argv[2:])
    write(folder)


if __name__ == "__main__":
    main()
