//! A progress bar on standard error, for people who wait: only on a terminal, and only once
//! reading has taken a second.

use std::io::IsTerminal as _;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use sunup_api::show;
use sunup_intake::Progress;

/// How long reading may take before a bar appears.
const PATIENCE: Duration = Duration::from_secs(1);
/// How often the bar is drawn, per second.
const DRAWS_PER_SECOND: u8 = 10;

/// The bar; it is wiped when it is dropped.
#[derive(Debug)]
pub(crate) struct Bar {
    bar: ProgressBar,
    began: Instant,
    shown: AtomicBool,
}

impl Bar {
    /// A bar for standard error; `None` where nobody watches it.
    pub(crate) fn new() -> Option<Arc<Self>> {
        if !std::io::stderr().is_terminal() {
            return None;
        }
        let bar = ProgressBar::with_draw_target(Some(0), ProgressDrawTarget::hidden());
        let bar = Bar { bar, began: Instant::now(), shown: AtomicBool::new(false) };
        bar.style("{spinner} {bytes} {bytes_per_sec} {wide_msg}");
        Some(Arc::new(bar))
    }

    fn style(&self, template: &str) {
        if let Ok(style) = ProgressStyle::with_template(template) {
            self.bar.set_style(style);
        }
    }
}

impl Progress for Bar {
    fn total(&self, bytes: u64) {
        self.bar.set_length(bytes);
        // Of a stream nobody knows how long it is: no bar then.
        if bytes > 0 {
            self.style("{bar:24} {bytes}/{total_bytes} {bytes_per_sec} {wide_msg}");
        }
    }

    fn advance(&self, bytes: u64) {
        if self.began.elapsed() > PATIENCE && !self.shown.swap(true, Ordering::Relaxed) {
            self.bar.set_draw_target(ProgressDrawTarget::stderr_with_hz(DRAWS_PER_SECOND));
        }
        self.bar.inc(bytes);
    }

    fn file(&self, name: &str) {
        // A file's name may hold anything, escape sequences too.
        self.bar.set_message(show::line(name));
    }
}

impl Drop for Bar {
    fn drop(&mut self) {
        self.bar.finish_and_clear();
    }
}
