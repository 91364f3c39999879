//! Loki, by its HTTP API: `query_range`, oldest entries first.
//!
//! Loki has no pages: the next request begins at the last entry's instant, and what came already
//! is taken out.
//!
//! # Sources
//! "Loki HTTP API" and "LogQL: Log query language", Grafana Loki 3 documentation.

use std::collections::BTreeSet;
use std::hash::{DefaultHasher, Hash as _, Hasher as _};
use std::time::Duration;

use http::{HeaderName, HeaderValue, Uri};
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use sunup_api::link::{encoded, quoted};

use crate::ask::{Ask, Place, What};
use crate::error::Trouble;
use crate::http::{ANSWER_MAX, Send, Web};
use crate::quota::Patience;
use crate::run::{Later, Page, Store, Watch};

/// Entries of an answer; Loki's own limit is 5,000 (`max_entries_limit_per_query`) and may be lower.
const PAGE: usize = 1000;
/// Pods that are named in one query.
const PODS_AT_ONCE: usize = 40;
/// What is waited before a request is sent again that was one too many.
const QUOTA_WAIT: Duration = Duration::from_secs(1);

/// What the labels are called by which entries are found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Labels {
    /// The cluster.
    pub cluster: String,
    /// The namespace.
    pub namespace: String,
    /// The pod.
    pub pod: String,
    /// A selector of the streams that hold Kubernetes events, where there are any:
    /// `{job="kubernetes-events"}`.
    pub events: Option<String>,
}

impl Default for Labels {
    /// As Grafana's own agents name them.
    fn default() -> Self {
        let own = |text: &str| text.to_owned();
        Labels {
            cluster: own("cluster"),
            namespace: own("namespace"),
            pod: own("pod"),
            events: None,
        }
    }
}

/// A Loki.
#[derive(Debug)]
pub struct Loki {
    web: Web,
    base: String,
    headers: Vec<(HeaderName, HeaderValue)>,
    labels: Labels,
}

#[derive(Deserialize, Serialize)]
struct Answer {
    status: Box<RawValue>,
    data: Data,
}

#[derive(Deserialize, Serialize)]
struct Data {
    #[serde(rename = "resultType")]
    kind: String,
    result: Vec<Stream>,
}

#[derive(Deserialize, Serialize)]
struct Stream {
    stream: Box<RawValue>,
    /// Instant in nanoseconds, line, and since Loki 3 structured metadata.
    values: Vec<Vec<Box<RawValue>>>,
}

impl Loki {
    /// The Loki at `base` (`https://logs.example.com`), asked with these headers.
    ///
    /// # Errors
    /// An address or header that is none.
    pub fn new(
        web: Web,
        base: &str,
        headers: &[(String, String)],
        labels: Labels,
    ) -> Result<Loki, Trouble> {
        let base = base.trim_end_matches('/').to_owned();
        let host: Option<Uri> = base.parse().ok();
        if !host.is_some_and(|uri| uri.host().is_some() && uri.scheme().is_some()) {
            let why = format!("`{base}` is no address: give it as https://logs.example.com");
            return Err(Trouble::Unasked(why.into()));
        }
        let header = |(name, value): &(String, String)| {
            let wrong = || Trouble::Unasked(format!("`{name}` can't be sent as a header").into());
            let name = HeaderName::try_from(name).map_err(|_| wrong())?;
            let mut value = HeaderValue::from_str(value.trim()).map_err(|_| wrong())?;
            value.set_sensitive(true);
            Ok((name, value))
        };
        let headers = headers.iter().map(header).collect::<Result<_, Trouble>>()?;
        Ok(Loki { web, base, headers, labels })
    }

    async fn range(
        &self,
        ask: &Ask,
        after: Option<&str>,
        watch: &dyn Watch,
    ) -> Result<Page, Trouble> {
        let Some(query) = self.logql(ask) else { return Ok(Page::default()) };
        let seen = after.map(Boundary::read).transpose()?;
        let from = seen.as_ref().map_or_else(|| ask.within.from.as_nanosecond(), |seen| seen.at);
        let uri = format!(
            "{}/loki/api/v1/query_range?direction=forward&limit={PAGE}&start={from}&end={}&query={}",
            self.base,
            ask.within.until.as_nanosecond(),
            encoded(&query)
        );
        let uri = uri.parse().map_err(|_| Trouble::Unasked("a query that is no address".into()))?;
        let mut send = Send::get(uri);
        for (name, value) in &self.headers {
            send = send.with(name.clone(), value.clone());
        }
        let mut patience = Patience::new(QUOTA_WAIT);
        loop {
            let answer = self.web.ask(&send, ANSWER_MAX).await?;
            match answer.code {
                200 => return page(&answer.body, seen),
                429 => patience.wait(&answer.headers, watch).await?,
                code => {
                    let said = String::from_utf8_lossy(&answer.body);
                    let said = said.lines().next().unwrap_or_default();
                    let said = said.chars().take(300).collect::<String>();
                    let help = match code {
                        401 | 403 => "; a tenant or a token goes into a header (--loki-header)",
                        _ => "",
                    };
                    let message = format!("{said}{help}").into();
                    return Err(Trouble::Refused { store: "Loki", code, message });
                }
            }
        }
    }

    /// The query, or `None` where this Loki has no such entries.
    fn logql(&self, ask: &Ask) -> Option<String> {
        let Place { cluster, namespace, pods, pods_of, .. } = &ask.place;
        match &ask.what {
            What::Lines(texts) => {
                let labels = &self.labels;
                let mut matchers = Vec::new();
                let mut equal = |label: &str, value: &Option<String>| {
                    matchers.extend(value.as_ref().map(|v| format!("{label}={}", quoted(v))));
                };
                equal(&labels.cluster, cluster);
                equal(&labels.namespace, namespace);
                if !pods.is_empty() {
                    let pods: Vec<String> = pods.iter().map(|pod| escaped(pod)).collect();
                    matchers.push(format!("{}=~{}", labels.pod, quoted(&pods.join("|"))));
                }
                if let Some(stem) = pods_of {
                    let stem = format!("{}.*", escaped(stem));
                    matchers.push(format!("{}=~{}", labels.pod, quoted(&stem)));
                }
                if matchers.is_empty() {
                    // A query has to name at least one label that isn't empty.
                    matchers.push(format!("{}=~\".+\"", labels.pod));
                }
                let texts: Vec<String> = texts.iter().map(|text| escaped(text)).collect();
                let any = quoted(&format!("(?i)(?:{})", texts.join("|")));
                Some(format!("{{{}}} |~ {any}", matchers.join(",")))
            }
            What::Events { warnings } => {
                let selector = self.labels.events.as_ref()?;
                let kind = if *warnings { "|~" } else { "!~" };
                let mut query = format!("{selector} {kind} \"(?i)warning\"");
                query.extend(namespace.as_ref().map(|name| format!(" |= {}", quoted(name))));
                if !pods.is_empty() {
                    let pods: Vec<String> = pods.iter().map(|pod| escaped(pod)).collect();
                    query.push_str(&format!(" |~ {}", quoted(&pods.join("|"))));
                }
                query.extend(pods_of.as_ref().map(|stem| format!(" |= {}", quoted(stem))));
                Some(query)
            }
            What::Filter(query) => Some(query.clone()),
        }
    }
}

impl Store for Loki {
    fn name(&self) -> &'static str {
        "loki"
    }

    fn page<'a>(
        &'a self,
        ask: &'a Ask,
        after: Option<&'a str>,
        watch: &'a dyn Watch,
    ) -> Later<'a, Page> {
        Box::pin(self.range(ask, after, watch))
    }

    fn query(&self, ask: &Ask) -> String {
        self.logql(ask).unwrap_or_default()
    }

    fn pods_at_once(&self) -> usize {
        PODS_AT_ONCE
    }
}

/// Where an answer ended: its last instant, and which entries of that instant came.
#[derive(Debug, PartialEq, Eq)]
struct Boundary {
    at: i128,
    seen: BTreeSet<u64>,
}

impl Boundary {
    fn read(text: &str) -> Result<Boundary, Trouble> {
        let wrong = || Trouble::Garbled("a place that isn't ours".into());
        let (at, seen) = text.split_once(':').ok_or_else(wrong)?;
        let at = at.parse().map_err(|_| wrong())?;
        let seen = seen.split(',').map(|hash| u64::from_str_radix(hash, 16).map_err(|_| wrong()));
        Ok(Boundary { at, seen: seen.collect::<Result<_, _>>()? })
    }

    fn text(&self) -> String {
        let seen: Vec<String> = self.seen.iter().map(|hash| format!("{hash:x}")).collect();
        format!("{}:{}", self.at, seen.join(","))
    }
}

fn hash(stream: &RawValue, value: &[Box<RawValue>]) -> u64 {
    let mut hasher = DefaultHasher::new();
    stream.get().hash(&mut hasher);
    value.iter().for_each(|part| part.get().hash(&mut hasher));
    hasher.finish()
}

fn instant(value: &[Box<RawValue>]) -> Option<i128> {
    value.first()?.get().trim_matches('"').parse().ok()
}

/// An answer without what came already, and where the next one begins.
fn page(bytes: &[u8], before: Option<Boundary>) -> Result<Page, Trouble> {
    let mut answer: Answer = serde_json::from_slice(bytes).map_err(|why| {
        Trouble::Garbled(format!("line {} column {}", why.line(), why.column()).into())
    })?;
    if answer.data.kind != "streams" {
        let kind = answer.data.kind.chars().take(40).collect::<String>();
        return Err(Trouble::Garbled(format!("a result of type {kind}").into()));
    }
    let mut came = 0;
    let mut last: Option<Boundary> = None;
    for stream in &answer.data.result {
        for value in &stream.values {
            came += 1;
            let at =
                instant(value).ok_or_else(|| Trouble::Garbled("an entry without a time".into()))?;
            let entry = hash(&stream.stream, value);
            match &mut last {
                Some(last) if last.at == at => {
                    last.seen.insert(entry);
                }
                Some(last) if last.at > at => {}
                _ => last = Some(Boundary { at, seen: BTreeSet::from([entry]) }),
            }
        }
    }
    if let (Some(before), Some(last)) = (&before, &mut last)
        && before.at == last.at
    {
        last.seen.extend(&before.seen);
    }
    if let Some(before) = &before {
        for stream in &mut answer.data.result {
            let labels = &stream.stream;
            stream.values.retain(|value| {
                instant(value) != Some(before.at) || !before.seen.contains(&hash(labels, value))
            });
        }
    }
    answer.data.result.retain(|stream| !stream.values.is_empty());
    let entries = answer.data.result.iter().map(|stream| stream.values.len()).sum();
    // A full answer without anything new: more entries at one instant than an answer holds.
    if came >= PAGE && entries == 0 {
        return Err(Trouble::Garbled(format!("more than {PAGE} entries at one instant").into()));
    }
    let next = last.filter(|_| came >= PAGE).map(|last| last.text());
    let bytes =
        serde_json::to_vec(&answer).map_err(|why| Trouble::Garbled(why.to_string().into()))?;
    Ok(Page { bytes, entries, next })
}

/// A text that a regular expression (RE2) takes as it is.
fn escaped(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        if !c.is_alphanumeric()
            && !matches!(c, '_' | '-' | ' ' | '/' | ':' | '\'' | '"' | ',' | '=')
        {
            out.push('\\');
        }
        out.push(c);
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ask::Window;

    fn loki(events: Option<&str>) -> Loki {
        let web = Web::new(&crate::http::Proxies::default(), Some(rustls::RootCertStore::empty()));
        let labels = Labels { events: events.map(str::to_owned), ..Labels::default() };
        Loki::new(web.unwrap(), "http://127.0.0.1:3100/", &[], labels).unwrap()
    }

    fn of(place: Place, what: What) -> Ask {
        let at = |text: &str| text.parse().unwrap();
        let within = Window { from: at("2026-11-02T08:00:00Z"), until: at("2026-11-02T09:00:00Z") };
        Ask { place, within, what, except: Vec::new() }
    }

    #[test]
    fn questions_in_logql() {
        let lines = || What::Lines(vec!["refus", "(111)", "cannot bind"]);
        let place = Place { namespace: Some("shop".to_owned()), ..Place::default() };
        let any = r#"|~ "(?i)(?:refus|\\(111\\)|cannot bind)""#;
        let logql = |events, place: &Place, what| loki(events).logql(&of(place.clone(), what));
        assert_eq!(logql(None, &place, lines()).unwrap(), format!("{{namespace=\"shop\"}} {any}"));
        let pods = vec!["a.b".to_owned(), "c".to_owned()];
        let pods = Place { pods, ..place.clone() };
        assert_eq!(
            logql(None, &pods, lines()).unwrap(),
            format!(r#"{{namespace="shop",pod=~"a\\.b|c"}} {any}"#)
        );
        assert_eq!(
            logql(None, &Place::default(), lines()).unwrap(),
            format!("{{pod=~\".+\"}} {any}")
        );
        let warnings = What::Events { warnings: true };
        assert_eq!(logql(None, &place, warnings.clone()), None);
        assert_eq!(
            logql(Some("{job=\"ev\"}"), &pods, warnings).unwrap(),
            r#"{job="ev"} |~ "(?i)warning" |= "shop" |~ "a\\.b|c""#
        );
    }

    fn answer(values: &[(i128, &str)]) -> Vec<u8> {
        let values: Vec<_> = values.iter().map(|(at, line)| (at.to_string(), *line)).collect();
        let stream = serde_json::json!({"stream": {"pod": "a"}, "values": values});
        let data = serde_json::json!({"resultType": "streams", "result": [stream]});
        serde_json::json!({"status": "success", "data": data}).to_string().into_bytes()
    }

    #[test]
    fn what_came_already_is_taken_out_and_nothing_else() {
        let mut all: Vec<(i128, String)> =
            (0..PAGE as i128).map(|i| (i, format!("line {i}"))).collect();
        let last = PAGE as i128 - 1;
        all[PAGE - 2].0 = last;
        let first: Vec<(i128, &str)> = all.iter().map(|(at, line)| (*at, line.as_str())).collect();
        let one = page(&answer(&first), None).unwrap();
        assert_eq!(one.entries, PAGE);
        let next = Boundary::read(&one.next.unwrap()).unwrap();
        assert_eq!((next.at, next.seen.len()), (last, 2));
        // The same instant holds two that came, and one that didn't.
        let again = [first[PAGE - 2], first[PAGE - 1], (last, "new"), (last + 5, "later")];
        let two = page(&answer(&again), Some(next)).unwrap();
        assert_eq!((two.entries, two.next), (2, None));
        let text = String::from_utf8(two.bytes).unwrap();
        assert!(
            text.contains("new") && text.contains("later") && !text.contains("line "),
            "{text}"
        );
    }

    #[test]
    fn an_instant_that_holds_more_than_an_answer_is_told() {
        let lines: Vec<String> = (0..PAGE).map(|i| format!("line {i}")).collect();
        let same: Vec<(i128, &str)> = lines.iter().map(|line| (7, line.as_str())).collect();
        let one = page(&answer(&same), None).unwrap();
        let next = Boundary::read(&one.next.unwrap()).unwrap();
        let error = page(&answer(&same), Some(next)).unwrap_err().to_string();
        assert!(error.contains("at one instant"), "{error}");
    }
}
