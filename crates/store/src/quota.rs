//! What is done when a store says that it was asked too often (RFC 6585, 429).

use std::time::Duration;

use http::HeaderMap;
use tokio::time::Instant;

use crate::error::Trouble;
use crate::http::after;
use crate::run::Watch;

/// For how long a question is asked again.
const GIVES_UP: Duration = Duration::from_secs(300);
/// The longest wait between two tries.
const LONGEST: Duration = Duration::from_secs(60);

/// The patience that one question has.
pub(crate) struct Patience {
    began: Instant,
    wait: Duration,
}

impl Patience {
    /// Waits so long first; twice as long each time after.
    pub(crate) fn new(first: Duration) -> Patience {
        Patience { began: Instant::now(), wait: first }
    }

    /// Waits as long as the answer says, else longer than the last time, and tells who watches.
    ///
    /// # Errors
    /// [`Trouble::Quota`], where this went on for too long.
    pub(crate) async fn wait(
        &mut self,
        headers: &HeaderMap,
        watch: &dyn Watch,
    ) -> Result<(), Trouble> {
        if self.began.elapsed() >= GIVES_UP {
            return Err(Trouble::Quota(self.began.elapsed()));
        }
        let pause = after(headers).unwrap_or(self.wait);
        watch.waiting(pause);
        tokio::time::sleep(pause).await;
        self.wait = (self.wait * 2).min(LONGEST);
        Ok(())
    }
}
