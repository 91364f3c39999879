//! Small inputs that would take a machine's memory or an hour: a limit is reached, told by name, and
//! what else there is is read.

use super::archives::{gzip, tar, zip};
use super::common::{Got, REFUSED, with};
use sunup_intake::{Input, Limits, Options};

/// Reads it beside a log that says something.
fn beside(bytes: Vec<u8>, limits: Limits) -> Got {
    let line = format!("2020-03-31T10:41:15Z {REFUSED}\n");
    let pieces = [("bomb".to_owned(), bytes), ("web-0.log".to_owned(), line.into_bytes())];
    with(
        vec![Input::Pieces(Box::new(pieces.into_iter()))],
        &Options { limits, threads: 2, ..Options::default() },
    )
}

/// The only thing that was told; the log beside it was read.
#[track_caller]
fn told(bytes: Vec<u8>, limits: Limits) -> String {
    let got = beside(bytes, limits);
    assert_eq!(got.refusals().iter().filter(|r| r.contains("web-0.log")).count(), 1);
    let unreadable = got.unreadable();
    assert_eq!(unreadable.len(), 1, "{unreadable:?}");
    unreadable[0].clone()
}

#[test]
fn archives_that_fan_out_end_at_a_number_of_members() {
    let mut bytes = b"2020-03-31T10:41:14Z up\n".to_vec();
    for _ in 0..4 {
        let members: Vec<(String, &[u8])> =
            (0..6).map(|i| (format!("m{i}"), bytes.as_slice())).collect();
        let members: Vec<(&str, &[u8])> = members.iter().map(|(n, b)| (n.as_str(), *b)).collect();
        bytes = gzip(&tar(&members));
    }
    let limits = Limits { members: 300, ..Limits::default() };
    let why = told(bytes.clone(), limits);
    assert!(why.contains("more than 300 members") && why.contains("--max-members"), "{why}");
    let raised = beside(bytes, Limits { members: 30_000, ..limits });
    assert_eq!(raised.unreadable(), Vec::<String>::new());
    assert_eq!(raised.summary.files, 6 * 6 * 6 * 6 + 1);
}

#[test]
fn what_is_packed_again_and_again_ends_at_a_multiple_of_its_size() {
    let log = "2020-03-31T10:41:14Z all is well, and has been so for quite some time\n";
    let packed = gzip(&gzip(log.repeat(60_000).as_bytes()));
    let limits = Limits { unpacked: 1 << 20, expansion: 100, ..Limits::default() };
    for bomb in [packed.clone(), tar(&[("a", &packed)]), zip(&[("a", &packed)])] {
        let why = told(bomb, limits);
        assert!(why.contains("more than 100 times its size (--max-expansion)"), "{why}");
    }
    let raised = beside(packed, Limits::default());
    assert_eq!(raised.unreadable(), Vec::<String>::new());
}

#[test]
fn a_log_that_is_as_long_as_it_looks_has_no_limit() {
    let limits =
        Limits { members: 1, expansion: 1, unpacked: 0, text: 1, object: 1, ..Limits::default() };
    let log = "2020-03-31T10:41:14Z all is well, and has been so for quite some time\n";
    let log = log.repeat(60_000).into_bytes();
    for bytes in [log.clone(), tar(&[("a.log", &log)])] {
        assert_eq!(beside(bytes, limits).unreadable(), Vec::<String>::new());
    }
}

#[test]
fn a_name_or_a_header_without_end_costs_its_member() {
    let line = format!("2020-03-31T10:41:15Z {REFUSED}\n");
    let long = "n".repeat(5000);
    let limits = Limits::default();
    let with_name = tar(&[(&long, b"x\n"), ("web-1.log", line.as_bytes())]);
    let header = |kind: tar::EntryType, len: u64| {
        let mut header = tar::Header::new_ustar();
        header.set_entry_type(kind);
        header.set_size(len);
        header.set_path("h").unwrap();
        header.set_cksum();
        header.as_bytes().to_vec()
    };
    let long_header = |kind| {
        let filler = vec![b'n'; 1 << 20];
        [header(kind, 1 << 20), filler, with_name.clone()].concat()
    };
    for (bomb, why) in [
        (with_name.clone(), "a name of more than 4096 bytes"),
        (zip(&[(&long, b"x\n"), ("web-1.log", line.as_bytes())]), "a name of more than 4096"),
        (long_header(tar::EntryType::XHeader), "more than 64 KiB"),
        (long_header(tar::EntryType::GNULongName), "more than 64 KiB"),
    ] {
        let got = beside(bomb, limits);
        assert_eq!(got.refusals().len(), 2, "{:?}", got.unreadable());
        let unreadable = got.unreadable();
        assert!(unreadable.iter().any(|told| told.contains(why)), "{unreadable:?}");
    }
    // One that claims more than there is.
    let why = told(header(tar::EntryType::XHeader, 1 << 40), limits);
    assert!(why.contains("cut off"), "{why}");
}

#[test]
fn names_from_headers_are_the_members() {
    let line = format!("2020-03-31T10:41:15Z {REFUSED}\n");
    let long = format!("{}/web-1.log", "deep/".repeat(40));
    let mut builder = tar::Builder::new(Vec::new());
    let pax = [("path", long.as_bytes()), ("comment", b"9 size=0\n")];
    builder.append_pax_extensions(pax).unwrap();
    let mut header = tar::Header::new_ustar();
    header.set_size(line.len() as u64);
    header.set_path("short").unwrap();
    header.set_cksum();
    builder.append(&header, line.as_bytes()).unwrap();
    let by_pax = builder.into_inner().unwrap();
    let by_gnu = tar(&[(&long, line.as_bytes())]);
    for bytes in [by_pax, by_gnu] {
        let got = beside(bytes, Limits::default());
        assert!(got.refusals().iter().any(|r| r.contains(&long)), "{:?}", got.refusals());
    }
}

#[test]
fn a_window_within_something_packed_is_small() {
    let far = |log: u32| {
        let mut encoder = zstd::stream::Encoder::new(Vec::new(), 1).unwrap();
        encoder.window_log(log).unwrap();
        std::io::Write::write_all(&mut encoder, b"2020-03-31T10:41:14Z up\n").unwrap();
        encoder.finish().unwrap()
    };
    let limits = Limits::default();
    assert_eq!(beside(far(27), limits).unreadable(), Vec::<String>::new());
    assert_eq!(beside(gzip(&far(23)), limits).unreadable(), Vec::<String>::new());
    for bomb in [far(28), gzip(&far(27)), tar(&[("a", &far(27))]), zip(&[("a", &far(27))])] {
        let why = told(bomb, limits);
        assert!(why.contains("zstd with a window of more than"), "{why}");
    }
}

#[test]
fn one_value_of_millions_is_told_and_the_others_are_read() {
    let limits = Limits { object: 1 << 20, ..Limits::default() };
    let deployment = "{\"apiVersion\":\"apps/v1\",\"kind\":\"Deployment\",\"metadata\":{\"name\":\"web\"},\
         \"spec\":{\"template\":{\"spec\":{\"containers\":[{\"name\":\"app\"}]}}}}";
    let value = |piece: &str| {
        let many = vec![piece; 700_000].join(",");
        format!("{{\"apiVersion\":\"v1\",\"kind\":\"Secret\",\"x\":[{many}]}}")
    };
    for piece in ["1", "[1]", "{\"a\":1}", "{}"] {
        let value = value(piece);
        let documents = format!("{value}\n{deployment}\n");
        let list =
            format!("{{\"apiVersion\":\"v1\",\"kind\":\"List\",\"items\":[{value},{deployment}]}}");
        for text in [documents, list] {
            let got = beside(gzip(text.as_bytes()), limits);
            assert_eq!(got.snapshot.workloads.len(), 1, "{:?}", got.unreadable());
            let unreadable = got.unreadable();
            assert!(unreadable[0].contains("--max-object"), "{unreadable:?}");
        }
    }
    let yaml = format!("kind: Secret\napiVersion: v1\nx:\n{}", "- a: 1\n".repeat(200_000));
    let why = told(gzip(yaml.as_bytes()), limits);
    assert!(why.contains("--max-object"), "{why}");
    let text = format!("{{\"kind\":\"List\",\"items\":[{deployment},{deployment}]}}");
    let why = told(text.into_bytes(), Limits { text: 64, ..Limits::default() });
    assert!(why.contains("--max-text"), "{why}");
}

#[test]
fn evidence_beyond_the_room_there_is_is_counted_and_named() {
    let limits = Limits { kept: 1 << 20, ..Limits::default() };
    let entry = |i: usize| {
        format!(
            "{{\"textPayload\":\"{REFUSED}\",\"timestamp\":\"2026-10-02T07:14:05Z\",\"resource\":{{\"type\":\
             \"k8s_container\",\"labels\":{{\"namespace_name\":\"shop\",\"pod_name\":\"web-{i}\",\
             \"container_name\":\"app\"}}}}}}\n"
        )
    };
    let logs: String = (0..5_000).map(entry).collect();
    let pod = |i: usize| {
        format!(
            "{{\"apiVersion\":\"v1\",\"kind\":\"Pod\",\"metadata\":{{\"name\":\"web-{i}\",\"uid\":\"u\"}},\
             \"spec\":{{\"containers\":[{{\"name\":\"app\"}},{{\"name\":\"b\"}}]}},\"status\":{{}}}}"
        )
    };
    let pods: Vec<String> = (0..5_000).map(pod).collect();
    let list =
        format!("{{\"apiVersion\":\"v1\",\"kind\":\"List\",\"items\":[{}]}}", pods.join(","));
    for (text, kind) in [(logs, "lines"), (list, "objects")] {
        let read = |limits| {
            let pieces = [("cluster.json".to_owned(), text.clone().into_bytes())];
            let options = Options { limits, threads: 2, ..Options::default() };
            with(vec![Input::Pieces(Box::new(pieces.into_iter()))], &options)
        };
        let got = read(limits);
        let kept = got.snapshot.pods.len();
        assert!((100..4_000).contains(&kept), "{kept} pods are kept of {kind}");
        let [told] = got.unreadable().try_into().expect("one thing is told");
        let told: String = told;
        assert!(told.contains("--max-kept"), "{told}");
        let (before, _) = told.split_once(&format!(" {kind}")).unwrap();
        let left: usize = before.rsplit(' ').next().unwrap().parse().unwrap();
        // Of the last one the pod may have had room, and its line not.
        assert!((5_000..=5_001).contains(&(kept + left)), "{kept} {told}");
        let all = read(Limits::default());
        assert_eq!((all.snapshot.pods.len(), all.unreadable().len()), (5_000, 0));
    }
    // The same pod over and over is kept once, and a container's lines are thinned out.
    let again: String = (0..20_000).map(|i| entry(i % 3)).collect();
    let pieces = [("cluster.json".to_owned(), again.into_bytes())];
    let options = Options { limits, threads: 2, ..Options::default() };
    let got = with(vec![Input::Pieces(Box::new(pieces.into_iter()))], &options);
    assert_eq!(got.unreadable(), Vec::<String>::new());
}
