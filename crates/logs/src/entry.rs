//! One log entry as parsed JSON that borrows from the bytes it came from. Knows no filter.

use std::borrow::Cow;
use std::fmt;

use jiff::Timestamp;
use serde::de::{Deserialize, Deserializer, MapAccess, SeqAccess, Visitor};

/// A JSON value.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Node<'a> {
    Null,
    Bool(bool),
    Int(i64),
    Uint(u64),
    Float(f64),
    Text(Cow<'a, str>),
    List(Vec<Node<'a>>),
    Object(Vec<(Cow<'a, str>, Node<'a>)>),
}

impl<'a> Node<'a> {
    /// The member of that name; of several the last, as JSON parsers usually take it.
    pub(crate) fn get(&self, key: &str) -> Option<&Node<'a>> {
        match self {
            Node::Object(members) => {
                members.iter().rev().find(|(name, _)| name == key).map(|(_, value)| value)
            }
            _ => None,
        }
    }

    /// The member whose name is the same but for letter case and underscores, as protocol
    /// buffer fields may be written.
    pub(crate) fn get_loosely(&self, key: &str) -> Option<&Node<'a>> {
        match self {
            Node::Object(members) => {
                members.iter().rev().find(|(name, _)| same_field(name, key)).map(|(_, value)| value)
            }
            _ => None,
        }
    }

    pub(crate) fn text(&self) -> Option<&str> {
        match self {
            Node::Text(text) => Some(text),
            _ => None,
        }
    }
}

/// `log_name`, `logName` and `LOGNAME` are one field.
pub(crate) fn same_field(a: &str, b: &str) -> bool {
    let mut a = a.bytes().filter(|byte| *byte != b'_').map(|byte| byte.to_ascii_lowercase());
    let mut b = b.bytes().filter(|byte| *byte != b'_').map(|byte| byte.to_ascii_lowercase());
    loop {
        match (a.next(), b.next()) {
            (None, None) => return true,
            (x, y) if x == y => {}
            _ => return false,
        }
    }
}

/// One log entry.
#[derive(Debug, Clone)]
pub struct Entry<'a> {
    pub(crate) root: Node<'a>,
}

impl<'a> Entry<'a> {
    /// Parses one JSON object.
    ///
    /// # Errors
    /// The JSON parser's reason, where the bytes are not one JSON object in UTF-8.
    pub fn parse(bytes: &'a [u8]) -> Result<Self, String> {
        let root: Node<'a> = serde_json::from_slice(bytes).map_err(|error| error.to_string())?;
        match root {
            Node::Object(_) => Ok(Self { root }),
            _ => Err("not a JSON object".to_owned()),
        }
    }

    fn field(&self, name: &str) -> Option<&Node<'a>> {
        self.root.get(name).or_else(|| self.root.get_loosely(name))
    }

    /// When it happened: `timestamp`, else `receiveTimestamp`.
    #[must_use]
    pub fn timestamp(&self) -> Option<Timestamp> {
        self.timestamp_text().and_then(|text| text.parse().ok())
    }

    /// [`Entry::timestamp`] as it is written.
    #[must_use]
    pub fn timestamp_text(&self) -> Option<&str> {
        let own = self.field("timestamp").and_then(Node::text);
        own.or_else(|| self.field("receiveTimestamp").and_then(Node::text))
    }

    /// The name of the severity as it is written, or `DEFAULT`.
    #[must_use]
    pub fn severity(&self) -> &str {
        self.field("severity").and_then(Node::text).unwrap_or("DEFAULT")
    }

    /// A label of the monitored resource.
    #[must_use]
    pub fn resource_label(&self, name: &str) -> Option<&str> {
        self.field("resource")?.get("labels")?.get(name)?.text()
    }

    /// The values of all labels of the monitored resource that are texts.
    pub fn resource_labels(&self) -> impl Iterator<Item = (&str, &str)> {
        let labels = self.field("resource").and_then(|resource| resource.get("labels"));
        let members = match labels {
            Some(Node::Object(members)) => members.as_slice(),
            _ => &[],
        };
        members.iter().filter_map(|(name, value)| Some((name.as_ref(), value.text()?)))
    }

    /// What kind of resource wrote it (`k8s_container`, `k8s_pod` …).
    #[must_use]
    pub fn resource_type(&self) -> Option<&str> {
        self.field("resource")?.get("type")?.text()
    }

    /// The field path of the object a Kubernetes event is about (`spec.containers{istio-proxy}`).
    #[must_use]
    pub fn event_field_path(&self) -> Option<&str> {
        self.field("jsonPayload")?.get("involvedObject")?.get("fieldPath")?.text()
    }

    /// The payload on one line: the text, the message of a JSON payload, else the payload itself.
    #[must_use]
    pub fn summary(&self) -> String {
        let message = self.field("textPayload").and_then(Node::text).or_else(|| {
            let payload = self.field("jsonPayload")?;
            ["message", "msg", "log"].iter().find_map(|key| payload.get(key)?.text())
        });
        if let Some(text) = message {
            return text.trim_end().to_owned();
        }
        let payload = ["jsonPayload", "protoPayload", "httpRequest"].map(|name| self.field(name));
        payload.into_iter().flatten().next().map(Node::to_string).unwrap_or_default()
    }
}

/// Compact JSON.
impl fmt::Display for Node<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Node::Null => f.write_str("null"),
            Node::Bool(value) => write!(f, "{value}"),
            Node::Int(value) => write!(f, "{value}"),
            Node::Uint(value) => write!(f, "{value}"),
            Node::Float(value) => write!(f, "{value}"),
            Node::Text(text) => quoted(f, text),
            Node::List(items) => {
                f.write_str("[")?;
                for (n, item) in items.iter().enumerate() {
                    f.write_str(if n > 0 { "," } else { "" })?;
                    write!(f, "{item}")?;
                }
                f.write_str("]")
            }
            Node::Object(members) => {
                f.write_str("{")?;
                for (n, (name, value)) in members.iter().enumerate() {
                    f.write_str(if n > 0 { "," } else { "" })?;
                    quoted(f, name)?;
                    write!(f, ":{value}")?;
                }
                f.write_str("}")
            }
        }
    }
}

fn quoted(f: &mut fmt::Formatter<'_>, text: &str) -> fmt::Result {
    f.write_str(&serde_json::Value::from(text).to_string())
}

impl<'de> Deserialize<'de> for Node<'de> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(NodeVisitor)
    }
}

/// A member's name, borrowed where the JSON has no escapes in it.
struct Name<'a>(Cow<'a, str>);

impl<'de> Deserialize<'de> for Name<'de> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_str(NameVisitor)
    }
}

struct NameVisitor;

impl<'de> Visitor<'de> for NameVisitor {
    type Value = Name<'de>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a string")
    }

    fn visit_borrowed_str<E>(self, text: &'de str) -> Result<Name<'de>, E> {
        Ok(Name(Cow::Borrowed(text)))
    }

    fn visit_str<E>(self, text: &str) -> Result<Name<'de>, E> {
        Ok(Name(Cow::Owned(text.to_owned())))
    }
}

struct NodeVisitor;

impl<'de> Visitor<'de> for NodeVisitor {
    type Value = Node<'de>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a JSON value")
    }

    fn visit_unit<E>(self) -> Result<Node<'de>, E> {
        Ok(Node::Null)
    }

    fn visit_bool<E>(self, value: bool) -> Result<Node<'de>, E> {
        Ok(Node::Bool(value))
    }

    fn visit_i64<E>(self, value: i64) -> Result<Node<'de>, E> {
        Ok(Node::Int(value))
    }

    fn visit_u64<E>(self, value: u64) -> Result<Node<'de>, E> {
        Ok(i64::try_from(value).map_or(Node::Uint(value), Node::Int))
    }

    fn visit_f64<E>(self, value: f64) -> Result<Node<'de>, E> {
        Ok(Node::Float(value))
    }

    fn visit_borrowed_str<E>(self, text: &'de str) -> Result<Node<'de>, E> {
        Ok(Node::Text(Cow::Borrowed(text)))
    }

    fn visit_str<E>(self, text: &str) -> Result<Node<'de>, E> {
        Ok(Node::Text(Cow::Owned(text.to_owned())))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Node<'de>, A::Error> {
        let mut items = Vec::new();
        while let Some(item) = seq.next_element()? {
            items.push(item);
        }
        Ok(Node::List(items))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Node<'de>, A::Error> {
        let mut members = Vec::with_capacity(8);
        while let Some((Name(name), value)) = map.next_entry()? {
            members.push((name, value));
        }
        Ok(Node::Object(members))
    }
}
