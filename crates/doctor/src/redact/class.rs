//! What a stand-in stands for, and what becomes of addresses.

/// What a stand-in stands for; it is part of its name.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) enum Class {
    Namespace,
    Workload,
    Pod,
    Container,
    Service,
    Node,
    Object,
    Host,
    Ip,
    Email,
    Env,
    Value,
    Token,
}

impl Class {
    pub(super) const ALL: [Class; 13] = [
        Class::Namespace,
        Class::Workload,
        Class::Pod,
        Class::Container,
        Class::Service,
        Class::Node,
        Class::Object,
        Class::Host,
        Class::Ip,
        Class::Email,
        Class::Env,
        Class::Value,
        Class::Token,
    ];

    pub(super) fn stem(self) -> &'static str {
        match self {
            Class::Namespace => "ns",
            Class::Workload => "workload",
            Class::Pod => "pod",
            Class::Container => "container",
            Class::Service => "svc",
            Class::Node => "node",
            Class::Object => "object",
            Class::Host => "host",
            Class::Ip => "ip",
            Class::Email => "email",
            Class::Env => "env",
            Class::Value => "value",
            Class::Token => "token",
        }
    }

    /// Whether it is replaced in the middle of a word, too.
    pub(super) fn is_secret(self) -> bool {
        matches!(self, Class::Env | Class::Value | Class::Token | Class::Email)
    }
}

/// What becomes of addresses.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Addresses {
    /// `ip-1`: for reading.
    Named,
    /// Other addresses, of which those of one network are in one network again: what is read back
    /// is judged as before.
    Mapped,
}
