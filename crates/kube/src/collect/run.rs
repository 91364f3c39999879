//! One collecting: where to, within which bounds, and what could not be had.

use std::cell::RefCell;

use serde_json::value::RawValue;
use sunup_api::shell;
use sunup_evidence::gap::Gap;
use tokio::sync::mpsc::Sender;

use super::question::{Of, Piece, Question};
use crate::client::Cluster;
use crate::list::List;
use crate::need::{Need, Reach};
use crate::request::{Bounds, Trouble};

/// What every query needs.
pub(super) struct Run<'a> {
    pub(super) cluster: &'a Cluster,
    pub(super) question: &'a Question,
    pub(super) sink: &'a Sender<Piece>,
    pub(super) gaps: RefCell<Vec<Gap>>,
    /// Whether only part of a namespace was asked for, so that everything else is left out.
    pub(super) narrow: bool,
}

impl Run<'_> {
    pub(super) fn bounds(&self) -> Bounds {
        Bounds::new(self.question.within, self.question.page_bytes)
    }

    pub(super) fn gap(&self, need: &Need, namespace: Option<&str>, trouble: &Trouble) {
        let cluster_wide = matches!(need.reach, Reach::Cluster);
        let place = match namespace {
            Some(namespace) => format!("-n {} ", shell::name(namespace)),
            None if cluster_wide => String::new(),
            None => "-A ".to_owned(),
        };
        let kubectl = self.cluster.named.kubectl();
        self.gaps.borrow_mut().push(Gap {
            namespace: namespace.map(str::to_owned),
            what: need.resource.to_owned(),
            why: trouble.to_string(),
            get_it_with: Some(format!("{kubectl} {place}get {} -o json", need.resource)),
        });
    }

    pub(super) async fn pass(&self, name: String, bytes: Vec<u8>, of: Of) {
        // Nobody reads any more: the run ends anyhow.
        let _ = self.sink.send(Piece { name, bytes, of }).await;
    }

    /// Lists one kind into pieces of its name; `each` says what is wanted.
    pub(super) async fn list(
        &self,
        list: &List<'_>,
        each: impl FnMut(&RawValue) -> bool,
    ) -> Result<(), Trouble> {
        let mut number = 0;
        let resource = list.need.resource;
        let page = async |bytes| {
            number += 1;
            let name = match number {
                1 => format!("{resource}.json"),
                _ => format!("{resource}-{number}.json"),
            };
            self.pass(name, bytes, Of::Objects(list.need.kind)).await;
        };
        list.read(self.cluster, self.bounds(), each, page).await
    }
}
