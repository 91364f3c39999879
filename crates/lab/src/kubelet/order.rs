//! What the kubelet does next for a pod: pure, from what its containers do now.
//!
//! # Sources
//! Kubernetes documentation, "Pod Lifecycle", "Init Containers", "Sidecar Containers";
//! `pkg/kubelet/kuberuntime/kuberuntime_container.go` (`computeInitContainerActions`),
//! `kuberuntime_manager.go` (`computePodActions`, `doBackOff`), 1.29 to 1.33.

use std::time::{Duration, Instant};

use crate::manifest::RestartPolicy;

/// What a container is to its pod.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    /// Runs to its end before the next one starts.
    Init,
    /// An init container that goes on running.
    Sidecar,
    /// An application.
    Main,
}

/// What a container does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Doing {
    /// It was never started.
    Nothing,
    /// It runs; whether it counts as started.
    Runs { started: bool },
    /// It ended with a code; it may be started again from this instant on.
    Ended { code: i32, again: Instant },
}

/// What is to be done.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Next {
    /// Start this container (by its place among all, init containers first).
    Start(usize),
    /// Nothing until something happens, or until that instant.
    Wait(Option<Instant>),
    /// All applications have ended for good: sidecars are asked to end.
    StopSidecars,
    /// All is over; whether it went well.
    Finish(bool),
}

/// Decides for one pod. `initialized`: an application has been started before.
pub(crate) fn next(
    containers: &[(Kind, Doing)],
    policy: RestartPolicy,
    initialized: bool,
    now: Instant,
) -> Next {
    let mut wake: Option<Instant> = None;
    let mut later = |at: Instant| wake = Some(wake.map_or(at, |w: Instant| w.min(at)));
    let over = initialized && applications_over(containers, policy);
    if !over {
        // Sidecars that ended run again, whatever else happens.
        for (index, (kind, doing)) in containers.iter().enumerate() {
            if let (Kind::Sidecar, Doing::Ended { again, .. }) = (kind, doing) {
                if *again <= now {
                    return Next::Start(index);
                }
                later(*again);
            }
        }
    }
    if !initialized {
        for (index, (kind, doing)) in containers.iter().enumerate() {
            match (kind, doing) {
                (Kind::Main, _) => break,
                (_, Doing::Nothing) => return Next::Start(index),
                (Kind::Init, Doing::Ended { code: 0, .. })
                | (Kind::Sidecar, Doing::Runs { started: true }) => {}
                (Kind::Init, Doing::Ended { again, .. }) => {
                    if policy == RestartPolicy::Never {
                        return stop_or_finish(containers, false);
                    }
                    if *again <= now {
                        return Next::Start(index);
                    }
                    later(*again);
                    return Next::Wait(wake);
                }
                _ => return Next::Wait(wake),
            }
        }
    }
    if over {
        let well = containers.iter().all(|(kind, doing)| {
            *kind != Kind::Main || matches!(doing, Doing::Ended { code: 0, .. })
        });
        return stop_or_finish(containers, well);
    }
    // Those that were never started come before those that start again: the kubelet has made its
    // list before the first of them could end.
    let mains = || containers.iter().enumerate().filter(|(_, (kind, _))| *kind == Kind::Main);
    if let Some((index, _)) = mains().find(|(_, (_, doing))| *doing == Doing::Nothing) {
        return Next::Start(index);
    }
    for (index, (_, doing)) in mains() {
        if let Doing::Ended { code, again } = doing
            && runs_again(policy, *code)
        {
            if *again <= now {
                return Next::Start(index);
            }
            later(*again);
        }
    }
    Next::Wait(wake)
}

fn runs_again(policy: RestartPolicy, code: i32) -> bool {
    match policy {
        RestartPolicy::Always => true,
        RestartPolicy::OnFailure => code != 0,
        RestartPolicy::Never => false,
    }
}

fn applications_over(containers: &[(Kind, Doing)], policy: RestartPolicy) -> bool {
    containers.iter().all(|(kind, doing)| match (kind, doing) {
        (Kind::Main, Doing::Ended { code, .. }) => !runs_again(policy, *code),
        (Kind::Main, _) => false,
        _ => true,
    })
}

fn stop_or_finish(containers: &[(Kind, Doing)], well: bool) -> Next {
    let runs = |(kind, doing): &(Kind, Doing)| {
        *kind == Kind::Sidecar && matches!(doing, Doing::Runs { .. })
    };
    if containers.iter().any(runs) { Next::StopSidecars } else { Next::Finish(well) }
}

/// How long a container that ended stays down: not at all the first time, then 10 s, doubling up
/// to 5 minutes; forgotten after it ran for 10 minutes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct BackOff {
    pub(crate) delay: Duration,
}

/// The delays of a restart back-off: shorter in tests.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BackOffTimes {
    /// The first; 10 s.
    pub first: Duration,
    /// The longest; 5 minutes.
    pub longest: Duration,
    /// After this long a run all is forgotten; 10 minutes.
    pub forget: Duration,
}

impl Default for BackOffTimes {
    fn default() -> Self {
        Self {
            first: Duration::from_secs(10),
            longest: Duration::from_secs(300),
            forget: Duration::from_secs(600),
        }
    }
}

impl BackOff {
    pub(crate) fn new() -> Self {
        Self { delay: Duration::ZERO }
    }

    /// It ended after a run of this length: how long it stays down.
    pub(crate) fn ended(&mut self, ran: Duration, times: &BackOffTimes) -> Duration {
        if ran >= times.forget {
            self.delay = Duration::ZERO;
        }
        self.delay
    }

    /// It is started again.
    pub(crate) fn restarted(&mut self, times: &BackOffTimes) {
        self.delay =
            if self.delay.is_zero() { times.first } else { (self.delay * 2).min(times.longest) };
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const UP: Doing = Doing::Runs { started: true };
    const COMING: Doing = Doing::Runs { started: false };

    fn ended(code: i32, now: Instant) -> Doing {
        Doing::Ended { code, again: now }
    }

    #[test]
    fn init_containers_run_one_after_another() {
        let now = Instant::now();
        let next = |a, b| {
            let all = [(Kind::Init, a), (Kind::Init, b), (Kind::Main, Doing::Nothing)];
            next(&all, RestartPolicy::Always, false, now)
        };
        assert_eq!(next(Doing::Nothing, Doing::Nothing), Next::Start(0));
        assert_eq!(next(UP, Doing::Nothing), Next::Wait(None));
        assert_eq!(next(ended(0, now), Doing::Nothing), Next::Start(1));
        assert_eq!(next(ended(1, now), Doing::Nothing), Next::Start(0));
        assert_eq!(next(ended(0, now), UP), Next::Wait(None));
        assert_eq!(next(ended(0, now), ended(0, now)), Next::Start(2));
        let later = now + Duration::from_secs(10);
        let failed = Doing::Ended { code: 1, again: later };
        assert_eq!(next(failed, Doing::Nothing), Next::Wait(Some(later)));
    }

    #[test]
    fn a_native_sidecar_that_has_not_started_holds_up_what_follows() {
        let now = Instant::now();
        let next = |sidecar, init| {
            let all = [(Kind::Sidecar, sidecar), (Kind::Init, init), (Kind::Main, Doing::Nothing)];
            next(&all, RestartPolicy::Always, false, now)
        };
        assert_eq!(next(Doing::Nothing, Doing::Nothing), Next::Start(0));
        assert_eq!(next(COMING, Doing::Nothing), Next::Wait(None));
        assert_eq!(next(UP, Doing::Nothing), Next::Start(1));
        assert_eq!(next(UP, ended(0, now)), Next::Start(2));
        // It is started again even while an init container runs, which goes on meanwhile.
        assert_eq!(next(ended(0, now), UP), Next::Start(0));
        assert_eq!(next(COMING, UP), Next::Wait(None));
    }

    #[test]
    fn a_sidecar_that_restarts_later_holds_up_nothing() {
        let now = Instant::now();
        let all = [(Kind::Sidecar, COMING), (Kind::Main, ended(1, now))];
        assert_eq!(next(&all, RestartPolicy::Always, true, now), Next::Start(1));
    }

    #[test]
    fn a_job_ends_with_its_applications_and_native_sidecars_with_it() {
        let now = Instant::now();
        let next = |sidecar, main, policy| {
            next(&[(Kind::Sidecar, sidecar), (Kind::Main, main)], policy, true, now)
        };
        let (never, on_failure) = (RestartPolicy::Never, RestartPolicy::OnFailure);
        assert_eq!(next(UP, ended(0, now), never), Next::StopSidecars);
        assert_eq!(next(ended(0, now), ended(0, now), never), Next::Finish(true));
        assert_eq!(next(ended(143, now), ended(1, now), never), Next::Finish(false));
        assert_eq!(next(UP, ended(1, now), on_failure), Next::Start(1));
        assert_eq!(next(UP, ended(0, now), on_failure), Next::StopSidecars);
        // A classic sidecar is an application to the kubelet: the pod never ends.
        let classic = [(Kind::Main, ended(0, now)), (Kind::Main, UP)];
        assert_eq!(super::next(&classic, never, true, now), Next::Wait(None));
    }

    #[test]
    fn a_failed_init_container_that_may_not_run_again_fails_the_pod() {
        let now = Instant::now();
        let all = [(Kind::Init, ended(1, now)), (Kind::Main, Doing::Nothing)];
        assert_eq!(next(&all, RestartPolicy::Never, false, now), Next::Finish(false));
    }

    #[test]
    fn what_was_never_started_comes_before_what_starts_again() {
        let now = Instant::now();
        let all = [(Kind::Main, ended(1, now)), (Kind::Main, Doing::Nothing)];
        assert_eq!(next(&all, RestartPolicy::Always, true, now), Next::Start(1));
    }

    #[test]
    fn back_off_doubles_from_ten_seconds_to_five_minutes_and_forgets() {
        let times = BackOffTimes::default();
        let mut back_off = BackOff::new();
        let short = Duration::from_secs(1);
        let waits: Vec<u64> = (0..8)
            .map(|_| {
                let wait = back_off.ended(short, &times);
                back_off.restarted(&times);
                wait.as_secs()
            })
            .collect();
        assert_eq!(waits, [0, 10, 20, 40, 80, 160, 300, 300]);
        assert_eq!(back_off.ended(Duration::from_secs(601), &times), Duration::ZERO);
    }
}
