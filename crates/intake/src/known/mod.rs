//! Texts that tools print for people: tables, descriptions, dumps, and what is copied out of a
//! console; each module reads one form. [`READERS`] has them in the order in which they are asked.

pub(crate) mod columns;
pub(crate) mod describe;
pub(crate) mod dump;
pub(crate) mod kubelet;
pub(crate) mod node;
pub(crate) mod pasted;
pub(crate) mod reason;
pub(crate) mod states;
pub(crate) mod table;

use std::io::Read;

use sunup_logs::scan::Chunk;

use crate::export::{ci, dress, journal, readers};
use crate::file::File;
use crate::form::{self, Form};
use crate::out::Out;
use crate::parts;
use crate::run::Run;

/// How the texts of a form are recognised and read. A reader counts lines from 1 and calls what it
/// can make nothing of [`Out::unplaced`]; where its text stands within another one, and how often a
/// form came, is counted for it.
pub(crate) struct Reader {
    pub(crate) form: &'static Form,
    /// Whether a text that begins so is of this form. The head is without colours and byte order
    /// mark, and at most [`sunup_logs::scan::HEAD_BYTES`] long; each reader looks at it once.
    pub(crate) is: fn(head: &str) -> bool,
    pub(crate) read: Way,
}

/// How much of a text a reader wants at once.
pub(crate) enum Way {
    /// All of it, cut into parts that are recognised by themselves.
    Parts,
    /// All of it, without colours: what people print and paste is short.
    Whole(fn(&File<'_>, &str, &mut Out)),
    /// Blocks of whole lines, read side by side; nothing is held. What stands in the first line (a
    /// header) is in [`File::head`].
    Lines(fn(&File<'_>, &Chunk, &mut Out)),
    /// The stream, to be cut into blocks by itself.
    Stream(fn(&mut Run<'_>, &mut File<'_>, Box<dyn Read + '_>)),
}

/// Reads answers of log services; JSON is recognised before any text is.
pub(crate) static ANSWER: Reader = Reader {
    form: &form::EXPORT_ANSWER,
    is: readers::is_answer,
    read: Way::Stream(readers::answer),
};

/// Reads a journal's records.
pub(crate) static JOURNAL: Reader =
    Reader { form: &form::JOURNAL, is: journal::is_json, read: Way::Lines(journal::json_lines) };

/// Reads what `sunup node status --json` prints.
pub(crate) static NODE_STATUS: Reader =
    Reader { form: &form::NODE_STATUS, is: node::is_json, read: Way::Whole(node::json) };

/// Every reader, the most certain first: the first that knows a text reads it. What has a head of its
/// own (exports) comes before what may stand anywhere in a text.
pub(crate) static READERS: &[Reader] = &[
    Reader { form: &form::JOURNAL, is: journal::is, read: Way::Lines(journal::lines) },
    Reader { form: &form::CI, is: ci::is, read: Way::Stream(readers::ci) },
    Reader { form: &form::EXPORT_TABLE, is: readers::is_table, read: Way::Stream(readers::table) },
    Reader { form: &form::LOG_LOKI, is: dress::is_logcli, read: Way::Lines(dress::logcli_lines) },
    Reader { form: &form::LOG_LOKI, is: dress::is_grafana, read: Way::Lines(dress::grafana_lines) },
    Reader { form: &form::LOG_AWS, is: dress::is_tail, read: Way::Lines(dress::tail_lines) },
    Reader {
        form: &form::LOG_FLUENTD,
        is: dress::is_fluentd,
        read: Way::Lines(dress::fluentd_lines),
    },
    Reader { form: &form::LOG_KAIL, is: dress::is_kail, read: Way::Lines(dress::kail_lines) },
    Reader {
        form: &form::LOG_COMPOSE,
        is: dress::is_compose,
        read: Way::Lines(dress::compose_lines),
    },
    Reader { form: &form::LOG_ARGO, is: dress::is_argo, read: Way::Lines(dress::argo_lines) },
    Reader { form: &form::LOG_SECTIONS, is: dump::is_dump, read: Way::Whole(dump::read) },
    Reader { form: &form::SEVERAL, is: parts::is_marked, read: Way::Parts },
    Reader { form: &form::CONSOLE_COPY, is: pasted::is_pasted, read: Way::Whole(pasted::read) },
    Reader { form: &form::SEVERAL, is: parts::is_mixed, read: Way::Parts },
    Reader { form: &form::KUBELET, is: kubelet::is_kubelet, read: Way::Lines(kubelet::lines) },
    Reader { form: &form::NODE_STATUS, is: node::is_table, read: Way::Whole(node::table) },
    Reader { form: &form::NODE_METRICS, is: node::is_metrics, read: Way::Whole(node::metrics) },
    Reader { form: &form::STATES, is: states::is_states, read: Way::Whole(states::read) },
    Reader { form: &form::EVENTS_TABLE, is: table::is_events, read: Way::Whole(table::read) },
    Reader { form: &form::OBJECTS_TABLE, is: table::is_objects, read: Way::Whole(table::read) },
    Reader {
        form: &form::CONTAINERS_TABLE,
        is: table::is_containers,
        read: Way::Whole(table::read),
    },
    Reader { form: &form::LOG_TABLE, is: table::is_log, read: Way::Whole(table::read) },
    Reader { form: &form::DESCRIBE, is: describe::is_describe, read: Way::Whole(describe::read) },
];
