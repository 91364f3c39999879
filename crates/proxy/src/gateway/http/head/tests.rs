//! Heads as they come, right and wrong, and as they go on.

use super::*;

fn request(text: &str) -> Result<String, u16> {
    assert_eq!(end(text.as_bytes(), 0), Some(text.len()), "{text:?}");
    let request = Request::read(text.as_bytes()).map_err(|wrong| wrong.status)?;
    let mut out = Vec::new();
    request.write(&mut out, "10.0.0.9", "http");
    Ok(String::from_utf8(out).unwrap())
}

const OURS: &str = "x-forwarded-for: 10.0.0.9\r\nx-forwarded-proto: http\r\n\r\n";

#[test]
fn the_end_of_a_head_is_found_however_it_arrives() {
    let text = b"GET / HTTP/1.1\r\nHost: a\r\n\r\nrest";
    let whole = text.len() - 4;
    for cut in 0..whole {
        assert_eq!(end(&text[..cut], 0), None);
        assert_eq!(end(text, cut), Some(whole), "{cut}");
    }
    assert_eq!(end(b"a\n\nb", 0), Some(3));
    assert_eq!(end(b"a\r\n\nb", 0), Some(4));
}

#[test]
fn fields_go_on_as_they_came_but_those_of_one_hop() {
    let said = request(
        "GET /a?b HTTP/1.1\r\nhOsT: A.b:80\r\nX-One:\t two \r\nConnection: close, X-Secret, host\r\n\
         x-secret: 1\r\nKeep-Alive: 5\r\nProxy-Connection: x\r\nTE: gzip, trailers\r\n\
         Upgrade: h2c\r\nX-Forwarded-For: 1.2.3.4\r\nX-Forwarded-Proto: https\r\n\
         Expect: 100-continue\r\nContent-Length: 3\r\nTrailer: t\r\n\r\n",
    );
    assert_eq!(
        said.unwrap(),
        "GET /a?b HTTP/1.1\r\nhOsT: A.b:80\r\nX-One: two\r\nExpect: 100-continue\r\n\
         Content-Length: 3\r\nTrailer: t\r\nconnection: te\r\nte: trailers\r\n\
         x-forwarded-for: 1.2.3.4, 10.0.0.9\r\nx-forwarded-proto: http\r\n\r\n"
    );
}

#[test]
fn a_target_may_be_a_path_a_star_or_a_whole_url() {
    let said = |text: &str| request(text).unwrap();
    assert_eq!(
        said("GET HTTP://x.y:8080/p HTTP/1.1\r\nHost: other\r\n\r\n"),
        format!("GET /p HTTP/1.1\r\nhost: x.y:8080\r\n{OURS}")
    );
    assert_eq!(
        said("OPTIONS * HTTP/1.1\r\nHost: a\r\n\r\n"),
        format!("OPTIONS * HTTP/1.1\r\nHost: a\r\n{OURS}")
    );
    assert_eq!(said("GET / HTTP/1.0\r\n\r\n"), format!("GET / HTTP/1.1\r\nhost: \r\n{OURS}"));
    let read = |text| Request::read(text).unwrap();
    let http10 = read(b"GET / HTTP/1.0\r\n\r\n");
    assert!(!http10.keep_alive && http10.host().is_none());
    assert!(read(b"GET / HTTP/1.0\r\nConnection: Keep-Alive\r\n\r\n").keep_alive);
    assert_eq!(read(b"GET / HTTP/1.1\r\nHost: [::1]:80\r\n\r\n").host(), Some("[::1]"));
    assert_eq!(read(b"GET /a?/b HTTP/1.1\r\nHost: a\r\n\r\n").route_path, "/a");
    assert_eq!(read(b"GET http://a HTTP/1.1\r\nHost: a\r\n\r\n").path, "/");
}

#[test]
fn what_could_be_read_in_two_ways_is_refused() {
    for (wrong, status) in [
        ("GET / HTTP/1.1\r\n\r\n", 400),
        ("GET / HTTP/1.1\r\nHost: a\r\nHost: a\r\n\r\n", 400),
        ("GET / HTTP/1.1\r\nHost: a b\r\n\r\n", 400),
        ("GET / HTTP/1.1\r\nHost: a/b\r\n\r\n", 400),
        ("GET / HTTP/1.1\r\nHost: u@a\r\n\r\n", 400),
        ("GET / HTTP/1.1\r\nHost: a\nX: y\r\n\r\n", 400),
        ("GET / HTTP/1.1\nHost: a\n\n", 400),
        ("GET / HTTP/1.1\r\nHost : a\r\n\r\n", 400),
        ("GET / HTTP/1.1\r\n Host: a\r\n\r\n", 400),
        ("GET / HTTP/1.1\r\nHost: a\r\nX: y\r\n folded\r\n\r\n", 400),
        ("GET  / HTTP/1.1\r\nHost: a\r\n\r\n", 400),
        ("GET / HTTP/1.1 \r\nHost: a\r\n\r\n", 400),
        ("GET /\r\n\r\n", 400),
        ("GET / HTTP/2.0\r\nHost: a\r\n\r\n", 505),
        ("PRI * HTTP/2.0\r\n\r\n", 505),
        ("GET /#f HTTP/1.1\r\nHost: a\r\n\r\n", 400),
        ("GET a HTTP/1.1\r\nHost: a\r\n\r\n", 400),
        ("GET * HTTP/1.1\r\nHost: a\r\n\r\n", 400),
        ("GET ftp://a/ HTTP/1.1\r\nHost: a\r\n\r\n", 400),
        ("GET http://u:p@a/ HTTP/1.1\r\nHost: a\r\n\r\n", 400),
        ("GET http:///x HTTP/1.1\r\nHost: a\r\n\r\n", 400),
        ("CONNECT a:443 HTTP/1.1\r\nHost: a:443\r\n\r\n", 405),
        ("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\nContent-Length: 1\r\n\r\n", 400),
        ("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 1, 1\r\n\r\n", 400),
        ("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: +1\r\n\r\n", 400),
        ("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 0x1\r\n\r\n", 400),
        ("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: \r\n\r\n", 400),
        ("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 99999999999999999999\r\n\r\n", 400),
        (
            "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n",
            400,
        ),
        ("POST / HTTP/1.0\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n", 400),
        ("POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: gzip, chunked\r\n\r\n", 501),
        ("POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked, identity\r\n\r\n", 501),
        ("POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: xchunked\r\n\r\n", 501),
        ("POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: \x0bchunked\r\n\r\n", 400),
        (
            "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\
             Transfer-Encoding: chunked\r\n\r\n",
            501,
        ),
        ("GET / HTTP/1.1\r\nHost: a\r\nX: a\0b\r\n\r\n", 400),
        ("GET / HTTP/1.1\r\nHost: a\r\n: b\r\n\r\n", 400),
        ("GET / HTTP/1.1\r\nHost: a\r\nX Y: b\r\n\r\n", 400),
    ] {
        assert_eq!(request(wrong), Err(status), "{wrong:?}");
    }
    let many = format!("GET / HTTP/1.1\r\nHost: a\r\n{}\r\n", "X: y\r\n".repeat(100));
    assert_eq!(request(&many), Err(431));
    for list in ["Connection", "Upgrade"] {
        let head =
            |n: usize| format!("GET / HTTP/1.1\r\nHost: a\r\n{list}: {}\r\n\r\n", "x,".repeat(n));
        assert_eq!(request(&head(101)), Err(431), "{list}");
        assert!(request(&head(100)).is_ok(), "{list}");
    }
}

fn response(
    text: &str,
    to_head: bool,
    onward: Onward,
) -> Result<(String, Body, bool), &'static str> {
    let response = Response::read(text.as_bytes(), to_head)?;
    let mut out = Vec::new();
    response.write(&mut out, onward);
    Ok((String::from_utf8(out).unwrap(), response.body, response.keep_alive))
}

#[test]
fn a_response_ends_where_the_rfc_says() {
    let keep = Onward { http10: false, keep_alive: true };
    let said = |text: &str| response(text, false, keep).unwrap();
    let (text, body, again) = said("HTTP/1.1 200 \r\nDate: x\r\nKeep-Alive: 5\r\n\r\n");
    assert_eq!(
        (text.as_str(), body, again),
        ("HTTP/1.1 200 \r\nDate: x\r\n\r\n", Body::UntilClose, false)
    );
    assert_eq!(said("HTTP/1.1 204 No\r\nContent-Length: 5\r\n\r\n").1, Body::NONE);
    assert_eq!(said("HTTP/1.1 304 No\r\nContent-Length: 5\r\n\r\n").1, Body::NONE);
    assert_eq!(said("HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n").1, Body::Length(5));
    let to_head = response("HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n", true, keep).unwrap();
    assert_eq!(to_head, ("HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n".into(), Body::NONE, true));
    // The length that chunks overrule goes, and the connection isn't trusted with another request.
    let both = "HTTP/1.1 200 OK\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n";
    let (text, body, again) = said(both);
    assert_eq!(text, "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n");
    assert!(body == Body::chunked() && !again);
    assert!(!said("HTTP/1.0 200 OK\r\nContent-Length: 5\r\n\r\n").2);
    let old = Onward { http10: true, keep_alive: true };
    let to_old = response("HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n", false, old).unwrap().0;
    assert!(to_old.ends_with("connection: keep-alive\r\n\r\n"), "{to_old}");
    for wrong in [
        "HTTP/1.1 99 No\r\n\r\n",
        "HTTP/1.1 abc\r\n\r\n",
        "HTTP/2 200 OK\r\n\r\n",
        "HTTP/1.1 200 OK\r\nContent-Length: 5\r\nContent-Length: 6\r\n\r\n",
        "HTTP/1.1 200 OK\r\nContent-Length: -5\r\n\r\n",
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip\r\n\r\n",
        "HTTP/1.1 200 OK\r\nX: y\r\n folded\r\n\r\n",
    ] {
        assert!(response(wrong, false, keep).is_err(), "{wrong:?}");
    }
}
