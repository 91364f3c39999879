//! Places among the connections of one port. A newcomer always gets one: where none is free, a
//! connection of whoever has most of them leaves, the one that has done nothing for longest. So
//! nobody holds a port by being there first, and who asks seldom, as a kubelet does, is served.

use std::cmp::Reverse;
use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::Notify;
use tokio::time::{Instant, sleep_until};

/// The places of one port.
#[derive(Debug, Clone)]
pub struct Places(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    total: usize,
    per_peer: usize,
    friends: Vec<IpAddr>,
    begun: Instant,
    taken: Mutex<Taken>,
}

#[derive(Debug, Default)]
struct Taken {
    by_peer: HashMap<IpAddr, Vec<Arc<Guest>>>,
    count: usize,
}

/// A connection that has a place.
#[derive(Debug)]
struct Guest {
    /// Requests under way.
    busy: AtomicU64,
    /// When it last did something, in microseconds since the port was opened.
    last: AtomicU64,
    /// It has sent a request before.
    known: AtomicBool,
    /// When the head that is being read began; 0: none is.
    head: AtomicU64,
    /// Somebody else has its place.
    asked_to_leave: AtomicBool,
    word: Notify,
}

/// How long a connection may take over what.
#[derive(Debug, Clone, Copy)]
pub struct Times {
    /// Its first request.
    pub first: Duration,
    /// Any other one.
    pub idle: Duration,
    /// The head of one, from its first byte on.
    pub head: Duration,
}

/// Why a connection has to end, though its client didn't end it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Overstayed {
    /// It did nothing for too long.
    Idle,
    /// The head of a request is not whole for too long.
    Head,
}

impl Places {
    /// `total` places, of which one peer gets `per_peer` at most. `friends` are not sent away for
    /// others: the node, from which the kubelet asks, and the pod itself.
    #[must_use]
    pub fn new(total: usize, per_peer: usize, friends: Vec<IpAddr>) -> Self {
        let (begun, taken) = (Instant::now(), Mutex::default());
        Self(Arc::new(Inner { total, per_peer, friends, begun, taken }))
    }

    /// Takes a place; and whether somebody has to leave for it.
    #[must_use]
    pub fn enter(&self, peer: IpAddr) -> (Place, bool) {
        let peer = peer.to_canonical();
        let guest = Arc::new(Guest {
            busy: AtomicU64::new(0),
            last: AtomicU64::new(self.0.now()),
            known: AtomicBool::new(false),
            head: AtomicU64::new(0),
            asked_to_leave: AtomicBool::new(false),
            word: Notify::new(),
        });
        let mut taken = self.0.lock();
        let own = taken.by_peer.get(&peer).map_or(0, Vec::len);
        let from = match own >= self.0.per_peer {
            true => Some(peer),
            false if taken.count >= self.0.total => taken.greediest(&self.0.friends),
            false => None,
        };
        let displaced = from.and_then(|from| taken.send_away(from)).is_some();
        taken.by_peer.entry(peer).or_default().push(Arc::clone(&guest));
        taken.count += 1;
        drop(taken);
        (Place { inner: Arc::clone(&self.0), peer, guest }, displaced)
    }

    /// Places that are taken.
    #[must_use]
    pub fn taken(&self) -> usize {
        self.0.lock().count
    }
}

impl Inner {
    fn lock(&self) -> MutexGuard<'_, Taken> {
        self.taken.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn now(&self) -> u64 {
        // 0 means never.
        u64::try_from(self.begun.elapsed().as_micros()).unwrap_or(u64::MAX).max(1)
    }

    fn at(&self, us: u64) -> Instant {
        self.begun + Duration::from_micros(us)
    }
}

impl Taken {
    /// Who has most places; friends only where there is nobody else. A place that was never used
    /// for a request counts as several.
    fn greediest(&self, friends: &[IpAddr]) -> Option<IpAddr> {
        let weight = |guests: &Vec<Arc<Guest>>| {
            let unused = guests.iter().filter(|guest| !guest.known.load(Ordering::Relaxed));
            guests.len() + UNUSED_WEIGHT * unused.count()
        };
        // Among equals whoever did nothing for longest.
        let idlest = |guests: &Vec<Arc<Guest>>| {
            guests.iter().map(|guest| Reverse(guest.last.load(Ordering::Relaxed))).max()
        };
        let most = self.by_peer.iter().max_by_key(|(peer, guests)| {
            let stranger = !friends.contains(peer) && !peer.is_loopback();
            (stranger, weight(guests), idlest(guests))
        });
        most.map(|(peer, _)| *peer)
    }

    /// Ends the connection of a peer that is least worth: idle before busy, then for longest.
    fn send_away(&mut self, peer: IpAddr) -> Option<()> {
        let guests = self.by_peer.get_mut(&peer)?;
        let worth = |guest: &Guest| {
            (guest.busy.load(Ordering::Relaxed) > 0, guest.last.load(Ordering::Relaxed))
        };
        let (at, _) = guests.iter().enumerate().min_by_key(|(_, guest)| worth(guest))?;
        let guest = guests.remove(at);
        if guests.is_empty() {
            self.by_peer.remove(&peer);
        }
        self.count -= 1;
        guest.asked_to_leave.store(true, Ordering::Relaxed);
        guest.word.notify_one();
        Some(())
    }
}

/// A place; given back when dropped.
#[derive(Debug)]
pub struct Place {
    inner: Arc<Inner>,
    peer: IpAddr,
    guest: Arc<Guest>,
}

impl Place {
    /// Whose it is.
    #[must_use]
    pub fn peer(&self) -> IpAddr {
        self.peer
    }

    /// A request begins; it lasts until what is returned is dropped.
    #[must_use]
    pub fn request(&self) -> Request {
        let (inner, guest) = (Arc::clone(&self.inner), Arc::clone(&self.guest));
        guest.busy.fetch_add(1, Ordering::Relaxed);
        guest.known.store(true, Ordering::Relaxed);
        guest.head.store(0, Ordering::Relaxed);
        guest.last.store(inner.now(), Ordering::Relaxed);
        Request { inner, guest }
    }

    /// Something came from the peer: the head of a request, where none is under way.
    pub fn heard(&self) {
        if self.guest.busy.load(Ordering::Relaxed) == 0 {
            let now = self.inner.now();
            let _ = self.guest.head.compare_exchange(0, now, Ordering::Relaxed, Ordering::Relaxed);
        }
    }

    /// Resolves once somebody else has the place.
    pub async fn displaced(&self) {
        while !self.guest.asked_to_leave.load(Ordering::Relaxed) {
            self.guest.word.notified().await;
        }
    }

    /// Resolves once it takes longer than that.
    pub async fn overstayed(&self, times: Times) -> Overstayed {
        loop {
            let now = Instant::now();
            let known = self.guest.known.load(Ordering::Relaxed);
            let (idle, head) = (if known { times.idle } else { times.first }, times.head);
            let last = self.inner.at(self.guest.last.load(Ordering::Relaxed)) + idle;
            let begun = self.guest.head.load(Ordering::Relaxed);
            let head = (begun > 0).then(|| self.inner.at(begun) + head);
            if self.guest.busy.load(Ordering::Relaxed) > 0 {
                sleep_until(now + idle.min(LOOK)).await;
                continue;
            }
            match head {
                Some(until) if until <= now => return Overstayed::Head,
                _ if last <= now => return Overstayed::Idle,
                _ => {}
            }
            let next = head.map_or(last, |head| head.min(last));
            // A head may begin at any time, and nobody says so here.
            sleep_until(next.min(now + LOOK)).await;
        }
    }
}

/// By how much more a place counts that no request was sent on.
const UNUSED_WEIGHT: usize = 8;
/// How long it may take until a deadline is noticed.
const LOOK: Duration = Duration::from_secs(1);

impl Drop for Place {
    fn drop(&mut self) {
        let mut taken = self.inner.lock();
        let Some(guests) = taken.by_peer.get_mut(&self.peer) else { return };
        let Some(at) = guests.iter().position(|guest| Arc::ptr_eq(guest, &self.guest)) else {
            return;
        };
        guests.swap_remove(at);
        if guests.is_empty() {
            taken.by_peer.remove(&self.peer);
        }
        taken.count -= 1;
    }
}

/// A request under way.
#[derive(Debug)]
pub struct Request {
    inner: Arc<Inner>,
    guest: Arc<Guest>,
}

impl Drop for Request {
    fn drop(&mut self) {
        self.guest.last.store(self.inner.now(), Ordering::Relaxed);
        self.guest.busy.fetch_sub(1, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn peer(n: u8) -> IpAddr {
        IpAddr::from([10, 0, 0, n])
    }

    async fn left(place: &Place) -> bool {
        tokio::time::timeout(Duration::ZERO, place.displaced()).await.is_ok()
    }

    #[tokio::test]
    async fn who_holds_most_gives_way_and_the_rare_guest_stays() {
        let places = Places::new(8, 6, vec![]);
        let (kubelet, _) = places.enter(peer(1));
        let mut greedy = Vec::new();
        for n in 0..20 {
            let (place, displaced) = places.enter(peer(2));
            assert_eq!(displaced, n >= 6, "{n}");
            greedy.push(place);
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        assert_eq!(places.taken(), 7);
        assert!(left(&greedy[0]).await && left(&greedy[13]).await && !left(&greedy[14]).await);
        let others: Vec<_> = (10..200).map(|n| places.enter(peer(n)).0).collect();
        assert_eq!(places.taken(), 8);
        assert!(!left(&others[189]).await, "the newest stays");
        drop((kubelet, greedy, others));
        assert_eq!(places.taken(), 0);
    }

    #[tokio::test]
    async fn who_asks_stays_beside_many_who_only_connect() {
        let places = Places::new(8, 8, vec![]);
        let asks: Vec<_> = (0..3).map(|_| places.enter(peer(1)).0).collect();
        asks.iter().for_each(|place| drop(place.request()));
        let silent: Vec<_> = (10..100).map(|n| places.enter(peer(n)).0).collect();
        for place in &asks {
            assert!(!left(place).await);
        }
        let mut gone = 0;
        for place in &silent {
            gone += usize::from(left(place).await);
        }
        assert_eq!(gone, 85);
        assert!(left(&silent[0]).await && !left(&silent[89]).await);
    }

    #[tokio::test]
    async fn friends_and_requests_under_way_go_last() {
        let places = Places::new(3, 3, vec![peer(1)]);
        let (friend, _) = places.enter(peer(1));
        let (second, _) = places.enter(peer(1));
        let (stranger, _) = places.enter(peer(2));
        let (next, displaced) = places.enter(peer(3));
        assert!(displaced && left(&stranger).await && !left(&friend).await);
        let busy = next.request();
        tokio::time::sleep(Duration::from_millis(5)).await;
        let (same, _) = places.enter(peer(3));
        assert!(left(&next).await, "the only stranger there was");
        drop((busy, same, second));
        let places = Places::new(2, 2, vec![]);
        let (old, _) = places.enter(peer(4));
        let request = old.request();
        tokio::time::sleep(Duration::from_millis(5)).await;
        let (idle, _) = places.enter(peer(4));
        let (_newest, _) = places.enter(peer(4));
        assert!(left(&idle).await && !left(&old).await);
        drop(request);
    }

    #[tokio::test]
    async fn idleness_and_slow_heads_end() {
        let [first, idle, head] = [1000, 2500, 500].map(Duration::from_millis);
        let times = Times { first, idle, head };
        let places = Places::new(2, 2, vec![]);
        let (place, _) = places.enter(peer(1));
        let begun = Instant::now();
        assert_eq!(place.overstayed(times).await, Overstayed::Idle);
        assert!(begun.elapsed() >= first && begun.elapsed() < first + Duration::from_secs(2));
        let request = place.request();
        assert!(tokio::time::timeout(idle * 2, place.overstayed(times)).await.is_err());
        drop(request);
        let begun = Instant::now();
        assert_eq!(place.overstayed(times).await, Overstayed::Idle);
        assert!(begun.elapsed() >= idle && begun.elapsed() < idle + Duration::from_secs(2));
        drop(place.request());
        place.heard();
        let begun = Instant::now();
        assert_eq!(place.overstayed(times).await, Overstayed::Head);
        assert!(begun.elapsed() < head + Duration::from_secs(2));
    }
}
