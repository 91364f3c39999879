//! Every order of the events, and what must hold after each of them.

use super::*;

const SECOND: Duration = Duration::from_secs(1);

fn events() -> Vec<Event> {
    vec![
        Event::Open(Gate::Listeners),
        Event::Open(Gate::Configuration),
        Event::Open(Gate::Workers),
        Event::Shut { gate: Gate::Dns, why: "no name server answers".to_owned() },
        Event::Open(Gate::Dns),
        Event::End(Drain::UntilIdle(2 * SECOND)),
        Event::Connections(1),
        Event::Connections(0),
    ]
}

/// Visits every order of the items (Heap's algorithm).
fn orders(items: &mut [Event], count: usize, visit: &mut impl FnMut(&[Event])) {
    if count <= 1 {
        return visit(items);
    }
    for n in 0..count {
        orders(items, count - 1, visit);
        items.swap(if count.is_multiple_of(2) { n } else { 0 }, count - 1);
    }
}

/// What is true of a list of events, worked out without the machine.
fn expected_ready(seen: &[Event]) -> bool {
    let mut shut = vec![Gate::Listeners, Gate::Configuration, Gate::Workers];
    for event in seen {
        match event {
            Event::Open(gate) => shut.retain(|g| g != gate),
            Event::Shut { gate, .. } => shut.push(gate.clone()),
            Event::End(_) | Event::EndNow | Event::Failed(_) => return false,
            Event::Connections(_) | Event::Tick => {}
        }
    }
    shut.is_empty()
}

#[test]
fn every_order_of_events_is_ready_exactly_when_nothing_is_pending() {
    let mut count = 0;
    let mut walks = 0;
    let mut items = events();
    let length = items.len();
    orders(&mut items, length, &mut |order| {
        walks += 1;
        let mut machine = Machine::new();
        let mut said_ready = false;
        let mut exits = 0;
        for (n, event) in order.iter().enumerate() {
            let now = SECOND * u32::try_from(n).unwrap();
            for action in machine.step(now, event.clone()) {
                match action {
                    Action::SayReady => {
                        assert!(!said_ready, "said twice in {order:?}");
                        said_ready = true;
                    }
                    Action::SayUnready(why) => {
                        assert!(said_ready && !why.is_empty(), "{order:?}");
                        said_ready = false;
                    }
                    Action::Exit(code) => {
                        assert_eq!(code, 0);
                        exits += 1;
                        let asked = order.iter().position(|e| matches!(e, Event::End(_)));
                        assert!(n >= asked.unwrap() + 2, "left too early in {order:?}");
                        let last = order[..=n].iter().rev().find_map(|e| match e {
                            Event::Connections(count) => Some(*count),
                            _ => None,
                        });
                        assert_ne!(last, Some(1), "left with an open connection: {order:?}");
                    }
                    Action::BeginDrain => assert!(matches!(event, Event::End(_))),
                    Action::WakeAt(at) => assert_eq!(at, now + 2 * SECOND),
                }
            }
            if machine.phase() != Phase::Stopped {
                assert_eq!(machine.is_ready(), expected_ready(&order[..=n]), "{order:?} at {n}");
                assert_eq!(machine.is_ready(), said_ready, "{order:?} at {n}");
            }
            let silent = machine.describe(now).is_empty();
            assert!(!silent || machine.phase() == Phase::Stopped, "nothing said: {order:?}");
            count += 1;
        }
        assert!(exits <= 1);
    });
    assert_eq!((walks, count), (40_320, 322_560));
}

#[test]
fn a_fault_at_any_point_of_any_order_ends_with_a_failure() {
    let mut items = events();
    items.retain(|e| !matches!(e, Event::Connections(_)));
    let length = items.len();
    orders(&mut items, length, &mut |order| {
        for at in 0..order.len() {
            let mut machine = Machine::new();
            for event in &order[..at] {
                machine.step(SECOND, event.clone());
            }
            let failed = machine.step(SECOND, Event::Failed("out of files".to_owned()));
            assert_eq!(failed, [Action::Exit(1)]);
            for event in &order[at..] {
                assert_eq!(machine.step(3 * SECOND, event.clone()), [], "after the end");
            }
            assert!(!machine.is_ready());
        }
    });
}

#[test]
fn a_503_names_what_is_pending_and_since_when() {
    let mut machine = Machine::new();
    machine.step(SECOND, Event::Open(Gate::Listeners));
    machine.step(SECOND, Event::Open(Gate::Workers));
    let wrong = Event::Shut { gate: Gate::Configuration, why: "line 3: no such mode".to_owned() };
    machine.step(4 * SECOND, wrong);
    assert_eq!(
        machine.describe(Duration::from_millis(5_500)),
        "configuration: pending for 5.5s: line 3: no such mode\n"
    );
}

#[test]
fn a_port_that_is_lost_makes_it_unready_and_its_return_ready_again() {
    let mut machine = Machine::new();
    for gate in [Gate::Listeners, Gate::Configuration, Gate::Workers] {
        machine.step(SECOND, Event::Open(gate));
    }
    assert_eq!(machine.phase(), Phase::Ready);
    let lost = Event::Shut { gate: Gate::Port(80), why: "address in use".to_owned() };
    let said = machine.step(2 * SECOND, lost);
    let why = "port 80: pending for 0.0s: address in use\n".to_owned();
    assert_eq!(said, [Action::SayUnready(why)]);
    assert_eq!(machine.phase(), Phase::Unready);
    assert_eq!(machine.step(3 * SECOND, Event::Open(Gate::Port(80))), [Action::SayReady]);
}

#[test]
fn a_timed_drain_ends_on_time_whatever_is_open() {
    let mut machine = Machine::new();
    machine.step(SECOND, Event::Connections(7));
    let drain = machine.step(SECOND, Event::End(Drain::For(5 * SECOND)));
    assert_eq!(drain, [Action::BeginDrain, Action::WakeAt(6 * SECOND)]);
    assert_eq!(machine.step(2 * SECOND, Event::End(Drain::For(Duration::ZERO))), []);
    assert_eq!(machine.step(5 * SECOND, Event::Tick), []);
    assert_eq!(machine.step(6 * SECOND, Event::Tick), [Action::Exit(0)]);
}

#[test]
fn an_endless_drain_never_overflows() {
    let mut machine = Machine::new();
    let drain = machine.step(SECOND, Event::End(Drain::For(Duration::MAX)));
    assert_eq!(drain, [Action::BeginDrain, Action::WakeAt(Duration::MAX)]);
    assert_eq!(machine.step(SECOND, Event::EndNow), [Action::Exit(0)]);
}
