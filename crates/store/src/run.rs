//! One question after the other, page by page, within bounds that are told when they are reached.

use std::future::Future;
use std::pin::Pin;
use std::time::Duration;

use tokio::sync::mpsc::Sender;
use tokio::sync::watch;
use tokio::time::Instant;

use crate::ask::Ask;
use crate::error::Trouble;

/// What a store answers to one request.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Page {
    /// As it came.
    pub bytes: Vec<u8>,
    /// Entries in it.
    pub entries: usize,
    /// What to ask for next; `None` where this was all. A page without entries may have one.
    pub next: Option<String>,
}

/// A file such as an export of the store's would be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Piece {
    /// Its path below the folder it would be kept in.
    pub name: String,
    /// What it holds.
    pub bytes: Vec<u8>,
}

/// An answer that comes later.
pub type Later<'a, T> = Pin<Box<dyn Future<Output = Result<T, Trouble>> + Send + 'a>>;

/// Whoever keeps logs and can be asked.
pub trait Store: Send + Sync {
    /// For the names of files: `cloud-logging`, `loki`.
    fn name(&self) -> &'static str;

    /// The page behind `after`, the token of the page before it. Entries come oldest first.
    fn page<'a>(
        &'a self,
        ask: &'a Ask,
        after: Option<&'a str>,
        watch: &'a dyn Watch,
    ) -> Later<'a, Page>;

    /// The query in the store's own language, as it can be pasted there.
    fn query(&self, ask: &Ask) -> String;

    /// How many pods can be named in one question.
    fn pods_at_once(&self) -> usize;

    /// A page of the store's own that shows a pod's entries, where it has one.
    fn link(&self, _pod: &str) -> Option<String> {
        None
    }
}

/// Somebody who waits.
pub trait Watch: Send + Sync {
    /// So many entries have been read.
    fn entries(&self, number: u64);
    /// The store wants to be left alone for so long.
    fn waiting(&self, how_long: Duration);
}

/// How far asking may go.
#[derive(Debug, Clone)]
pub struct Bounds {
    /// Entries in all.
    pub entries_max: u64,
    /// When it ends, whatever is left.
    pub until: Instant,
    /// Becomes true when somebody wants it to end.
    pub stop: watch::Receiver<bool>,
}

/// How asking went.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Asked {
    /// Requests that were answered.
    pub requests: u64,
    /// Entries that came.
    pub entries: u64,
    /// Bytes that came.
    pub bytes: u64,
    /// Questions that were not answered in full, and why.
    pub left: Vec<(Ask, Box<str>)>,
}

impl Asked {
    /// Whether everything was answered in full.
    #[must_use]
    pub fn is_whole(&self) -> bool {
        self.left.is_empty()
    }
}

/// Asks every question, and hands the pages on. What a bound left out is in `asked`.
///
/// # Errors
/// What the very first request gives, where it fails: others would alike. A failure later on is
/// told with the question that it ended.
pub async fn ask(
    store: &dyn Store,
    asks: &[Ask],
    bounds: &mut Bounds,
    asked: &mut Asked,
    watch: &dyn Watch,
    sink: &Sender<Piece>,
) -> Result<(), Trouble> {
    for one in asks {
        match question(store, one, bounds, asked, watch, sink).await {
            Ok(None) => {}
            Ok(Some(why)) => asked.left.push((one.clone(), why.into())),
            Err(trouble) if asked.requests == 0 => return Err(trouble),
            Err(trouble) => asked.left.push((one.clone(), trouble.to_string().into())),
        }
    }
    Ok(())
}

/// Asks one question to its end, or says which bound ended it.
async fn question(
    store: &dyn Store,
    one: &Ask,
    bounds: &mut Bounds,
    asked: &mut Asked,
    watch: &dyn Watch,
    sink: &Sender<Piece>,
) -> Result<Option<&'static str>, Trouble> {
    let mut after: Option<String> = None;
    loop {
        if asked.entries >= bounds.entries_max {
            return Ok(Some("as many entries as were allowed had been read (--max-entries)"));
        }
        if *bounds.stop.borrow() {
            return Ok(Some("it was stopped"));
        }
        let page = tokio::select! {
            biased;
            _ = bounds.stop.wait_for(|stop| *stop) => return Ok(Some("it was stopped")),
            () = tokio::time::sleep_until(bounds.until) => {
                return Ok(Some("the time that was allowed was over (--max-time)"));
            }
            page = store.page(one, after.as_deref(), watch) => page?,
        };
        asked.requests += 1;
        asked.entries += page.entries as u64;
        asked.bytes += page.bytes.len() as u64;
        watch.entries(asked.entries);
        if page.entries > 0 {
            let name = format!("{}/{:05}.json", store.name(), asked.requests);
            if sink.send(Piece { name, bytes: page.bytes }).await.is_err() {
                return Ok(Some("nobody reads any more"));
            }
        }
        // A token that comes back unchanged would be asked for for ever.
        if page.next.is_some() && page.next == after {
            return Err(Trouble::Garbled("a page that is followed by itself".into()));
        }
        after = page.next;
        if after.is_none() {
            return Ok(None);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ask::{Place, What, Window};

    /// Gives one page and never another one.
    struct Slow;

    impl Store for Slow {
        fn name(&self) -> &'static str {
            "slow"
        }

        fn page<'a>(
            &'a self,
            _: &'a Ask,
            after: Option<&'a str>,
            _: &'a dyn Watch,
        ) -> Later<'a, Page> {
            if after.is_some() {
                return Box::pin(std::future::pending());
            }
            let page = Page { bytes: b"{}".to_vec(), entries: 1, next: Some("x".to_owned()) };
            Box::pin(async { Ok(page) })
        }

        fn query(&self, _: &Ask) -> String {
            String::new()
        }

        fn pods_at_once(&self) -> usize {
            1
        }
    }

    struct Nobody;

    impl Watch for Nobody {
        fn entries(&self, _: u64) {}
        fn waiting(&self, _: Duration) {}
    }

    #[tokio::test]
    async fn the_time_that_is_allowed_ends_it_and_what_came_is_kept() {
        let within = Window { from: jiff::Timestamp::MIN, until: jiff::Timestamp::MAX };
        let what = What::Events { warnings: true };
        let one = Ask { place: Place::default(), within, what, except: Vec::new() };
        let (_wish, stop) = watch::channel(false);
        let until = Instant::now() + Duration::from_millis(30);
        let mut bounds = Bounds { entries_max: 100, until, stop };
        let (sink, mut pieces) = tokio::sync::mpsc::channel(4);
        let mut asked = Asked::default();
        let asks = [one.clone(), one];
        ask(&Slow, &asks, &mut bounds, &mut asked, &Nobody, &sink).await.unwrap();
        drop(sink);
        assert!(pieces.recv().await.is_some_and(|piece| piece.name == "slow/00001.json"));
        // Of the second question not even the first page is asked for any more.
        assert_eq!((asked.requests, asked.left.len()), (1, 2));
        assert!(asked.left.iter().all(|(_, why)| why.contains("--max-time")), "{:?}", asked.left);
    }
}
