//! The ruleset: tables, sets, chains and rules as data, built from a [`Plan`](crate::Plan).
//!
//! Two readers: the netlink encoder of `sunup-sys` (what is applied), the `nft -f` text
//! ([`Ruleset::to_nft`], what `show` prints). A statement exists here only if all of them can say it.

mod build;
mod data;
pub mod gate;
mod intervals;
pub mod iptables;
mod nft;

pub use data::{
    Base, Chain, DynamicKey, Expr, Family, Hook, NODE_TABLE, Ports, Proto, QUOTED_V4, QUOTED_V6,
    Routing, Rule, Ruleset, RulesetError, Set, SetContent, TABLE, Table,
};
pub use intervals::{Span, address_spans, port_spans};
