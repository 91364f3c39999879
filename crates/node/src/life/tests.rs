//! Every order of events, and what must hold after each.

use super::*;

const DEADLINE: Duration = Duration::from_secs(60);

fn looked(proxy: bool, elsewhere: bool, other: bool, queued: u32) -> Event {
    Event::Looked(Look { proxy, elsewhere, other, queued })
}

fn all() -> Vec<Event> {
    vec![
        Event::Stood,
        Event::Failed("in use".into()),
        looked(false, false, false, 0),
        looked(false, false, false, 3),
        looked(true, false, false, 3),
        looked(false, true, false, 1),
        looked(false, false, true, 0),
        Event::Waits,
        Event::Ended,
        Event::ValidationOver,
        Event::ProxyFailed,
        Event::Gone,
    ]
}

/// What a caller has open, and what was last seen.
#[derive(Clone)]
struct World {
    life: Life,
    open: bool,
    now: Duration,
    /// Somebody has listened since the last expiry.
    listened: bool,
}

impl World {
    fn take(&mut self, event: &Event, actions: Vec<Action>, told: &str) {
        let before = self.open;
        match event {
            Event::Stood => self.open = self.life.phase() == Phase::StoodIn,
            Event::Looked(look) => {
                self.listened |= look.proxy || look.elsewhere;
            }
            _ => {}
        }
        let (mut closes, mut binds) = (0, 0);
        for action in actions {
            match action {
                Action::StandIn => {
                    binds += 1;
                    assert!(!before && !self.open, "bound twice: {told}");
                    assert!(self.listened, "stood in again after the deadline: {told}");
                    if let Event::Looked(look) = event {
                        let seen = look.proxy || look.elsewhere || look.other;
                        assert!(!seen, "stood in where somebody listens: {told}");
                    }
                }
                Action::Close(close) => {
                    closes += 1;
                    assert!(before, "closed what was not open: {told}");
                    self.open = false;
                    let proxy = matches!(event, Event::Looked(look) if look.proxy);
                    let handed = matches!(close, Close::HandedOver { .. });
                    assert_eq!(handed, proxy, "handed over to the proxy and nobody else: {told}");
                    if matches!(close, Close::Expired { .. }) {
                        self.listened = false;
                    }
                }
                Action::Tell(_) => {}
            }
        }
        assert!(closes + binds <= 1, "{told}");
        let phase = self.life.phase();
        assert_eq!(self.open, phase == Phase::StoodIn, "{told}: {phase:?}");
        // What is open is looked at, soon where somebody waits or nobody would be heard; who is gone
        // never.
        match phase {
            Phase::StoodIn | Phase::Waiting => {
                let at = self.life.look_at().expect("a look is due");
                let most = match (phase, self.life.waited()) {
                    (Phase::StoodIn, None) => REST,
                    (Phase::StoodIn, Some(_)) => FAST,
                    _ => SLOW,
                };
                assert!(at <= self.now + most, "{told}");
                let heard = *event == Event::Waits && self.life.hears_of_waiting();
                assert!(!heard || at == self.now, "{told}");
            }
            Phase::Gone | Phase::Binding => assert_eq!(self.life.look_at(), None, "{told}"),
            // A look that has told who listens is not followed by another.
            Phase::Served => {
                if matches!(event, Event::Looked(_)) {
                    assert_eq!(self.life.look_at(), None, "{told}");
                }
            }
            Phase::Expired | Phase::Unfit => {
                let at = self.life.look_at().expect("a look is due");
                assert!(at <= self.now + REST, "{told}");
            }
        }
    }
}

fn walk(world: &World, events: &[Event], step: Duration, depth: u32, count: &mut u64) {
    if depth == 0 {
        return;
    }
    for event in events {
        let mut next = world.clone();
        next.now += step;
        let before = next.life.phase();
        let actions = next.life.step(next.now, event.clone());
        *count += 1;
        next.take(event, actions, &format!("{before:?} {event:?}"));
        walk(&next, events, step, depth - 1, count);
    }
}

#[test]
fn every_order_of_events_keeps_what_must_hold() {
    let events = all();
    let mut count = 0;
    for begin in [Begin::Fresh, Begin::Validation, Begin::Running] {
        // As fast as it can be, and with a deadline passing every three events.
        for step in [Duration::ZERO, Duration::from_secs(25)] {
            let (life, actions) = Life::new(Duration::ZERO, DEADLINE, begin);
            assert_eq!(actions.len(), usize::from(begin == Begin::Fresh));
            let world = World { life, open: false, now: Duration::ZERO, listened: true };
            walk(&world, &events, step, 5, &mut count);
        }
    }
    assert!(count > 1_000_000, "{count}");
}

/// Steps through a story; the actions of each.
fn story(begin: Begin, events: &[(u64, Event)]) -> (Life, Vec<Vec<Action>>) {
    let (mut life, first) = Life::new(Duration::ZERO, DEADLINE, begin);
    let mut all = vec![first];
    for (ms, event) in events {
        all.push(life.step(Duration::from_millis(*ms), event.clone()));
    }
    (life, all)
}

#[test]
fn a_start_is_stood_in_handed_over_and_stood_in_again_when_the_proxy_dies() {
    let (life, actions) = story(
        Begin::Fresh,
        &[
            (1, Event::Stood),
            (11, looked(false, false, false, 0)),
            (21, looked(false, false, false, 2)),
            (521, looked(true, false, false, 5)),
            (9000, Event::Ended),
            (9001, looked(false, false, false, 0)),
            (9002, Event::Stood),
        ],
    );
    let waited = Some(Duration::from_millis(500));
    assert_eq!(actions[0], [Action::StandIn]);
    assert_eq!(actions[4], [Action::Close(Close::HandedOver { queued: 5, waited })]);
    assert_eq!((&actions[5], &actions[6]), (&vec![], &vec![Action::StandIn]));
    assert_eq!(life.phase(), Phase::StoodIn);
}

#[test]
fn a_pod_that_runs_is_looked_at_before_anything_is_bound() {
    let begun = Life::new(Duration::ZERO, DEADLINE, Begin::Running);
    assert_eq!((begun.0.phase(), begun.0.look_at()), (Phase::Served, Some(Duration::ZERO)));
    let (life, actions) = story(Begin::Running, &[(0, looked(true, false, false, 0))]);
    assert_eq!((life.look_at(), &actions[1]), (None, &vec![]));
    let (_, actions) = story(Begin::Running, &[(0, looked(false, false, false, 0))]);
    assert_eq!(actions[1], [Action::StandIn]);
}

#[test]
fn one_of_several_workers_ending_changes_nothing() {
    let (life, actions) = story(
        Begin::Fresh,
        &[
            (1, Event::Stood),
            (2, looked(true, false, false, 0)),
            (3, Event::Ended),
            (4, looked(true, false, false, 0)),
        ],
    );
    assert_eq!((life.phase(), life.look_at()), (Phase::Served, None));
    assert_eq!(actions[4], []);
}

#[test]
fn the_deadline_counts_from_the_first_that_waits_and_then_the_gate_decides_alone() {
    let (mut life, actions) = story(
        Begin::Fresh,
        &[
            (1, Event::Stood),
            (200_000, looked(false, false, false, 1)),
            (259_999, looked(false, false, false, 4)),
            (260_000, looked(false, false, false, 4)),
        ],
    );
    assert_eq!(actions[3], []);
    assert_eq!(actions[4], [Action::Close(Close::Expired { queued: 4 })]);
    assert_eq!((life.phase(), life.look_at()), (Phase::Expired, Some(Duration::from_secs(261))));
    // The ends of what was reset in its queue are none of a proxy.
    let nobody = looked(false, false, false, 0);
    assert_eq!(life.step(Duration::from_secs(260), Event::Ended), []);
    assert_eq!(life.step(Duration::from_secs(261), nobody.clone()), []);
    // Somebody comes after all, and ends: the next outage is a new one.
    assert_eq!(life.step(Duration::from_secs(270), looked(true, false, false, 0)), []);
    assert_eq!(life.step(Duration::from_secs(300), Event::Ended), []);
    assert_eq!(life.step(Duration::from_secs(300), nobody), [Action::StandIn]);
}

#[test]
fn a_stand_in_that_nobody_uses_makes_way_in_the_end() {
    let idle = looked(false, false, false, 0);
    let (life, actions) =
        story(Begin::Fresh, &[(0, Event::Stood), (299_999, idle.clone()), (300_000, idle)]);
    assert_eq!(actions[3], [Action::Close(Close::Expired { queued: 0 })]);
    assert_eq!(life.phase(), Phase::Expired);
}

#[test]
fn under_cni_the_validations_listener_comes_and_goes_first() {
    let nobody = looked(false, false, false, 0);
    let validation = looked(false, false, true, 0);
    let (_, actions) = story(
        Begin::Validation,
        &[(10, nobody.clone()), (20, validation.clone()), (30, validation), (40, nobody.clone())],
    );
    assert_eq!(actions[0], []);
    assert_eq!(actions[4], [Action::StandIn]);
    // Too short to be seen: the pod's status tells.
    let (_, actions) = story(Begin::Validation, &[(10, nobody), (900, Event::ValidationOver)]);
    assert_eq!(actions[2], [Action::StandIn]);
}

#[test]
fn a_proxy_that_ends_without_having_listened_finds_the_port_free_next_time() {
    let (life, actions) = story(
        Begin::Fresh,
        &[(0, Event::Stood), (10, looked(false, false, false, 2)), (900, Event::ProxyFailed)],
    );
    assert_eq!(actions[3][0], Action::Close(Close::Withdrawn { queued: 2 }));
    assert_eq!(life.phase(), Phase::Unfit);
}

#[test]
fn who_waits_is_heard_of_and_then_looked_for_often() {
    let look = |life: &mut Life, seconds: u64, queued| {
        let now = Duration::from_secs(seconds);
        life.step(now, looked(false, false, false, queued));
        life.look_at().unwrap() - now
    };
    let (mut life, _) = story(Begin::Fresh, &[(0, Event::Stood)]);
    assert_eq!(look(&mut life, 1, 0), REST);
    assert!(life.hears_of_waiting());
    assert_eq!(look(&mut life, 2, 1), FAST);
    assert!(!life.hears_of_waiting(), "its queue is never empty from now on");
    // What waited was taken back; somebody may still come.
    assert_eq!(look(&mut life, 3, 0), FAST);
    let (mut life, _) = story(Begin::Fresh, &[(0, Event::Stood)]);
    life.step(Duration::from_millis(40_123), Event::Waits);
    assert_eq!(life.look_at(), Some(Duration::from_millis(40_123)));
    assert_eq!(look(&mut life, 41, 1), FAST);
    // Looks are due together.
    life.step(Duration::from_millis(41_017), looked(false, false, false, 1));
    assert_eq!(life.look_at(), Some(Duration::from_millis(41_020)));
}

#[test]
fn who_waited_in_a_stand_in_that_was_taken_over_waits_no_longer_for_it() {
    let (mut life, _) = story(Begin::Fresh, &[(1, Event::Stood)]);
    life.has_waited(Duration::from_secs(0));
    let (mut life, _) = {
        assert_eq!(life.waited(), Some(Duration::ZERO));
        story(Begin::Fresh, &[(100_000, Event::Stood)])
    };
    life.has_waited(Duration::from_secs(50));
    let late = life.step(Duration::from_secs(110), looked(false, false, false, 2));
    assert_eq!(late, [Action::Close(Close::Expired { queued: 2 })]);
}
