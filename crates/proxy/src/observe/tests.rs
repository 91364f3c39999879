//! Counting, however the bytes are cut, and silence about what isn't HTTP.

use super::*;

struct Seen {
    protocol: Protocol,
    requests: [u64; 2],
    responses: [Vec<u64>; 2],
}

/// Feeds pieces in turn, the client's as `true`.
fn watch(pieces: &[(bool, &[u8])], cut: usize) -> Seen {
    let metrics = Metrics::default();
    let to: SocketAddr = "10.0.0.1:80".parse().unwrap();
    let mut observer = Observer::new(&metrics, Direction::Outbound, to);
    for (client, bytes) in pieces {
        for piece in bytes.chunks(cut) {
            if *client { observer.request(piece) } else { observer.response(piece) }
        }
    }
    let protocol = observer.protocol;
    let http = metrics.http(Direction::Outbound, to);
    let load = |n: &std::sync::atomic::AtomicU64| n.load(Ordering::Relaxed);
    Seen {
        protocol,
        requests: [load(&http.requests[0]), load(&http.requests[1])],
        responses: [0, 1].map(|v| http.responses[v].iter().map(load).collect()),
    }
}

#[test]
fn http1_is_counted_however_it_is_cut() {
    let requests = b"GET / HTTP/1.1\r\nhost: a\r\n\r\nHEAD /x HTTP/1.1\r\n\r\n\
        POST /y HTTP/1.1\r\nContent-Length: 5\r\n\r\nGET /\
        PUT /z HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\nt: 1\r\n\r\n\
        DELETE /w HTTP/1.1\r\n\r\n";
    let responses = b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\ncontent-length: 10\r\n\r\n\
        HTTP/1.1 5HTTP/1.1 404 No\r\ncontent-length: 9999\r\n\r\n\
        HTTP/1.1 503 No\r\nTransfer-Encoding: gzip, chunked\r\n\r\na;x=y\r\n0123456789\r\n0\r\n\r\n\
        HTTP/1.1 304 Not\r\ncontent-length: 5\r\n\r\nHTTP/1.0 200 OK\r\n\r\nuntil the end HTTP/1.1 200";
    for cut in [1, 2, 3, 7, 64, 5000] {
        let seen = watch(&[(true, requests), (false, responses)], cut);
        assert_eq!(seen.protocol, Protocol::Http1);
        assert_eq!(seen.requests, [5, 0], "cut at {cut}");
        assert_eq!(seen.responses[0], [0, 0, 2, 1, 1, 1], "cut at {cut}");
    }
}

fn frame(kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
    let mut out = u32::try_from(payload.len()).unwrap().to_be_bytes()[1..].to_vec();
    out.extend([kind, flags]);
    out.extend(stream.to_be_bytes());
    out.extend(payload);
    out
}

#[test]
fn http2_streams_are_counted_however_they_are_cut() {
    let mut up = PREFACE.to_vec();
    up.extend(frame(4, 0, 0, &[0; 6]));
    for stream in [1, 3, 5, 7, 9] {
        up.extend(frame(1, 4, stream, b"\x82\x84\x86"));
    }
    up.extend(frame(0, 0, 1, &[7; 3000]));
    up.extend(frame(1, 5, 1, b"\x40\x01a\x01b"));
    let mut down = frame(4, 0, 0, &[]);
    down.extend(frame(1, 4, 1, b"\x08\x03103"));
    down.extend(frame(1, 4, 1, b"\x88"));
    down.extend(frame(1, 5, 1, b"\x8e"));
    down.extend(frame(1, 0x2c, 3, b"\x02\0\0\0\0\x10\x48\x03503\0\0"));
    down.extend(frame(1, 4, 5, b"\x48\x82\x68\x01"));
    down.extend(frame(3, 0, 7, &[0; 4]));
    down.extend(frame(1, 4, 9, b"\xbe"));
    for cut in [1, 4, 9, 10, 33, 5000] {
        let seen = watch(&[(true, &up), (false, &down)], cut);
        assert_eq!(seen.protocol, Protocol::Http2);
        assert_eq!(seen.requests, [0, 5], "cut at {cut}");
        assert_eq!(seen.responses[1], [1, 0, 1, 0, 1, 1], "cut at {cut}");
    }
}

#[test]
fn other_protocols_are_told_apart() {
    let protocol = |pieces: &[(bool, &[u8])]| watch(pieces, 1).protocol;
    assert_eq!(
        protocol(&[(false, b"220 mail ready\r\n"), (true, b"GET / ")]),
        Protocol::ServerFirst
    );
    assert_eq!(protocol(&[(true, b"\x16\x03\x01")]), Protocol::Tls);
    assert_eq!(protocol(&[(true, b"*1\r\n$4\r\nPING\r\n"), (false, b"+PONG\r\n")]), Protocol::Tcp);
    assert_eq!(protocol(&[(true, b"PRINT")]), Protocol::Tcp);
    assert_eq!(protocol(&[(true, b"PO"), (false, b"x")]), Protocol::Tcp);
    assert_eq!(protocol(&[]), Protocol::Silent);
}

#[test]
fn garbage_after_a_good_beginning_ends_the_looking() {
    let mut state = 1u64;
    for round in 0..2000u64 {
        let mut bytes =
            if round % 2 == 0 { PREFACE.to_vec() } else { b"GET / HTTP/1.1\r\n".to_vec() };
        for _ in 0..200 {
            state = state
                .wrapping_mul(6_364_136_223_846_793_005)
                .wrapping_add(1_442_695_040_888_963_407);
            bytes.push(state.to_le_bytes()[7]);
        }
        let cut = 1 + usize::try_from(round % 50).unwrap();
        watch(&[(true, &bytes), (false, &bytes[10..]), (true, &bytes)], cut);
    }
    let long = vec![b'a'; 1 << 20];
    let mut head = b"GET /".to_vec();
    head.extend(&long);
    let seen = watch(&[(true, &head), (true, b" HTTP/1.1\r\nx: "), (true, &long)], 4096);
    assert_eq!(seen.requests, [1, 0]);
}
