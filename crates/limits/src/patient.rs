//! A stream whose peer has to take what is sent to it within a time.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::{Sleep, sleep};

/// Waits for its peer to read, so long and no longer. The time runs from the first write that had
/// to wait until all that was written is out, so that a peer that reads a byte now and then wins
/// nothing by it. While nothing has to wait there is no timer.
pub struct Patient<S> {
    stream: S,
    limit: Duration,
    waits: Option<Pin<Box<Sleep>>>,
    heard: Option<Box<dyn Fn() + Send + Sync>>,
}

impl<S> Patient<S> {
    /// A stream, and how long a write may wait.
    #[must_use]
    pub fn new(stream: S, limit: Duration) -> Self {
        Self { stream, limit, waits: None, heard: None }
    }

    /// The same; `heard` is told whenever something was read.
    #[must_use]
    pub fn listening(stream: S, limit: Duration, heard: Box<dyn Fn() + Send + Sync>) -> Self {
        Self { heard: Some(heard), ..Self::new(stream, limit) }
    }

    /// Looks at the clock where a write has to wait.
    fn wait<T>(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<T>> {
        let limit = self.limit;
        let waits = self.waits.get_or_insert_with(|| Box::pin(sleep(limit)));
        match waits.as_mut().poll(cx) {
            Poll::Ready(()) => Poll::Ready(Err(io::ErrorKind::TimedOut.into())),
            Poll::Pending => Poll::Pending,
        }
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Patient<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let before = buffer.filled().len();
        let read = Pin::new(&mut self.stream).poll_read(cx, buffer);
        if buffer.filled().len() > before
            && let Some(heard) = &self.heard
        {
            heard();
        }
        read
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Patient<S> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        match Pin::new(&mut self.stream).poll_write(cx, bytes) {
            Poll::Pending => self.wait(cx),
            written => written,
        }
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        parts: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        match Pin::new(&mut self.stream).poll_write_vectored(cx, parts) {
            Poll::Pending => self.wait(cx),
            written => written,
        }
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match Pin::new(&mut self.stream).poll_flush(cx) {
            Poll::Pending => self.wait(cx),
            flushed => {
                self.waits = None;
                flushed
            }
        }
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match Pin::new(&mut self.stream).poll_shutdown(cx) {
            Poll::Pending => self.wait(cx),
            done => done,
        }
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
    use tokio::time::Instant;

    use super::*;

    const LIMIT: Duration = Duration::from_millis(300);

    #[tokio::test]
    async fn a_peer_that_does_not_read_or_reads_a_byte_now_and_then_is_given_up() {
        for slowly in [false, true] {
            let (ours, mut theirs) = tokio::io::duplex(16);
            let mut ours = Patient::new(ours, LIMIT);
            tokio::spawn(async move {
                while slowly && theirs.read_u8().await.is_ok() {
                    tokio::time::sleep(Duration::from_millis(30)).await;
                }
                std::future::pending::<()>().await;
            });
            let begun = Instant::now();
            let error = ours.write_all(&[0; 1000]).await.unwrap_err();
            assert_eq!(error.kind(), io::ErrorKind::TimedOut);
            assert!(begun.elapsed() < LIMIT * 20, "{:?}", begun.elapsed());
        }
    }

    #[tokio::test]
    async fn a_peer_that_reads_is_waited_for_as_often_as_it_takes() {
        let (ours, mut theirs) = tokio::io::duplex(16);
        let mut ours = Patient::new(ours, LIMIT);
        let reader = tokio::spawn(async move {
            let mut all = 0;
            while all < 16 * 8 {
                tokio::time::sleep(LIMIT / 3).await;
                all += theirs.read(&mut [0; 16]).await.unwrap_or(0);
            }
        });
        for _ in 0..8 {
            ours.write_all(&[1; 16]).await.unwrap();
            ours.flush().await.unwrap();
        }
        reader.await.unwrap();
    }
}
