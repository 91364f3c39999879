//! `sunup logs --cloud-logging`: a filter that is handed to the project itself.

use std::time::Duration;

use anyhow::Context as _;
use sunup_store::{Ask, Asked, Names, Place, Store, Watch, What, Window, ask};
use tokio::runtime::Runtime;

use crate::global::Global;
use crate::out;
use crate::store::{CloudArgs, ReachArgs, Waiting, runtime, stop, window};

/// A project that can be asked.
pub(super) struct Project {
    runtime: Runtime,
    store: Box<dyn Store>,
    name: String,
    within: Window,
}

impl Project {
    /// The project that was named. No entry is asked for yet.
    pub(super) fn connect(args: &CloudArgs) -> anyhow::Result<Project> {
        let runtime = runtime()?;
        let (store, name) = runtime.block_on(args.connect(Names::Current))?;
        Ok(Project { runtime, store, name, within: window(None, None)? })
    }

    fn question(&self, filter: &str) -> Ask {
        let what = What::Filter(filter.to_owned());
        Ask { place: Place::default(), within: self.within, what, except: Vec::new() }
    }

    /// Asks for what a filter matches, and hands each page on; whether that was all.
    pub(super) fn search(
        &self,
        filter: &str,
        reach: &ReachArgs,
        global: &Global,
        read: &mut dyn FnMut(Vec<u8>) -> anyhow::Result<()>,
    ) -> anyhow::Result<bool> {
        self.runtime.block_on(async {
            let mut bounds = reach.bounds(stop(global)?);
            let asks = [self.question(filter)];
            let waiting = Waiting::new(global, &self.name);
            let (sink, mut pieces) = tokio::sync::mpsc::channel(1);
            let mut asked = Asked::default();
            let asking = async {
                let store = self.store.as_ref();
                let done = ask(store, &asks, &mut bounds, &mut asked, &waiting, &sink).await;
                drop(sink);
                done
            };
            let reading = async {
                while let Some(piece) = pieces.recv().await {
                    read(piece.bytes)?;
                }
                Ok::<(), anyhow::Error>(())
            };
            let (done, was_read) = tokio::join!(asking, reading);
            drop(waiting);
            was_read?;
            done.with_context(|| self.name.clone())?;
            for (_, why) in &asked.left {
                out::note(global, &format!("not all was read: {why}"));
            }
            Ok(asked.is_whole())
        })
    }

    /// How many entries the first page of what a filter matches has.
    pub(super) fn first_page(&self, filter: &str) -> anyhow::Result<u64> {
        let page = self.runtime.block_on(self.store.page(&self.question(filter), None, &Nobody));
        Ok(page.with_context(|| self.name.clone())?.entries as u64)
    }
}

/// A single page is soon there.
struct Nobody;

impl Watch for Nobody {
    fn entries(&self, _: u64) {}
    fn waiting(&self, _: Duration) {}
}
