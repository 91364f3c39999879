//! What holds of heads and bodies of HTTP/1.1, whatever the bytes are: what goes on is read as what
//! came, by a reader as strict as ours.

use super::body::{Body, Broken};
use super::head::{Onward, Request, Response, end, may_begin};

/// Where a head ends, however it arrived.
fn head(bytes: &[u8]) -> Option<&[u8]> {
    let whole = end(bytes, 0);
    for cut in (0..bytes.len()).take(32) {
        let found = end(&bytes[..cut], 0);
        assert!(found.is_none() || found == whole, "an end at {found:?}, then at {whole:?}");
        if found.is_none() {
            assert_eq!(end(bytes, cut), whole, "looked for from {cut}");
        }
    }
    whole.map(|end| &bytes[..end])
}

/// A request goes on as the one that came: nothing hides in it, nothing of one hop is left.
pub fn request(bytes: &[u8]) {
    let Some(head) = head(bytes) else { return };
    let Ok(came) = Request::read(head) else { return };
    assert!(may_begin(head), "it was read, and can't begin so");
    let mut out = Vec::new();
    came.write(&mut out, "10.0.0.9", "http");
    assert_eq!(end(&out, 0), Some(out.len()), "a head that ends early: {}", text(&out));
    let went = match Request::read(&out) {
        Ok(went) => went,
        // Ours came to those that were as many as there may be.
        Err(wrong) if wrong.status == 431 => return,
        Err(wrong) => panic!("{wrong:?} of what went on: {}", text(&out)),
    };
    assert_eq!((went.method, went.path), (came.method, came.path));
    assert_eq!(went.authority, came.authority);
    assert_eq!(went.body, came.body, "{}", text(&out));
    assert_eq!(went.upgrade, came.upgrade, "{}", text(&out));
    let said = String::from_utf8_lossy(&out).to_ascii_lowercase();
    let count = |name: &str| said.matches(&format!("\r\n{name}:")).count();
    for once in ["host", "x-forwarded-for", "x-forwarded-proto"] {
        assert_eq!(count(once), 1, "{once} in {said}");
    }
    for never in ["x-forwarded-client-cert", "keep-alive", "proxy-connection", "http2-settings"] {
        assert_eq!(count(never), 0, "{never} in {said}");
    }
    assert_eq!(went.route_path, came.route_path);
    let dots = |part: &str| part == "." || part == "..";
    assert!(!came.route_path.split('/').any(dots), "{}", came.route_path);
    assert_eq!(went.host(), came.host());
}

/// An answer goes on as the one that came.
pub fn response(bytes: &[u8]) {
    let Some((first, bytes)) = bytes.split_first() else { return };
    let to_head = first & 1 != 0;
    let onward = Onward { http10: first & 2 != 0, keep_alive: first & 4 != 0 };
    let Some(head) = head(bytes) else { return };
    let Ok(came) = Response::read(head, to_head) else { return };
    let mut out = Vec::new();
    came.write(&mut out, onward);
    assert_eq!(end(&out, 0), Some(out.len()), "a head that ends early: {}", text(&out));
    let went = match Response::read(&out, to_head) {
        Ok(went) => went,
        Err(why) if why.contains("many") => return,
        Err(why) => panic!("{why} of what went on: {}", text(&out)),
    };
    assert_eq!(went.status, came.status);
    let chunks_for_old = onward.http10 && matches!(came.body, Body::Chunked(_));
    if !chunks_for_old {
        assert_eq!(went.body, came.body, "{}", text(&out));
    }
    assert!(onward.keep_alive || came.status < 200 || !went.keep_alive, "{}", text(&out));
}

/// A body in chunks ends at the same byte and carries the same, however it is cut; and what goes on
/// of it is a body that carries the same.
pub fn chunks(bytes: &[u8]) {
    let whole = taken(bytes, bytes.len().max(1));
    for size in [1, 2, 3, 7] {
        assert_eq!(taken(bytes, size), whole, "by {size}");
    }
    let Ok(whole) = whole else { return };
    if whole.done {
        let again = taken(&whole.on, whole.on.len().max(1)).expect("what went on is whole");
        assert!(again.done && again.bytes == whole.on.len(), "{}", text(&whole.on));
        assert_eq!(again.data, whole.data);
        assert_eq!(text(&again.on), text(&whole.on), "what went on goes on as it is");
    }
}

#[derive(Debug, PartialEq, Eq)]
struct Took {
    bytes: usize,
    data: Vec<u8>,
    on: Vec<u8>,
    done: bool,
}

fn taken(bytes: &[u8], size: usize) -> Result<Took, Broken> {
    let mut body = Body::chunked();
    let mut took = Took { bytes: 0, data: Vec::new(), on: Vec::new(), done: false };
    for part in bytes.chunks(size) {
        let taken = body.take(part, |data| took.data.extend_from_slice(data))?;
        assert!(taken.on <= taken.all && taken.all <= part.len());
        took.bytes += taken.all;
        took.on.extend_from_slice(&part[..taken.on]);
        took.on.extend(body.trailers());
        took.done = body.is_done();
        if took.done {
            break;
        }
        assert_eq!(taken.all, part.len(), "it goes on, and left bytes behind");
    }
    Ok(took)
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

#[cfg(test)]
mod tests {
    use sunup_testkit::growth;

    use super::*;

    /// A head with so many fields, and of one of them so many elements.
    fn fields(size: usize, elements: usize) -> String {
        let hops: String = (0..elements).map(|i| format!("{i}, ")).collect();
        let fields: String = (0..size).map(|i| format!("X-{i}: y\r\n")).collect();
        format!("GET / HTTP/1.1\r\nHost: a\r\nConnection: {hops}\r\n{fields}\r\n")
    }

    #[test]
    fn work_grows_with_the_fields() {
        growth::inside("gateway::http::fuzz::tests::work_grows_with_the_fields", 40, |size| {
            // Names in `Connection` are held against fields, each a hundred at most.
            let head = fields(size, 4);
            for _ in 0..60 {
                let request = Request::read(head.as_bytes()).expect("a request");
                request.write(&mut Vec::new(), "10.0.0.9", "http");
            }
        });
    }

    #[test]
    fn work_grows_with_the_chunks_and_the_trailers() {
        let test = "gateway::http::fuzz::tests::work_grows_with_the_chunks_and_the_trailers";
        growth::inside(test, 700, |size| {
            let trailers: String = (0..size).map(|i| format!("x-{i}: y\r\n")).collect();
            let body = format!("{}0\r\n{trailers}\r\n", "1\r\na\r\n".repeat(size * 10));
            let took = taken(body.as_bytes(), 7).expect("a body");
            assert!(took.done);
        });
    }

    #[test]
    fn what_goes_on_is_what_came() {
        for sample in [
            "GET /a?b HTTP/1.1\r\nHost: a\r\nConnection: x, te\r\nX: 1\r\nTE: trailers\r\n\r\n",
            "POST HTTP://x.y:8080/p HTTP/1.1\r\nHost: other\r\nTransfer-Encoding: chunked\r\n\r\n",
            "GET / HTTP/1.1\r\nHost: a\r\nConnection: upgrade\r\nUpgrade: websocket\r\n\r\n",
            "GET / HTTP/1.0\r\n\r\n",
        ] {
            request(sample.as_bytes());
        }
        for sample in [
            "HTTP/1.1 200 OK\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n",
            "HTTP/1.1 101 x\r\nConnection: upgrade\r\nUpgrade: websocket\r\n\r\n",
            "HTTP/1.0 204 No\r\nContent-Length: 5\r\n\r\n",
        ] {
            for first in 0..8 {
                response(&[&[first], sample.as_bytes()].concat());
            }
        }
        for sample in
            ["5;x\r\nhello\r\n0\r\nX-A: b\r\nHost: c\r\n\r\nGET", "0\r\n\r\n", "5 \r\n", "a\r\n"]
        {
            chunks(sample.as_bytes());
        }
    }
}
