//! A runtime's words, whole and in pieces, and what is no runtime's.

use super::*;

/// A sandbox as a runtime writes it, with fields that are nothing to the plugin.
fn written(id: &str, pid: u64) -> Vec<u8> {
    let mut out = Vec::new();
    for (field, text) in [(1, id), (2, "a-0"), (3, "1c8f"), (4, "shop"), (7, "runc")] {
        put_bytes(&mut out, field, text.as_bytes());
    }
    let mut label = Vec::new();
    put_bytes(&mut label, 1, b"app");
    put_bytes(&mut label, 2, b"a");
    put_bytes(&mut out, 5, &label);
    put_number(&mut out, 9, pid);
    for ip in ["10.0.0.7", "fd00::7"] {
        put_bytes(&mut out, 10, ip.as_bytes());
    }
    out
}

fn call(stream: u32, method: &str, payload: &[u8]) -> Vec<u8> {
    request(OF_PLUGIN, stream, (PLUGIN, method), payload)
}

fn event(kind: u64, pod: &[u8]) -> Vec<u8> {
    let mut out = Vec::new();
    put_number(&mut out, 1, kind);
    put_bytes(&mut out, 2, pod);
    out
}

/// An answer without its heads.
fn body(answer: &[u8]) -> (u32, Vec<u8>) {
    let mut bytes = answer[FRAME..].to_vec();
    let message = next(&mut bytes).unwrap().unwrap();
    assert_eq!((message.kind, bytes.len()), (RESPONSE, 0));
    (message.stream, message.body)
}

fn expected(id: &str, pid: u32) -> Sandbox {
    let pod = PodName { namespace: "shop".into(), name: "a-0".into(), uid: "1c8f".into() };
    let addresses = vec!["10.0.0.7".into(), "fd00::7".into()];
    Sandbox { id: id.into(), pod, pid, addresses }
}

#[test]
fn a_runtimes_calls_are_read_in_whatever_pieces_they_come() {
    let (_, hello) = Session::new("sunup", "90");
    let mut hello = hello[FRAME..].to_vec();
    let register = next(&mut hello).unwrap().unwrap();
    assert_eq!(Fields(&register.body).text(1), RUNTIME);
    let named = Fields(Fields(&register.body).bytes(3).unwrap());
    assert_eq!((named.text(1), named.text(2)), ("sunup".to_owned(), "90".to_owned()));
    let mut known = Vec::new();
    put_bytes(&mut known, 1, &written("f00", 41));
    put_bytes(&mut known, 1, &written("f01", 42));
    put_bytes(&mut known, 2, b"a container");
    put_number(&mut known, 3, 1);
    let accepted = framed(OF_RUNTIME, 1, RESPONSE, &[0x12, 0]);
    let all = [
        accepted,
        call(1, "Configure", b""),
        call(3, "Synchronize", &known),
        call(5, "StateChange", &event(RUN, &written("f02", 43))),
        call(7, "StateChange", &event(8, &written("f02", 43))),
        call(9, "StateChange", &event(STOP, &written("f02", 0))),
        call(11, "CreateContainer", b""),
        call(13, "Shutdown", b""),
    ]
    .concat();
    for size in [1, 7, 64, all.len()] {
        let (mut session, _) = Session::new("sunup", "90");
        let calls: Vec<Call> =
            all.chunks(size).flat_map(|part| session.take(part).unwrap()).collect();
        let told: Vec<Option<Told>> = calls.iter().map(|call| call.told.clone()).collect();
        assert_eq!(
            told,
            [
                None,
                None,
                Some(Told::Run(expected("f02", 43))),
                None,
                Some(Told::Gone("f02".into())),
                None,
                None,
            ],
            "{size}"
        );
        let answers: Vec<(u32, Vec<u8>)> = calls.iter().map(|call| body(&call.answer)).collect();
        let streams: Vec<u32> = answers.iter().map(|(stream, _)| *stream).collect();
        assert_eq!(streams, [1, 3, 5, 7, 9, 11, 13]);
        let payload = |at: usize| Fields(&answers[at].1).bytes(2).unwrap_or_default().to_vec();
        assert_eq!(Fields(&payload(0)).number(2), Some(0b111), "run, stop, remove");
        assert_eq!(Fields(&payload(1)).number(2), Some(1), "more may follow");
        let status = Fields(&answers[5].1).bytes(1).unwrap_or_default();
        assert_eq!(Fields(status).number(1), Some(UNIMPLEMENTED));
    }
}

#[test]
fn a_refusal_and_lengths_of_no_message_end_it() {
    let mut status = Vec::new();
    put_number(&mut status, 1, 7);
    put_bytes(&mut status, 2, b"index taken");
    let mut answer = Vec::new();
    put_bytes(&mut answer, 1, &status);
    let (mut session, _) = Session::new("sunup", "90");
    let refused = session.take(&framed(OF_RUNTIME, 1, RESPONSE, &answer)).unwrap_err();
    assert!(refused.to_string().contains("index taken"), "{refused}");
    for bytes in [[0, 0, 0, 1, 0xff, 0, 0, 0].to_vec(), {
        let mut message = framed(OF_PLUGIN, 1, REQUEST, &[]);
        message[8] = 0xff;
        message
    }] {
        let (mut session, _) = Session::new("sunup", "90");
        assert!(matches!(session.take(&bytes), Err(NriError::TooLong(_))), "{bytes:?}");
    }
}

#[test]
fn broken_messages_tell_what_stands_before_the_break() {
    let whole = event(RUN, &written("f02", 43));
    for end in 0..whole.len() {
        let (mut session, _) = Session::new("sunup", "90");
        let calls = session.take(&call(1, "StateChange", &whole[..end])).unwrap();
        assert_eq!(calls.len(), 1, "{end}");
        assert_eq!(calls[0].told, None, "{end}");
    }
    for garbage in [&[0xff; 40][..], &[0x0b; 9], &[0x12, 0xff, 0xff, 0xff, 0xff, 0x0f]] {
        assert_eq!(Fields(garbage).iter().count(), 0, "{garbage:?}");
    }
}
