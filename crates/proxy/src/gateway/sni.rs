//! The name in a TLS greeting (RFC 8446, 4.1.2; RFC 6066, 3). Nothing is decrypted, and what was
//! read is passed on as it came.

use std::io;

use tokio::io::AsyncReadExt as _;
use tokio::net::TcpStream;

/// The most a greeting may measure, records and all.
const GREETING_MAX: usize = 16 * 1024;

/// Reads a whole ClientHello; its server name, if it has one, and all bytes read so far.
///
/// # Errors
/// It isn't TLS, too long, or the client went away.
pub(super) async fn read(client: &mut TcpStream) -> io::Result<(Option<String>, Vec<u8>)> {
    let mut bytes = Vec::with_capacity(1024);
    loop {
        match parse(&bytes) {
            Parsed::Name(name) => return Ok((name, bytes)),
            Parsed::Wrong => return Err(io::ErrorKind::InvalidData.into()),
            Parsed::More if bytes.len() >= GREETING_MAX => {
                return Err(io::ErrorKind::InvalidData.into());
            }
            Parsed::More => {}
        }
        if client.read_buf(&mut bytes).await? == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
    }
}

#[derive(Debug, PartialEq, Eq)]
pub(super) enum Parsed {
    More,
    Wrong,
    Name(Option<String>),
}

pub(super) fn parse(mut bytes: &[u8]) -> Parsed {
    // The greeting may be spread over several records.
    let mut hello = Vec::new();
    loop {
        if hello.first().is_some_and(|kind| *kind != 1) {
            return Parsed::Wrong;
        }
        if let [_, a, b, c, rest @ ..] = hello.as_slice() {
            let length = usize::from(*a) << 16 | usize::from(*b) << 8 | usize::from(*c);
            if let Some(body) = rest.get(..length) {
                return server_name(body).map_or(Parsed::Wrong, Parsed::Name);
            }
        }
        // What follows a greeting may be of another kind: data that a client sends with it.
        if bytes.first().is_some_and(|kind| *kind != 22) || bytes.get(1).is_some_and(|v| *v != 3) {
            return Parsed::Wrong;
        }
        let [_, _, _, a, b, rest @ ..] = bytes else { return Parsed::More };
        let length = usize::from(u16::from_be_bytes([*a, *b]));
        if length == 0 {
            return Parsed::Wrong;
        }
        let Some(record) = rest.get(..length) else { return Parsed::More };
        hello.extend_from_slice(record);
        bytes = &rest[length..];
    }
}

/// `None`: malformed. `Some(None)`: no name.
fn server_name(body: &[u8]) -> Option<Option<String>> {
    let mut rest = body.get(34..)?; // version and random
    take(&mut rest, 1)?; // session id
    take(&mut rest, 2)?; // cipher suites
    take(&mut rest, 1)?; // compression methods
    if rest.is_empty() {
        return Some(None);
    }
    let mut extensions = take(&mut rest, 2)?;
    while !extensions.is_empty() {
        let kind = u16::from_be_bytes([*extensions.first()?, *extensions.get(1)?]);
        extensions = &extensions[2..];
        let mut data = take(&mut extensions, 2)?;
        if kind == 0 {
            let mut names = take(&mut data, 2)?;
            if names.first() != Some(&0) {
                return None;
            }
            names = &names[1..];
            let name = std::str::from_utf8(take(&mut names, 2)?).ok()?;
            return Some(Some(name.to_owned()));
        }
    }
    Some(None)
}

/// A vector with a length of so many bytes in front.
fn take<'a>(bytes: &mut &'a [u8], width: usize) -> Option<&'a [u8]> {
    let length = bytes.get(..width)?.iter().fold(0, |n, b| n << 8 | usize::from(*b));
    let taken = bytes.get(width..width + length)?;
    *bytes = &bytes[width + length..];
    Some(taken)
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;

    /// A greeting with a name, cut into records of so many bytes.
    pub(crate) fn greeting(name: Option<&str>, record: usize) -> Vec<u8> {
        let sized =
            |bytes: &[u8]| [&u16::try_from(bytes.len()).unwrap().to_be_bytes()[..], bytes].concat();
        let mut extensions = vec![0, 10, 0, 2, 0, 0];
        if let Some(name) = name {
            let list = sized(&[&[0][..], &sized(name.as_bytes())].concat());
            extensions.extend([0, 0]);
            extensions.extend(sized(&list));
        }
        let mut body = vec![3; 34];
        body.extend([0, 0, 2, 0x13, 1, 1, 0]);
        body.extend(sized(&extensions));
        let length = u32::try_from(body.len()).unwrap().to_be_bytes();
        let hello = [&[1, length[1], length[2], length[3]], body.as_slice()].concat();
        hello.chunks(record).flat_map(|part| [&[22, 3, 1][..], &sized(part)].concat()).collect()
    }

    #[test]
    fn names_are_found_whole_cut_and_absent() {
        for record in [1, 7, 1000] {
            let bytes = greeting(Some("shop.example.com"), record);
            for end in 0..bytes.len() {
                assert_eq!(parse(&bytes[..end]), Parsed::More, "{end} of {record}");
            }
            assert_eq!(parse(&bytes), Parsed::Name(Some("shop.example.com".into())));
            assert_eq!(parse(&greeting(None, record)), Parsed::Name(None));
        }
    }

    #[test]
    fn what_comes_with_a_greeting_takes_no_name_back() {
        let name = Parsed::Name(Some("shop.example.com".into()));
        for with in [&[20, 3, 3, 0, 1, 1][..], &[23, 3, 3, 0, 1, 9], &[0], b"GET"] {
            let bytes = [&greeting(Some("shop.example.com"), 1000), with].concat();
            assert_eq!(parse(&bytes), name, "{with:?}");
        }
        assert_eq!(parse(&[22, 3, 1, 0, 1, 1, 23]), Parsed::Wrong);
    }

    #[test]
    fn garbage_is_refused_without_a_panic() {
        assert_eq!(parse(b"GET / HTTP/1.1\r\n"), Parsed::Wrong);
        assert_eq!(parse(&[22, 3, 1, 0, 0]), Parsed::Wrong);
        let good = greeting(Some("a.b"), 1000);
        let mut state = 7u64;
        for _ in 0..20_000 {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
            let mut bad = good.clone();
            let at = usize::try_from(state >> 33).unwrap() % bad.len();
            bad[at] = state.to_le_bytes()[2];
            let _ = parse(&bad);
        }
    }
}
