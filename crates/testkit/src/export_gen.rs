//! Large Cloud Logging exports for benches: realistic in shape and mix, the same on every run.
//! Must not know who reads them.

use std::io::{self, Write};

/// How the entries are written down.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ExportLayout {
    /// One entry on each line, as log sinks write them.
    Lines,
    /// A pretty-printed array, as `gcloud logging read --format=json` writes it.
    Array,
}

/// What to write.
#[derive(Debug, Clone, Copy)]
pub struct ExportSpec {
    /// About how many bytes.
    pub bytes: u64,
    /// How they are laid out.
    pub layout: ExportLayout,
    /// Every so many entries one carries a refused connection in its `textPayload`.
    pub refused_one_in: u64,
}

/// What was written.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Exported {
    /// All entries.
    pub entries: u64,
    /// Entries whose `textPayload` has "connection refused".
    pub refused: u64,
    /// Those of them in which a JSON escape hides it from a text search.
    pub hidden: u64,
    /// Entries that say it elsewhere, where it does not count.
    pub decoys: u64,
    /// Bytes.
    pub bytes: u64,
}

/// The pod that a few of the refusals come from.
pub const WANTED_POD: &str = "post-feature-service-v1-67d56cdd-g7fvb";

const APPS: [&str; 6] =
    ["checkout", "cart", "frontend", "post-feature-service", "recommendation", "payments"];
const TEXTS: [&str; 8] = [
    "GET /healthz/ready 200 1ms",
    "handled request path=/api/v1/items status=200 duration=12ms bytes=5120",
    "2020-03-31 10:41:15.552 INFO 1 --- [main] o.s.b.w.embedded.tomcat : Tomcat started on port(s): 8080 (http)",
    "connection accepted from 10.8.3.17:51344, connection count now 17",
    "\\u003curlopen error timed out\\u003e while fetching https://metadata/computeMetadata/v1/",
    "WARN retrying in 250 ms: upstream connect error or disconnect/reset before headers",
    "{\\\"level\\\":\\\"info\\\",\\\"msg\\\":\\\"cache refreshed\\\",\\\"keys\\\":8812}",
    "Café menu updated: 12 items, élapsed 3 ms",
];
const REFUSED: &str = "failed to create connection to feature-store redis, err=dial tcp 192.168.9.16:19209: connect: connection refused";
const HIDDEN: &str = "failed to create connection to feature-store redis, err=dial tcp 192.168.9.16:19209: connect: \\u0063onnection refused";

/// Writes an export.
///
/// # Errors
/// What the writer reports.
pub fn write_export(out: &mut impl Write, spec: &ExportSpec) -> io::Result<Exported> {
    let mut written = Exported::default();
    let mut random = 0x2545_f491_4f6c_dd1d_u64;
    let mut entry = String::new();
    let array = spec.layout == ExportLayout::Array;
    if array {
        out.write_all(b"[\n")?;
    }
    while written.bytes < spec.bytes {
        random ^= random << 13;
        random ^= random >> 7;
        random ^= random << 17;
        let n = written.entries;
        let refused = n % spec.refused_one_in == spec.refused_one_in / 2;
        let mut text = TEXTS[(random % 8) as usize];
        if refused {
            // Every fiftieth hides its text, the third among them, so that small exports have one.
            let hidden = written.refused % 50 == 2;
            text = if hidden { HIDDEN } else { REFUSED };
            written.refused += 1;
            written.hidden += u64::from(hidden);
        }
        let decoy = !refused && random.is_multiple_of(977);
        written.decoys += u64::from(decoy);
        entry.clear();
        compose(&mut entry, n, random, text, decoy, refused && written.refused % 150 == 1);
        let lead = if array && n > 0 { ",\n" } else { "" };
        let text = if array { pretty(&entry) } else { entry.clone() + "\n" };
        out.write_all(lead.as_bytes())?;
        out.write_all(text.as_bytes())?;
        written.entries += 1;
        written.bytes += (lead.len() + text.len()) as u64;
    }
    if array {
        // With the bracket at the beginning.
        out.write_all(b"\n]\n")?;
        written.bytes += 5;
    }
    out.flush()?;
    Ok(written)
}

fn compose(entry: &mut String, n: u64, random: u64, text: &str, decoy: bool, wanted: bool) {
    let app = APPS[(random >> 8) as usize % APPS.len()];
    let (second, nanos) = (n / 400, (n % 400) * 2_500_000 + random % 1_000_000);
    let time = format!(
        "2020-03-31T{:02}:{:02}:{:02}.{nanos:09}Z",
        10 + second / 3600 % 14,
        second / 60 % 60,
        second % 60
    );
    let pod = match wanted {
        true => WANTED_POD.to_owned(),
        false => {
            format!("{app}-{:08x}-{:05x}", (random >> 16) as u32 % 40, (random >> 24) as u32 % 200)
        }
    };
    let severity =
        ["INFO", "INFO", "INFO", "DEBUG", "WARNING", "ERROR"][(random >> 40) as usize % 6];
    let note = if decoy { "connection refused" } else { "none" };
    let payload = match random >> 50 & 7 {
        // Structured entries say nothing in `textPayload`; refusals are all plain text.
        0 if text != REFUSED && text != HIDDEN => format!(
            "\"jsonPayload\":{{\"message\":\"{text}\",\"latency\":{},\"ok\":true}}",
            random % 1000
        ),
        _ => format!("\"textPayload\":\"{text}\""),
    };
    *entry = format!(
        "{{\"insertId\":\"{random:016x}\",\"labels\":{{\"compute.googleapis.com/resource_name\":\
         \"gke-prod-pool-1-{:04x}\",\"k8s-pod/app\":\"{app}\",\"k8s-pod/note\":\"{note}\",\
         \"k8s-pod/security_istio_io/tlsMode\":\"istio\"}},\"logName\":\
         \"projects/shop-prod/logs/stderr\",\"receiveTimestamp\":\"{time}\",{payload},\
         \"resource\":{{\"labels\":{{\"cluster_name\":\"prod-eu\",\"container_name\":\"{app}\",\
         \"location\":\"europe-west1\",\"namespace_name\":\"shop\",\"pod_name\":\"{pod}\",\
         \"project_id\":\"shop-prod\"}},\"type\":\"k8s_container\"}},\"severity\":\"{severity}\",\
         \"timestamp\":\"{time}\"}}",
        random >> 48
    );
}

/// Two spaces deeper than the array, as `gcloud` indents; escapes stay as they are.
fn pretty(compact: &str) -> String {
    let mut out = String::with_capacity(compact.len() * 3 / 2);
    out.push_str("  ");
    let (mut depth, mut quoted, mut escaped) = (1, false, false);
    let line = |out: &mut String, depth: usize| {
        out.push('\n');
        out.extend(std::iter::repeat_n("  ", depth));
    };
    for c in compact.chars() {
        match c {
            _ if quoted => {
                out.push(c);
                quoted = c != '"' || escaped;
                escaped = c == '\\' && !escaped;
            }
            '{' => {
                depth += 1;
                out.push(c);
                line(&mut out, depth);
            }
            '}' => {
                depth -= 1;
                line(&mut out, depth);
                out.push(c);
            }
            ',' => {
                out.push(c);
                line(&mut out, depth);
            }
            ':' => out.push_str(": "),
            c => {
                quoted = c == '"';
                out.push(c);
            }
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn exports_are_json_and_counted_rightly() {
        for layout in [ExportLayout::Lines, ExportLayout::Array] {
            let spec = ExportSpec { bytes: 300_000, layout, refused_one_in: 10 };
            let mut bytes = Vec::new();
            let written = write_export(&mut bytes, &spec).expect("writes to memory");
            assert_eq!(bytes.len() as u64, written.bytes);
            let text = String::from_utf8(bytes).expect("UTF-8");
            let entries: Vec<serde_json::Value> = match layout {
                ExportLayout::Array => serde_json::from_str(&text).expect("an array"),
                ExportLayout::Lines => {
                    text.lines().map(|line| serde_json::from_str(line).expect("an entry")).collect()
                }
            };
            assert_eq!(entries.len() as u64, written.entries);
            let refused = entries
                .iter()
                .filter_map(|entry| entry["textPayload"].as_str())
                .filter(|text| text.contains("connection refused"))
                .count();
            assert_eq!(refused as u64, written.refused);
            assert!(written.hidden > 0);
            assert_eq!(text.matches("\\u0063onnection").count() as u64, written.hidden);
        }
    }
}
