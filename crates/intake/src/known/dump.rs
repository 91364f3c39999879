//! Several logs in one file: `kubectl cluster-info dump` puts each between a line `==== START logs
//! for container X of pod NS/POD ====` and its `END`; `istioctl bug-report` appends the log of the
//! container's dead instance behind `========= Previous log =========`.

use sunup_evidence::line::ContainerKey;
use sunup_logs::scan::Chunk;

use crate::file::File;
use crate::out::Out;
use crate::text;

const START: &str = "==== START logs for container ";

/// <https://github.com/istio/istio/blob/master/tools/bug-report/pkg/bugreport/bugreport.go>
const APPENDED: &str = "========= Previous log present";
const PREVIOUS: &str = "========= Previous log =========";

/// Whether the text begins with, or soon has, such a line.
pub(crate) fn is_dump(text: &str) -> bool {
    text.lines().take(20).any(|line| line.starts_with(START) || line.starts_with(APPENDED))
}

fn container(line: &str) -> Option<ContainerKey> {
    let (name, rest) = line.strip_prefix(START)?.split_once(" of pod ")?;
    let (namespace, pod) = rest.trim().strip_suffix("====")?.trim().split_once('/')?;
    Some(ContainerKey {
        namespace: Some(namespace.to_owned()),
        pod: Some(pod.to_owned()),
        container: Some(name.to_owned()),
        ..ContainerKey::default()
    })
}

/// Reads the sections of a dump; what lies before the first one is not a log.
pub(crate) fn read(file: &File<'_>, whole: &str, out: &mut Out) {
    let mut at = 0;
    let mut section: Option<(ContainerKey, usize, u64)> = None;
    if !whole.lines().take(20).any(|line| line.starts_with(START)) {
        section = Some((file.whose.clone(), 0, 1));
    }
    for (line, raw) in (1..).zip(whole.split_inclusive('\n')) {
        let text = raw.trim_end();
        if text == PREVIOUS {
            if let Some((whose, start, first)) = section.take() {
                log(file, whose, &whole[start..at], first, out);
            }
            let whose = ContainerKey { previous: true, ..file.whose.clone() };
            section = Some((whose, at + raw.len(), line + 1));
        } else if text.starts_with("==== ") && text.ends_with("====") {
            if let Some((whose, start, first)) = section.take() {
                log(file, whose, &whole[start..at], first, out);
            }
            section = container(text).map(|whose| (whose, at + raw.len(), line + 1));
        }
        at += raw.len();
    }
    if let Some((whose, start, first)) = section {
        log(file, whose, &whole[start..], first, out);
    }
}

fn log(file: &File<'_>, whose: ContainerKey, section: &str, first_line: u64, out: &mut Out) {
    let section_file = file.of(whose);
    out.seen(&crate::out::borrowed(&section_file.whose), &section_file.seen);
    let chunk =
        Chunk { bytes: section.as_bytes().to_vec(), first_line, offset: 0, broken: Vec::new() };
    text::lines(&section_file, &chunk, out);
}
