//! Readers against bytes that nobody meant: no panic, no endless loop, and the same outcome
//! whatever the number of threads.

use std::io::Cursor;
use std::time::{Duration, Instant};

use super::archives::{gzip, tar, zip};
use super::common::{Got, REFUSED, entry, with};
use sunup_intake::{Input, Options};

/// Bounded by time, so that a slow machine runs fewer rounds instead of failing.
const BUDGET: Duration = Duration::from_secs(4);

/// xorshift64*: a seed printed on failure replays the round.
struct Dice(u64);

impl Dice {
    fn next(&mut self) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        self.0.wrapping_mul(0x2545_f491_4f6c_dd1d)
    }

    fn below(&mut self, n: usize) -> usize {
        (self.next() % n.max(1) as u64) as usize
    }
}

fn seeds() -> Vec<Vec<u8>> {
    let at = "2020-03-31T10:41:15.5Z";
    let pod = r#"{"apiVersion":"v1","kind":"Pod","metadata":{"name":"a"},"spec":{"containers":[{"name":"app"}]}}"#;
    let texts = [
        format!("{}\n{}\n", entry(REFUSED, at), entry("up", at)),
        format!("[\n  {},\n  {}\n]\n", entry(REFUSED, at), entry("up", at)),
        format!("{{\"apiVersion\":\"v1\",\"items\":[{pod},\n{pod}],\"kind\":\"List\"}}"),
        "apiVersion: v1\nitems:\n- apiVersion: v1\n  kind: Pod\n  metadata: {name: a}\nkind: List\n---\nkind: &x Pod\napiVersion: v1\nmetadata: *x\n".to_owned(),
        format!("[pod/a/app] {at} {REFUSED}\n{at} stderr P di\n{at} stderr F al\n"),
        format!("E {at} app a-x7k2p {REFUSED} app a-x7k2p I {at} spec.containers{{x}} Created container spec.containers{{x}}"),
        "LAST SEEN   TYPE     REASON    OBJECT      MESSAGE\n2m          Normal   Started   pod/web-0   Started container é\n".to_owned(),
        "Name:         a\nNamespace:    b\nContainers:\n  app:\n    State:  Running\n      Started:  Tue, 31 Mar 2020 10:41:15 +0000\nEvents:\n  Normal  A  3s (x2 over 4s)  kubelet  é\n".to_owned(),
        "NAME    READY   STATUS    RESTARTS      AGE\nweb-0   1/2     Running   6 (12s ago)   8m\n\nNAME             COMPLETIONS   DURATION   AGE\njob.batch/imp   0/1           41m        41m\n".to_owned(),
        "┌─ Pods(shop)[1] ─┐\n│ NAME↑  PF READY  RESTARTS STATUS   CPU AGE │\n│ web-0  ●  1/2           6 Running    1 8m  │\n".to_owned(),
        "| Time | Pod | Message |\n|---|---|---|\n| 2020-11-28 00:27:25.5 | web-0 | dial tcp 10.0.0.1:1: connect: connection refused |\n".to_owned(),
        "app\t{\"running\":{\"startedAt\":\"2024-08-23T15:31:04Z\"}}\nb=map[terminated:map[exitCode:1 reason:Error]]\n".to_owned(),
        "E1130 10:41:58.1    1 x.go:1] \"Probe failed\" probeType=\"Readiness\" pod=\"a/b\" output=\"x\"\nW0322 10:41:58.1    1 x.go:1] Readiness probe for \"a_b(c):d\" failed (failure): e\n".to_owned(),
        "CONTAINER ID   IMAGE   COMMAND   CREATED         STATUS         PORTS   NAMES\n3f2a1b4c5d6e   x       \"/app\"    3 minutes ago   Up 3 minutes           k8s_app_web-0_shop_6dfc_0\n".to_owned(),
        format!("==== START logs for container a of pod b/c ====\n{at} {REFUSED}\n==== END logs for container a of pod b/c ====\n"),
        format!("========= Previous log present\n{at} x\n========= Previous log =========\n{at} {REFUSED}\n"),
        format!("\u{feff}\"TimeGenerated [UTC]\",PodNamespace,PodName,ContainerName,LogMessage\r\n\"3/31/2020, 10:41:15.5 AM\",shop,a-x7k2p,app,\"{REFUSED}\n\"\"x\"\"\"\r\n"),
        format!("sep=;\ntime;line;labels\n1585651275552;{REFUSED};\"{{\"\"pod\"\":\"\"a\"\"}}\"\n"),
        format!("{{\"hits\":{{\"hits\":[{{\"_source\":{{\"@timestamp\":\"{at}\",\"message\":\"{REFUSED}\",\"kubernetes\":{{\"pod_name\":\"a\",\"container_name\":\"app\"}}}}}}]}}}}"),
        format!("{{\"data\":{{\"result\":[{{\"stream\":{{\"pod\":\"a\"}},\"values\":[[\"1585651275552000000\",\"{REFUSED}\"]]}}]}}}}"),
        format!("{{\"tables\":[{{\"columns\":[{{\"name\":\"PodName\"}},{{\"name\":\"LogMessage\"}}],\"rows\":[[\"a\",\"{REFUSED}\"]]}}]}}"),
        format!("shop/web-0[app]: {at} {REFUSED}\nweb-1  | up\n"),
        format!("{at} {{pod=\"a\", container=\"app\"}} {REFUSED}\n1585651275552\t{at}\t{REFUSED}\n"),
        format!("2020-03-31T10:41:15.0000000Z ##[group]Run kubectl logs a\n2020-03-31T10:41:15.0000000Z kubectl logs a\n2020-03-31T10:41:15.0000000Z shell: x\n2020-03-31T10:41:15.0000000Z {REFUSED}\n"),
        "Mar 31 10:41:15 n crio[1]: level=info msg=\"Created container 0a: shop/web-0/app\"\n".to_owned(),
        format!("$ kubectl logs a \\\n  -c app\n\u{1b}[31m{at}\u{1b}[0m {REFUSED}\n[u@h d]$ kubectl get po\nNAME  READY  STATUS\n$\n"),
        format!("# Bug\n\nWe see `kubectl logs a`:\n\n```\n{REFUSED}\n```\n\n~~~json\n{pod}\n~~~\n{{code}}\n{at} x\n{{code}}\n"),
        format!("==> a.b.log <==\n{at} {REFUSED}\n\n=== pod/a container b ===\nx\nDefaulted container \"é\" out of: é\n"),
        format!("Hi, it is refused, and we do not know why.\n\n{at} {REFUSED}\n\nName:  a\nNamespace:  b\n\n名前は何ですか教えてください\n"),
    ];
    let mut seeds: Vec<Vec<u8>> = texts.iter().map(|t| t.clone().into_bytes()).collect();
    seeds.push(tar(&[("a.b.log", texts[4].as_bytes()), ("c.json", texts[2].as_bytes())]));
    seeds.push(zip(&[("a.b.log", texts[4].as_bytes()), ("c.json", texts[2].as_bytes())]));
    seeds.push(gzip(&seeds[texts.len()]));
    seeds.push(gzip(texts[0].as_bytes()));
    seeds.push(texts[0].encode_utf16().flat_map(u16::to_le_bytes).collect());
    seeds
}

fn mutate(seed: &[u8], other: &[u8], dice: &mut Dice) -> Vec<u8> {
    let mut bytes = seed.to_vec();
    for _ in 0..=dice.below(6) {
        let at = dice.below(bytes.len() + 1);
        match dice.below(7) {
            0 => bytes.truncate(at),
            1 if at < bytes.len() => bytes[at] = dice.next() as u8,
            2 if at < bytes.len() => drop(bytes.remove(at)),
            3 => bytes.insert(at, b"{}[]\",:\n\r \t\\\0-'&*|>%#\xff\xc3"[dice.below(23)]),
            4 => {
                let from = dice.below(other.len());
                let to = (from + dice.below(80)).min(other.len());
                bytes.splice(at..at, other[from..to].iter().copied());
            }
            5 if at < bytes.len() => {
                let end = (at + dice.below(60)).min(bytes.len());
                let again = bytes[at..end].to_vec();
                bytes.splice(at..at, again);
            }
            _ => {}
        }
    }
    bytes
}

fn read(bytes: &[u8], threads: usize) -> Got {
    let input = Input::Stdin(Box::new(Cursor::new(bytes.to_vec())));
    with(vec![input], &Options { threads, ..Options::default() })
}

#[test]
fn no_bytes_make_a_reader_panic() {
    let seeds = seeds();
    let began = Instant::now();
    let mut round = 0u64;
    while began.elapsed() < BUDGET || round <= 100 {
        round += 1;
        let mut dice = Dice(round.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1);
        let (a, b) = (dice.below(seeds.len()), dice.below(seeds.len()));
        let bytes = mutate(&seeds[a], &seeds[b], &mut dice);
        let outcome = std::panic::catch_unwind(|| read(&bytes, 1).summary);
        assert!(outcome.is_ok(), "round {round}: {:?}", String::from_utf8_lossy(&bytes));
    }
}

#[test]
fn random_bytes_alone() {
    let began = Instant::now();
    let mut dice = Dice(0x5eed);
    while began.elapsed() < BUDGET / 4 {
        let len = dice.below(3000);
        let bytes: Vec<u8> = (0..len).map(|_| dice.next() as u8).collect();
        let got = read(&bytes, 1);
        assert!(got.summary.objects == 0);
    }
}

#[test]
fn the_outcome_does_not_depend_on_threads() {
    let mut lines = String::new();
    let mut dice = Dice(7);
    while lines.len() < 6 << 20 {
        let text = if dice.below(40) == 0 { REFUSED } else { "all is well and getting better" };
        let second = dice.below(60);
        lines
            .push_str(&entry(text, &format!("2020-03-31T10:{:02}:{second:02}.5Z", dice.below(60))));
        lines.push('\n');
        if dice.below(9000) == 0 {
            lines.push_str("{broken\n");
        }
    }
    let mut table = "time,message,pod,container\n".to_owned();
    while table.len() < 5 << 20 {
        let text = if dice.below(40) == 0 { REFUSED } else { "all \"\"is\"\" well\nand better" };
        let (minute, second) = (dice.below(60), dice.below(60));
        table.push_str(&format!("2020-03-31T10:{minute:02}:{second:02}.5Z,\"{text}\",web-0,app\n"));
        if dice.below(9000) == 0 {
            table.push_str("\"broken,\n");
        }
    }
    let array = format!("[{}]", lines.replace("{broken\n", "").trim_end().replace('\n', ",\n"));
    for text in [lines, array, table] {
        let one = read(text.as_bytes(), 1);
        for threads in [2, 3, 8] {
            let many = read(text.as_bytes(), threads);
            assert_eq!(one.summary, many.summary);
            assert_eq!(format!("{:?}", one.snapshot), format!("{:?}", many.snapshot));
        }
        assert!(one.summary.lines > 100);
    }
}
