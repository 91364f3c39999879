//! The connection-refused recogniser against what programs print, and against everything else.

mod recorded;

use std::net::IpAddr;
use std::time::{Duration, Instant};

use proptest::prelude::*;
use sunup_evidence::refused::{
    Destination, FalseFriend, Host, Joined, Joiner, LITERALS, Reading, Refused, Strength,
    find_literal, may_matter, read, recognise,
};

const CORPUS: &str = include_str!("../src/refused/corpus.txt");

/// One case of a corpus file: the line it starts at, what is expected, the message.
struct Case<'a> {
    line: usize,
    expected: Vec<&'a str>,
    text: String,
}

fn cases(corpus: &str) -> Vec<Case<'_>> {
    let mut out: Vec<Case<'_>> = Vec::new();
    for (n, line) in corpus.lines().enumerate() {
        if let Some(head) = line.strip_prefix("> ") {
            let expected = head.split_whitespace().collect();
            out.push(Case { line: n + 1, expected, text: String::new() });
        } else if let Some(case) = out.last_mut()
            && !line.starts_with("# ---")
        {
            case.text.push_str(line);
            case.text.push('\n');
        }
    }
    for case in &mut out {
        let end = case.text.trim_end_matches('\n').len();
        case.text.truncate(end);
    }
    out
}

fn shown(destination: &Destination) -> String {
    let host = match &destination.host {
        Host::Ip(IpAddr::V6(ip)) => format!("[{ip}]"),
        Host::Ip(ip) => ip.to_string(),
        Host::Name(name) => name.clone(),
    };
    destination.port.map_or(host.clone(), |port| format!("{host}:{port}"))
}

fn destinations(refused: &Refused) -> Vec<String> {
    let mut all: Vec<String> = refused.destinations.iter().map(shown).collect();
    all.sort();
    all
}

/// What a reading is, in the corpus's words; `-` where the case does not care.
fn judge(case: &Case<'_>, reading: &Reading) -> Result<(), String> {
    let kind = case.expected[0];
    let (got_kind, got_word, refused) = match reading {
        Reading::Refused(r) if r.strength == Strength::Strong => ("strong", r.form.into(), Some(r)),
        Reading::Refused(r) => ("weak", r.form.to_owned(), Some(r)),
        Reading::FalseFriend(friend, r) => ("friend", format!("{friend:?}"), r.as_ref()),
        Reading::Nothing => ("nothing", String::new(), None),
    };
    let word = case.expected.get(1).copied().unwrap_or("-");
    let told = refused.map(destinations).unwrap_or_default();
    let mut wanted: Vec<String> = case.expected.iter().skip(2).map(|s| (*s).to_owned()).collect();
    wanted.sort();
    let any = wanted == ["-"] || kind == "friend" && wanted.is_empty();
    if kind == got_kind && (word == "-" || word == got_word) && (any || wanted == told) {
        return Ok(());
    }
    Err(format!(
        "line {}: wanted {:?}, got {got_kind} {got_word} {told:?}\n    {}",
        case.line,
        case.expected,
        case.text.lines().next().unwrap_or_default()
    ))
}

fn check(corpus: &str) -> Vec<String> {
    cases(corpus).iter().filter_map(|case| judge(case, &read(&case.text)).err()).collect()
}

#[test]
fn the_corpus_is_read_as_written() {
    let wrong = check(CORPUS);
    assert!(wrong.is_empty(), "{} wrong:\n{}", wrong.len(), wrong.join("\n"));
}

#[test]
fn spans_lie_on_telling_words() {
    for case in cases(CORPUS) {
        if let Some(refused) = recognise(&case.text) {
            let words = case.text[refused.span].to_ascii_lowercase();
            let telling = [
                "refus",
                "111",
                "connect",
                "error",
                "avail",
                "link",
                "establish",
                "down",
                "reach",
                "contact",
                "response",
                "transient",
                "pool",
            ];
            assert!(telling.iter().any(|t| words.contains(t)), "line {}: {words}", case.line);
        }
    }
}

#[test]
fn every_line_of_use_passes_the_prefilter() {
    for case in cases(CORPUS) {
        if !matches!(read(&case.text), Reading::Nothing) {
            let lower = case.text.to_ascii_lowercase();
            assert!(LITERALS.iter().any(|l| lower.contains(l)), "line {}", case.line);
            assert!(may_matter(case.text.as_bytes()), "line {}", case.line);
        }
    }
}

/// The same message as loggers wrap it reads the same.
#[test]
fn wrapping_changes_nothing() {
    for case in cases(CORPUS).iter().filter(|c| !c.text.contains('\n')) {
        let Some(plain) = recognise(&case.text) else { continue };
        let quoted = case.text.replace('\\', "\\\\").replace('"', "\\\"");
        let json = format!(r#"{{"level":"error","msg":"{quoted}","pod":"api-6c8d-xk2lp"}}"#);
        let wrapped = [
            format!("2024-01-01T10:41:15.552Z ERROR [main] {}", case.text),
            format!("{} attempt=3 took=12ms", case.text),
            format!("\u{1b}[31m{}\u{1b}[0m", case.text),
            json,
        ];
        for text in wrapped {
            let Some(got) = recognise(&text) else { panic!("line {}: {text}", case.line) };
            assert_eq!(got.strength, plain.strength, "{text}");
            assert_eq!(destinations(&got), destinations(&plain), "{text}");
        }
    }
}

#[test]
fn a_megabyte_of_anything_takes_little_time() {
    for unit in [
        "refused ",
        "connection refused 10.0.0.1:80 ",
        "[",
        "a:1 ",
        "\\",
        "http://@",
        "::",
        "connection refused\n",
        "\u{1b}[",
        "port 1 ",
        "(111) ",
        "Caused by: ",
        "errno=",
        "efu",
    ] {
        let text = format!("{} connection refused errno 111", unit.repeat(1_000_000 / unit.len()));
        let begun = Instant::now();
        let _ = read(&text);
        let _ = Joiner::new().push(1, None, &text);
        // A debug build needs well under a second; quadratic time would need hours.
        assert!(begun.elapsed() < Duration::from_secs(20), "{unit:?}: {:?}", begun.elapsed());
    }
}

#[test]
fn credentials_are_never_kept() {
    for text in [
        "redis://user:s3cr,et@cache:6379: connection refused",
        "amqp://admin:p@ss@rabbit:5672/ Connection refused",
        "cannot dial postgres://app:hunter2@10.0.0.1/db: connection refused",
    ] {
        let told = format!("{:?}", recognise(text).expect("recognised").destinations);
        for secret in ["user", "s3cr", "admin", "p@ss", "ss@", "app", "hunter2"] {
            assert!(!told.contains(secret), "{told}");
        }
        assert!(told.contains("port: Some"), "{told}");
    }
}

/// Feeds lines 10 ms apart; only those with a literal, or all of them.
fn join(lines: &str, all: bool) -> Vec<Joined> {
    let mut joiner = Joiner::new();
    let mut out = Vec::new();
    for (n, line) in lines.lines().enumerate() {
        let n = n as u64;
        if all || may_matter(line.as_bytes()) {
            out.extend(joiner.push(n, Some(n as i64 * 10_000_000), line));
        }
    }
    out.extend(std::iter::from_fn(|| joiner.flush()));
    out
}

/// What is joined, as `tag strength destinations`, the same for both ways of feeding.
fn joined(lines: &str) -> Vec<String> {
    let show = |j: &Joined| {
        let told = destinations(&j.refused).join(" ");
        format!("{} {:?} {told}", j.tag, j.refused.strength).trim_end().to_owned()
    };
    let some: Vec<String> = join(lines, false).iter().map(show).collect();
    let all: Vec<String> = join(lines, true).iter().map(show).collect();
    assert_eq!(some, all, "dropped lines change the outcome");
    some
}

#[test]
fn lines_of_one_error_are_joined() {
    let psycopg = "x\ncould not connect to server: Connection refused\n\
        \tIs the server running on host \"db\" (10.0.0.1) and accepting\n\
        \tTCP/IP connections on port 5432?";
    assert_eq!(joined(psycopg), ["1 Strong 10.0.0.1:5432 db:5432"]);
    let mysql = "Communications link failure\n\nThe last packet sent successfully\n\
        \tat com.mysql.cj.Foo(Foo.java:12)\n\
        Caused by: com.mysql.cj.exceptions.CJCommunicationsException: Communications link failure\n\
        \tat x\nCaused by: java.net.ConnectException: Connection refused\n\tat y";
    assert_eq!(joined(mysql), ["0 Strong"]);
    let lettuce = "io.lettuce.core.RedisConnectionException: Unable to connect to redis:6379\n\
        \tat a.B(C.java:1)\nCaused by: io.netty.channel.AbstractChannel$AnnotatedConnectException: \
        Connection refused: redis/10.0.0.9:6379\nCaused by: java.net.ConnectException: Connection \
        refused";
    assert_eq!(joined(lettuce), ["0 Strong 10.0.0.9:6379 redis:6379"]);
    let dotnet = "Npgsql.NpgsqlException (0x80004005): Failed to connect to 10.0.0.9:5432\n \
        ---> System.Net.Sockets.SocketException (111): Connection refused\n   at Foo";
    assert_eq!(joined(dotnet), ["0 Strong 10.0.0.9:5432"]);
    let node = "Redis failed {\n  errno: -111,\n  code: 'ECONNREFUSED',\n  syscall: 'connect',\n  \
        address: '10.0.0.1',\n  port: 6379\n}";
    assert_eq!(joined(node), ["1 Strong 10.0.0.1:6379"]);
    let header = "Error: connect ECONNREFUSED 10.0.0.1:6379\n    at x\n  errno: -111,\n  \
        code: 'ECONNREFUSED',\n  address: '10.0.0.1',\n  port: 6379\n}";
    assert_eq!(joined(header), ["0 Strong 10.0.0.1:6379"]);
    let aggregate = "AggregateError [ECONNREFUSED]: \n    at x (node:net:1117:18) {\n  \
        code: 'ECONNREFUSED',\n  [errors]: [\n    Error: connect ECONNREFUSED fd00::7:5432\n      \
        errno: -111,\n      code: 'ECONNREFUSED',\n      address: 'fd00::7',\n      port: 5432\n    \
        },\n    Error: connect ECONNREFUSED 10.4.0.7:5432\n        at y";
    assert_eq!(joined(aggregate), ["0 Strong 10.4.0.7:5432 [fd00::7]:5432"]);
    let python = "ConnectionRefusedError: [Errno 111] Connection refused\n\n\
        During handling of the above exception, another exception occurred:\n\n\
        urllib3.exceptions.NewConnectionError: <x>: Failed to establish a new connection: [Errno \
        111] Connection refused\n\
        During handling of the above exception, another exception occurred:\n\
        requests.exceptions.ConnectionError: HTTPConnectionPool(host='api', port=80): Max retries \
        exceeded with url: / (Caused by NewConnectionError('<x>: [Errno 111] Connection refused'))";
    assert_eq!(joined(python), ["0 Strong api:80"]);
    let rust = "Error: transport error\nCaused by:\n    0: error trying to connect: tcp connect \
        error: Connection refused (os error 111)\n    1: Connection refused (os error 111)";
    assert_eq!(joined(rust).len(), 1);
}

#[test]
fn errors_of_their_own_stay_apart() {
    let go = "dial tcp 10.0.0.1:1: connect: connection refused\n".repeat(5);
    assert_eq!(joined(&go).len(), 5);
    let bare = "java.net.ConnectException: Connection refused\n".repeat(4);
    assert_eq!(joined(&bare).len(), 4);
    let two = "Unable to connect to redis:6379\nUnable to connect to rabbit:5672\n\
        Caused by: Connection refused: /10.0.0.2:9999";
    assert_eq!(joined(two), ["0 Weak redis:6379", "1 Weak rabbit:5672", "2 Strong 10.0.0.2:9999"]);
    let given = "Connection refused: /10.0.0.2:80\nCaused by: Connection refused: /10.0.0.3:90";
    assert_eq!(joined(given), ["0 Strong 10.0.0.2:80", "1 Strong 10.0.0.3:90"]);
    let mut joiner = Joiner::new();
    assert_eq!(joiner.push(1, Some(0), "Unable to connect to redis:6379"), None);
    let late = "Caused by: java.net.ConnectException: Connection refused";
    let first = joiner.push(2, Some(5_000_000_000), late).expect("the first is complete");
    assert_eq!((first.tag, first.refused.strength), (1, Strength::Weak));
    assert_eq!(joiner.flush().map(|j| j.tag), Some(2));
    assert_eq!(joiner.flush(), None);
}

#[test]
fn joined_false_friends_are_named() {
    let psycopg = "could not connect to server: Connection refused\n\
        Is the server running on host \"localhost\" (127.0.0.1) and accepting\n\
        TCP/IP connections on port 5432?";
    let all = join(psycopg, false);
    assert_eq!(all.len(), 1);
    assert_eq!(all[0].false_friend, Some(FalseFriend::Loopback));
    assert!(all[0].refused.loopback());
}

/// What is joined, as `strength false-friend`.
fn verdicts(lines: &str) -> Vec<String> {
    let show = |j: &Joined| match j.false_friend {
        Some(friend) => format!("{:?} {friend:?}", j.refused.strength),
        None => format!("{:?}", j.refused.strength),
    };
    let all: Vec<String> = join(lines, true).iter().map(show).collect();
    assert_eq!(all, join(lines, false).iter().map(show).collect::<Vec<_>>());
    all
}

#[test]
fn another_cause_beside_weaker_words_explains_them() {
    let after = "Failed to connect to db.shop.svc:5432\nCaused by: Connection timed out";
    assert_eq!(verdicts(after), ["Weak OtherErrno"]);
    let before = "mq.shop.svc:9092: Connection timed out\n1/1 brokers are down";
    assert_eq!(verdicts(before), ["Weak OtherErrno"]);
    let python = "socket.gaierror: [Errno -2] Name or service not known\n\
        During handling of the above exception, another exception occurred:\n\
        EndpointConnectionError: Could not connect to the endpoint URL: \"http://s3.shop.svc:9000/\"";
    assert_eq!(verdicts(python), ["Weak OtherErrno"]);
    let broker = "Connection Refused: not authorised.\nError: The connection was refused.";
    assert_eq!(verdicts(broker), ["Strong Answered"]);
    // Of another far end, or of a refusal after all.
    let other = "Unable to connect to cache.shop.svc:6379\nmq.shop.svc:5672: Connection timed out";
    assert_eq!(verdicts(other), ["Weak"]);
    let pool = "Connection is not available, request timed out after 2000ms\n\
        Caused by: Communications link failure\n\
        Caused by: java.net.ConnectException: Connection refused";
    assert_eq!(verdicts(pool), ["Strong"]);
    let mut joiner = Joiner::new();
    assert_eq!(joiner.push(1, Some(0), "mq.shop.svc:9092: Connection timed out"), None);
    let late = joiner.push(2, Some(5_000_000_000), "1/1 brokers are down");
    assert_eq!(late.or_else(|| joiner.flush()).map(|j| j.false_friend), Some(None));
}

proptest! {
    #[test]
    fn nothing_makes_it_panic(text in "\\PC{0,200}", n in 0..LITERALS.len(), tail in "\\PC{0,80}") {
        for text in [text.clone(), format!("{text}{}{tail}", LITERALS[n])] {
            let reading = read(&text);
            let mut joiner = Joiner::new();
            let _ = joiner.push(0, None, &text);
            let _ = joiner.push(1, Some(1), &text);
            let _ = joiner.flush();
            if let Reading::Refused(r) = &reading {
                prop_assert!(text.get(r.span.clone()).is_some());
            }
            let lower = text.to_ascii_lowercase();
            let held = LITERALS.iter().any(|l| lower.contains(l));
            prop_assert_eq!(held, may_matter(text.as_bytes()));
            prop_assert!(held || reading == Reading::Nothing);
        }
    }

    #[test]
    fn soup_of_telling_words_is_survived(
        words in prop::collection::vec(prop::sample::select(vec![
            "connection", "refused", "econnrefused", "111", "(", ")", "[", "]", ":", "=", "\"", "'",
            "10.0.0.1", "::1", "[::1]:80", "http://", "@", "port", "errno", " ", "\n", "\\", "\\u001b[",
            "é", "->", "->", "/", "host", "address: '", "Caused by: ", "<unresolved>:", "99999",
        ]), 0..40),
    ) {
        let text = words.concat();
        let _ = read(&text);
        let mut joiner = Joiner::new();
        for (n, line) in text.lines().enumerate() {
            let _ = joiner.push(n as u64, None, line);
        }
    }

    #[test]
    fn any_peer_is_found(a in 1u8..=223, b: u8, c: u8, d: u8, port in 1u16.., at in 0usize..6) {
        prop_assume!(a != 127);
        prop_assume!(![15000, 15020, 15021].contains(&port));
        let ip = format!("{a}.{b}.{c}.{d}");
        let text = match at {
            0 => format!("dial tcp {ip}:{port}: connect: connection refused"),
            1 => format!("connect ECONNREFUSED {ip}:{port}"),
            2 => format!("Connection to {ip}:{port} refused."),
            3 => format!("newlib: errno=111 peer={ip}:{port} local=10.1.1.1:4444"),
            4 => format!(r#"{{"error":"ECONNREFUSED","address":"{ip}","port":{port}}}"#),
            _ => format!("tcp 10.1.1.1:4444->{ip}:{port}: connection refused"),
        };
        let got = recognise(&text);
        prop_assert!(got.is_some(), "{}", text);
        let told = got.map(|r| destinations(&r)).unwrap_or_default();
        prop_assert_eq!(told, vec![format!("{ip}:{port}")]);
    }

    #[test]
    fn literals_are_found_one_by_one(n in 0..LITERALS.len(), head in "[a-z ]{0,40}") {
        let text = format!("{head}|{}", LITERALS[n].to_ascii_uppercase());
        let from = head.len() + 1;
        prop_assert_eq!(find_literal(text.as_bytes(), from), Some(from));
    }
}

/// Lines written after the recogniser was finished.
const HELD_OUT: &str = include_str!("../src/refused/held_out.txt");

#[test]
fn lines_never_met_before_are_read_too() {
    let wrong = check(HELD_OUT);
    assert!(wrong.is_empty(), "{} wrong:\n{}", wrong.len(), wrong.join("\n"));
}
