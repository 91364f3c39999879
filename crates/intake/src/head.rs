//! The fields by which JSON of all kinds is told apart, unread. Knows no kind.

use serde::Deserialize;
use serde_json::value::RawValue;

/// The fields by which entries, objects and answers are told apart.
#[derive(Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub(crate) struct Head<'a> {
    #[serde(borrow)]
    pub(crate) resource: Option<&'a RawValue>,
    #[serde(borrow)]
    pub(crate) text_payload: Option<&'a RawValue>,
    #[serde(borrow)]
    pub(crate) json_payload: Option<&'a RawValue>,
    #[serde(borrow)]
    pub(crate) proto_payload: Option<&'a RawValue>,
    #[serde(borrow)]
    pub(crate) timestamp: Option<&'a RawValue>,
    #[serde(borrow)]
    pub(crate) receive_timestamp: Option<&'a RawValue>,
    #[serde(borrow)]
    pub(crate) labels: Option<&'a RawValue>,
    #[serde(borrow)]
    pub(crate) log_name: Option<&'a RawValue>,
    #[serde(borrow)]
    pub(crate) insert_id: Option<&'a RawValue>,
    #[serde(borrow)]
    pub(crate) kind: Option<&'a RawValue>,
    #[serde(borrow)]
    pub(crate) items: Option<&'a RawValue>,
    #[serde(borrow)]
    pub(crate) entries: Option<&'a RawValue>,
    #[serde(borrow)]
    pub(crate) values: Option<&'a RawValue>,
    /// Azure Monitor.
    #[serde(borrow)]
    pub(crate) tables: Option<&'a RawValue>,
    /// CloudWatch Logs Insights (rows of fields), and Grafana's data sources (frames by query).
    #[serde(borrow)]
    pub(crate) results: Option<&'a RawValue>,
    /// Data of a panel, as Grafana's inspector shows it.
    #[serde(borrow)]
    pub(crate) series: Option<&'a RawValue>,
    #[serde(borrow)]
    pub(crate) frames: Option<&'a RawValue>,
    /// One of Grafana's frames.
    #[serde(borrow)]
    pub(crate) schema: Option<&'a RawValue>,
    #[serde(borrow)]
    pub(crate) data: Option<&'a RawValue>,
    #[serde(borrow)]
    pub(crate) fields: Option<&'a RawValue>,
}

impl Head<'_> {
    /// Whether it may be an answer whose entries are no objects.
    pub(crate) fn is_answer(&self) -> bool {
        let fields = [self.tables, self.results, self.series, self.frames, self.schema];
        fields.into_iter().flatten().any(|raw| raw.get().starts_with(['[', '{']))
    }
}
