//! One request to its destination and its answer to the client, with all that can go wrong between
//! them: a connection that died while it waited, an answer that makes no sense, a client that left.

use std::future::poll_fn;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::task::Poll;
use std::time::Instant;

use super::body::Body;
use super::head::{self, Onward, Response};
use super::pool::{self, Upstream};
use super::transfer::{Bodies, Fault, Outgoing, Transfer, pass_body};
use super::{Next, Prepared, Session};
use crate::access::{self, Record};
use crate::copy::{Blind, Counters, Ended, Moved, both_ways};
use crate::destination::{Peer, errno, notice_vanishing, reset};
use crate::flow;
use crate::gateway::file::Target;
use crate::http::HEAD_MAX;
use crate::metrics::Direction;
use crate::observe::Protocol;

/// What the access log says where nothing moved for the idle time; Envoy's word.
const IDLE: &str = "stream_idle_timeout";

/// What came of sending a request to a destination.
enum Outcome {
    Answered(u16, Next),
    /// Nothing was answered, and the connection is gone.
    Unanswered(std::io::Error),
    /// The answer is not HTTP, or not to be trusted.
    Nonsense(&'static str),
    /// The request's body is wrong, and nothing was answered yet.
    BadBody,
    /// Nothing moved for the idle time, and nothing was answered yet; the request was whole or not.
    Idle(bool),
    Broken(Fault),
}

impl<C: Peer> Session<'_, C> {
    /// Sends a request to its destination and the answer back.
    pub(super) async fn exchange(&mut self, mut request: Prepared) -> Next {
        let log = request.log.take();
        let begun = log.is_some().then(Instant::now);
        self.bodies = Bodies::default();
        self.moved.begin();
        self.guest.busy();
        self.input.drain(..request.length);
        let (mut record, next) = self.serve_one(&mut request).await;
        if let (Some(log), Some(begun)) = (log, begun) {
            record.moved = Moved { received: self.bodies.request, sent: self.bodies.answer };
            record.protocol = Protocol::Http1;
            record.http = Some(log);
            access::write(self.shared, &record, begun);
        }
        self.guest.idle();
        self.moved.end();
        next
    }

    async fn serve_one(&mut self, request: &mut Prepared) -> (Record, Next) {
        if request.misdirected {
            let why = "the host is not the one that TLS was made for";
            let next = self.fail(request, 421, why).await;
            return (Record::unsent(self.from, None, "NR", "misdirected", 421), next);
        }
        let Some(to) = request.to.clone() else {
            let next = self.fail(request, 404, "no route").await;
            return (Record::unsent(self.from, None, "NR", "route_not_found", 404), next);
        };
        let mut fresh = false;
        loop {
            let upstream = match self.upstream(&to, request.repeatable, fresh).await {
                Ok(upstream) => upstream,
                Err((to, IDLE)) => {
                    let next = self.fail(request, 504, "the destination does not answer").await;
                    return (Record::unsent(self.from, to, "SI", IDLE, 504), next);
                }
                Err((to, why)) => {
                    let next = self.fail(request, 503, "the destination can't be reached").await;
                    return (Record::unsent(self.from, to, "UF", why, 503), next);
                }
            };
            let mut record = Record::new(Direction::Gateway, self.from, upstream.address);
            if request.logged {
                record.upstream_local = upstream.stream.local_addr().ok();
            }
            // A destination may close a connection just when it is taken up again.
            let again = upstream.reused && request.repeatable;
            match self.attempt(request, upstream, again).await {
                Outcome::Unanswered(_) if again => fresh = true,
                outcome => {
                    let next = self.conclude(request, &mut record, outcome).await;
                    return (record, next);
                }
            }
        }
    }

    /// What the client and the records get to know of how it went.
    async fn conclude(
        &mut self,
        request: &Prepared,
        record: &mut Record,
        outcome: Outcome,
    ) -> Next {
        let (flags, details, status) = match outcome {
            Outcome::Answered(status, next) => {
                (record.details, record.status) = ("via_upstream", status);
                return next;
            }
            Outcome::Unanswered(error) => ("UC", errno(&error), 502),
            Outcome::Nonsense(why) => {
                let to = record.to();
                self.shared.log.warn(format_args!("gateway: the answer of {to}: {why}"));
                ("UPE", "bad-response", 502)
            }
            Outcome::Broken(Fault::Client) => ("DC", "client-left", 0),
            Outcome::Broken(Fault::Body) => ("DPE", "bad-body", 0),
            Outcome::Broken(Fault::Destination(_) | Fault::Answer) => ("UC", "broken-off", 0),
            Outcome::BadBody => ("DPE", "bad-body", 400),
            Outcome::Broken(Fault::Idle) => ("SI", IDLE, 0),
            Outcome::Idle(true) => ("SI", IDLE, 504),
            Outcome::Idle(false) => ("SI", IDLE, 408),
        };
        (record.flags, record.details, record.status) = (flags, details, status);
        if flags.starts_with('U') || flags == "SI" {
            let (from, to) = (self.from, record.to());
            self.shared.metrics.failed(Direction::Gateway, Some(to), details);
            let text = format_args!("gateway request from {from} to {to} failed: {details}");
            self.shared.log.warn(text);
        }
        match status {
            0 => Next::Reset,
            400 => self.fail(request, 400, "the body's framing is wrong").await,
            408 => self.fail(request, 408, "the body took too long").await,
            504 => self.fail(request, 504, "the destination does not answer").await,
            _ => self.fail(request, status, "the destination broke off").await,
        }
    }

    /// A connection to the request's destination: one that waits, or a new one.
    async fn upstream(
        &self,
        to: &Target,
        repeatable: bool,
        fresh: bool,
    ) -> Result<Upstream, (Option<SocketAddr>, &'static str)> {
        let addresses = self.routes.resolve(to).await;
        let waiting = if fresh { None } else { pool::take(&addresses, repeatable) };
        if let Some(upstream) = waiting {
            return Ok(upstream);
        }
        let (shared, from, name) = (self.shared, self.from, &to.name);
        if addresses.is_empty() {
            shared.metrics.failed(Direction::Gateway, None, "name-not-found");
            shared.log.warn(format_args!("gateway request from {from}: {name} has no address"));
            return Err((None, "name-not-found"));
        }
        let config = shared.config();
        // Boxed: connections wait much longer than they connect.
        let dial = Box::pin(flow::connect_any(&addresses, Direction::Gateway, from, &config));
        let mut dial = dial;
        let dialled = poll_fn(|cx| match dial.as_mut().poll(cx) {
            Poll::Pending if self.moved.is_over() => Poll::Ready(None),
            dialled => dialled.map(Some),
        });
        let Some(dialled) = dialled.await else { return Err((None, IDLE)) };
        match dialled {
            (Ok(stream), address) => {
                notice_vanishing(&stream);
                let http = shared.metrics.http(Direction::Gateway, address);
                Ok(Upstream { stream, address, http, reused: false })
            }
            (Err(error), address) => {
                let why = errno(&error);
                shared.metrics.failed(Direction::Gateway, Some(address), why);
                let text = format_args!("gateway request from {from} to {name} failed: {why}");
                shared.log.warn(text);
                Err((Some(address), why))
            }
        }
    }

    /// Sends the request, and the answer back. `again`: it will be sent once more if this fails.
    async fn attempt(
        &mut self,
        request: &mut Prepared,
        mut upstream: Upstream,
        again: bool,
    ) -> Outcome {
        let http = Arc::clone(&upstream.http);
        let mut out = Outgoing::default();
        if again {
            out.room().extend_from_slice(&request.head);
        } else {
            *out.room() = std::mem::take(&mut request.head);
        }
        let mut transfer = Transfer {
            client: &mut self.client,
            input: &mut self.input,
            destination: &mut upstream.stream,
            answer: Vec::new(),
            request: std::mem::replace(&mut request.body, Body::NONE),
            to_destination: out,
            to_client: Outgoing::default(),
            sent: false,
            moved: self.moved,
            guest: self.guest,
            bodies: &mut self.bodies,
            ended: None,
        };
        if transfer.take_input().is_err() {
            return Outcome::BadBody;
        }
        http.requests[0].fetch_add(1, Ordering::Relaxed);
        let draining = self.shared.is_draining();
        let answer = match answer(&mut transfer, request, draining).await {
            Ok(answer) => answer,
            Err(outcome) => return outcome,
        };
        let Answer { status, mut body, plain, reusable, keep } = answer;
        http.responses[0][usize::from(status / 100)].fetch_add(1, Ordering::Relaxed);
        if status == 101 {
            if let Err(fault) = transfer.reply().await {
                return Outcome::Broken(fault);
            }
            let first = std::mem::take(&mut self.input);
            return Outcome::Answered(101, self.tunnel(upstream, first).await);
        }
        if let Err(fault) = transfer.finish(&mut body, plain).await {
            return Outcome::Broken(fault);
        }
        let whole = transfer.sent && transfer.request.is_done();
        let quiet = transfer.answer.is_empty();
        if reusable && whole && quiet {
            pool::put(upstream);
        }
        Outcome::Answered(
            status,
            match (keep, whole && self.input.is_empty()) {
                (true, _) => Next::Again,
                (false, true) => Next::Close,
                (false, false) => Next::Linger,
            },
        )
    }

    /// What comes after a switch of protocols is none of our business.
    async fn tunnel(&mut self, mut upstream: Upstream, first: Vec<u8>) -> Next {
        let counters = Counters { received: &self.moved.received, sent: &self.moved.returned };
        let idle = self.shared.config().idle_timeout;
        let (client, other) = (&mut self.client, &mut upstream.stream);
        let mut blind = Blind;
        let (ended, _) =
            Box::pin(both_ways(client, other, first, idle, counters, &mut blind)).await;
        match ended {
            Ended::Closed | Ended::Idle => Next::Close,
            Ended::Destination(_) => Next::Reset,
            Ended::Client(_) => {
                reset(upstream.stream);
                Next::Close
            }
        }
    }
}

/// An answer whose head is on its way to the client.
struct Answer {
    status: u16,
    /// What is still to come.
    body: Body,
    /// It goes to the client without the framing of chunks.
    plain: bool,
    /// The destination's connection can take another request.
    reusable: bool,
    /// So can the client's.
    keep: bool,
}

/// Waits for the final answer's head, passing interim ones on.
async fn answer<C: Peer>(
    transfer: &mut Transfer<'_, C>,
    request: &Prepared,
    draining: bool,
) -> Result<Answer, Outcome> {
    let mut searched = 0;
    loop {
        let Some(end) = head::end(&transfer.answer, searched) else {
            searched = transfer.answer.len();
            if searched > HEAD_MAX {
                return Err(Outcome::Nonsense("its head is too long"));
            }
            transfer.answered().await.map_err(|fault| match fault {
                Fault::Destination(error) if searched == 0 => Outcome::Unanswered(error),
                Fault::Destination(_) => Outcome::Nonsense("it ends within its head"),
                Fault::Body => Outcome::BadBody,
                Fault::Idle => Outcome::Idle(transfer.sent && transfer.request.is_done()),
                other => Outcome::Broken(other),
            })?;
            continue;
        };
        let response = Response::read(&transfer.answer[..end], request.to_head);
        let response = response.map_err(Outcome::Nonsense)?;
        let status = response.status;
        let agreed = |asked: &String| head::agreed(asked, &response.protocols);
        if status == 101 && !request.upgrade.as_ref().is_some_and(agreed) {
            return Err(Outcome::Nonsense("it switches protocols unasked"));
        }
        let plain = request.http10 && matches!(response.body, Body::Chunked(_));
        let whole = transfer.sent && transfer.request.is_done();
        let ends = response.body == Body::UntilClose || plain;
        let keep = request.keep_alive && whole && !ends && !draining;
        if status >= 200 || status == 101 || !request.http10 {
            let onward = Onward { http10: request.http10, keep_alive: keep };
            response.write(transfer.to_client.room(), onward);
        }
        let (mut body, reusable) = (response.body, response.keep_alive);
        let rest = transfer.answer.split_off(end);
        if (100..200).contains(&status) && status != 101 {
            transfer.answer = rest;
            searched = 0;
            transfer.reply().await.map_err(Outcome::Broken)?;
            continue;
        }
        transfer.answer = Vec::new();
        if status == 101 {
            transfer.to_client.room().extend_from_slice(&rest);
            return Ok(Answer { status, body, plain, reusable: false, keep: false });
        }
        let taken = pass_body(&mut body, &rest, plain, &mut transfer.to_client);
        let taken = taken.map_err(Outcome::Broken)?;
        let n = taken.all;
        transfer.bodies.answer += n as u64;
        if !plain {
            transfer.to_client.room().extend_from_slice(&rest[..taken.on]);
            transfer.to_client.trailers(&mut body);
        }
        transfer.to_client.last = !keep && body.is_done();
        transfer.count_reply();
        return Ok(Answer { status, body, plain, reusable: reusable && n == rest.len(), keep });
    }
}
