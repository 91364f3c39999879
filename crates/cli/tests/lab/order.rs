//! Order: init containers, native sidecars, postStart, probes, restarts, termination.

use std::collections::BTreeMap;
use std::time::Duration;

use sunup_lab::{Phase, Steps};

use crate::kit::{PATIENCE, has_reason, with_lab};

#[test]
fn init_containers_run_to_their_end_one_after_another() {
    with_lab("order::init_containers_run_to_their_end_one_after_another", |world| {
        let pod = world.run(
            "init",
            r#"
            initContainers:
            - {name: one, image: shell, args: ["sleep 0.3; echo one ends"]}
            - {name: two, image: shell, args: ["echo two begins"]}
            containers:
            - {name: app, image: shell, args: ["echo app begins; exec sleep 60"]}
            "#,
        );
        let one = world.line(&pod, "one", "one ends");
        let two = world.line(&pod, "two", "two begins");
        let app = world.line(&pod, "app", "app begins");
        assert!(one < two && two < app, "{one} {two} {app}");
        let status = world.until(&pod, |s| s.phase == Phase::Running && s.is_ready());
        let first = status.container("one").unwrap().state.terminated.clone().unwrap();
        assert_eq!((first.exit_code, first.reason), (0, "Completed"));
        // Before that the pod was Pending, and its later containers waited for their turn.
        let before = world.of(&pod).status;
        assert!(before.iter().any(|(_, s)| s.phase == Phase::Pending
            && has_reason(s, "two", "PodInitializing")
            && has_reason(s, "app", "PodInitializing")));
    });
}

#[test]
fn a_native_sidecar_has_started_before_what_follows_it() {
    with_lab("order::a_native_sidecar_has_started_before_what_follows_it", |world| {
        let pod = world.run(
            "native",
            r#"
            initContainers:
            - name: proxy
              image: shell
              restartPolicy: Always
              args: ["sleep 1; touch /tmp/up; echo proxy is up; exec sleep 60"]
              startupProbe: {exec: {command: [test, -e, /tmp/up]}, periodSeconds: 1, failureThreshold: 60}
            - {name: migrate, image: shell, args: ["echo migrate begins"]}
            containers:
            - {name: app, image: shell, args: ["echo app begins; exec sleep 60"]}
            "#,
        );
        let proxy = world.line(&pod, "proxy", "proxy is up");
        let migrate = world.line(&pod, "migrate", "migrate begins");
        let app = world.line(&pod, "app", "app begins");
        assert!(proxy < migrate && migrate < app, "{}", world.tell(&pod));
        world.event(&pod, "Unhealthy", "Startup probe failed");
        let status = world.until(&pod, |s| s.is_ready());
        assert!(status.container("proxy").unwrap().state.running.is_some());
    });
}

#[test]
fn a_post_start_hook_holds_up_the_next_container_but_not_its_own() {
    with_lab("order::a_post_start_hook_holds_up_the_next_container_but_not_its_own", |world| {
        let pod = world.run(
            "hook",
            r#"
            containers:
            - name: proxy
              image: shell
              args: ["echo proxy begins; sleep 1; touch /tmp/up; echo proxy is up; exec sleep 60"]
              lifecycle: {postStart: {exec: {command: [sh, -c, "until test -e /tmp/up; do sleep 0.05; done"]}}}
            - {name: app, image: shell, args: ["echo app begins; exec sleep 60"]}
            "#,
        );
        let up = world.line(&pod, "proxy", "proxy is up");
        let app = world.line(&pod, "app", "app begins");
        assert!(up < app, "{}", world.tell(&pod));
        // The hook runs beside its container's program, which began long before.
        let begins = world.line(&pod, "proxy", "proxy begins");
        assert!(app.duration_since(begins).as_millis() >= 900, "{}", world.tell(&pod));
    });
}

#[test]
fn a_failing_post_start_hook_ends_its_container() {
    with_lab("order::a_failing_post_start_hook_ends_its_container", |world| {
        let pod = world.run(
            "bad-hook",
            r#"
            terminationGracePeriodSeconds: 1
            containers:
            - name: app
              image: shell
              args: ["exec sleep 60"]
              lifecycle: {postStart: {exec: {command: [sh, -c, "echo no such luck; exit 3"]}}}
            "#,
        );
        world.event(&pod, "FailedPostStartHook", "no such luck");
        world.until(&pod, |s| s.restarts() >= 1);
    });
}

#[test]
fn a_container_that_ends_starts_again_at_once_and_then_after_a_doubling_delay() {
    let test = "order::a_container_that_ends_starts_again_at_once_and_then_after_a_doubling_delay";
    with_lab(test, |world| {
        let pod = world.run(
            "crash",
            r#"{containers: [{name: app, image: shell, args: ["echo begins; exit 1"]}]}"#,
        );
        let so = |r: &sunup_lab::PodRecord| r.lines.len() >= 5;
        assert!(world.record.wait_for(pod.name(), PATIENCE, so), "{}", world.tell(&pod));
        let lines = world.of(&pod).lines;
        let at: Vec<_> = lines.iter().map(|l| l.at).collect();
        let gap = |n: usize| at[n + 1].duration_since(at[n]).as_millis();
        // The kit's first delay is 300 ms instead of 10 s.
        assert!(gap(1) >= 300 && gap(2) >= 600 && gap(3) >= 1200, "{}", world.tell(&pod));
        assert!(lines.iter().enumerate().all(|(n, l)| l.restart as usize == n));
        let seen = world.of(&pod).status;
        assert!(seen.iter().any(|(_, s)| has_reason(s, "app", "CrashLoopBackOff")));
        world.event(&pod, "BackOff", "Back-off restarting failed container app in pod crash_test");
        let last = pod.status().container("app").unwrap().last_state.terminated.clone().unwrap();
        assert_eq!((last.exit_code, last.reason), (1, "Error"));
    });
}

#[test]
fn probes_keep_their_thresholds_and_liveness_restarts() {
    with_lab("order::probes_keep_their_thresholds_and_liveness_restarts", |world| {
        let pod = world.run(
            "probed",
            r#"
            terminationGracePeriodSeconds: 1
            containers:
            - name: app
              image: shell
              args: ["exec sleep 60"]
              readinessProbe: {exec: {command: [test, -e, /tmp/ready]}, periodSeconds: 1}
              livenessProbe: {exec: {command: [sh, -c, "echo ill; exit 1"]}, periodSeconds: 1, failureThreshold: 3}
            "#,
        );
        world.event(&pod, "Killing", "Container app failed liveness probe, will be restarted");
        let ill = |r: &sunup_lab::PodRecord| {
            r.events.iter().filter(|e| e.message.starts_with("Liveness probe failed: ill")).count()
        };
        assert_eq!(ill(&world.of(&pod)), 3, "{}", world.tell(&pod));
        let status = world.until(&pod, |s| s.restarts() >= 1);
        assert!(!status.is_ready());
        let ready = status.conditions.iter().find(|c| c.kind == "Ready").unwrap();
        assert_eq!(ready.message.as_deref(), Some("containers with unready status: [app]"));
    });
}

#[test]
fn a_job_with_a_classic_sidecar_never_ends_and_with_a_native_one_it_does() {
    let test = "order::a_job_with_a_classic_sidecar_never_ends_and_with_a_native_one_it_does";
    with_lab(test, |world| {
        let proxy = r#"{name: proxy, image: shell, args: ["exec sleep 60"]"#;
        let job = r#"{name: job, image: shell, args: ["echo done"]}"#;
        let classic = world
            .run("classic", &format!("{{restartPolicy: Never, containers: [{proxy}}}, {job}]}}"));
        let native = world.run(
            "native",
            &format!(
                "{{restartPolicy: Never, terminationGracePeriodSeconds: 1, \
                 initContainers: [{proxy}, restartPolicy: Always}}], containers: [{job}]}}"
            ),
        );
        world.until(&native, |s| s.phase == Phase::Succeeded);
        let done =
            |s: &sunup_lab::PodStatus| s.container("job").unwrap().state.terminated.is_some();
        let status = world.until(&classic, done);
        assert_eq!(status.phase, Phase::Running);
        assert!(status.container("proxy").unwrap().state.running.is_some());
    });
}

#[test]
fn applications_end_before_native_sidecars_and_hooks_come_first() {
    with_lab("order::applications_end_before_native_sidecars_and_hooks_come_first", |world| {
        let trap = |name: &str| {
            format!(
                "trap \"echo {name} ends; exit 0\" TERM; echo {name} begins; while :; do sleep 0.05; done"
            )
        };
        let pod = world.run(
            "ends",
            &format!(
                r#"
                initContainers:
                - name: proxy
                  image: shell
                  restartPolicy: Always
                  args: ['{}']
                  lifecycle: {{preStop: {{exec: {{command: [sh, -c, "echo hook > /proc/1/fd/1"]}}}}}}
                containers:
                - {{name: app, image: shell, args: ['{}']}}
                "#,
                trap("proxy"),
                trap("app")
            ),
        );
        world.line(&pod, "app", "app begins");
        world.until(&pod, |s| s.is_ready());
        pod.delete(None);
        let app = world.line(&pod, "app", "app ends");
        let proxy = world.line(&pod, "proxy", "proxy ends");
        let hook = world.line(&pod, "proxy", "hook");
        assert!(app < proxy && hook < proxy, "{}", world.tell(&pod));
        let name = pod.name().clone();
        pod.join();
        assert!(world.record.pod(&name).gone);
    });
}

#[test]
fn grace_is_given_and_then_it_is_over() {
    with_lab("order::grace_is_given_and_then_it_is_over", |world| {
        let pod = world.run(
            "deaf",
            r#"{containers: [{name: app, image: shell, args: ["trap '' TERM; echo begins; while :; do sleep 0.05; done"]}]}"#,
        );
        world.line(&pod, "app", "begins");
        let begun = std::time::Instant::now();
        pod.delete(Some(2));
        pod.join();
        assert!(begun.elapsed() >= Duration::from_secs(2));
    });
}

#[test]
fn a_scenario_delays_a_program_and_makes_its_first_starts_fail() {
    with_lab("order::a_scenario_delays_a_program_and_makes_its_first_starts_fail", |world| {
        let steps = Steps {
            program: BTreeMap::from([("app".to_owned(), Duration::from_millis(700))]),
            fail: BTreeMap::from([("app".to_owned(), (2, 9))]),
            ..Steps::default()
        };
        let spec =
            r#"{containers: [{name: app, image: shell, args: ["echo begins; exec sleep 60"]}]}"#;
        let pod = world.run_with("late", spec, steps);
        let line = world.line(&pod, "app", "begins");
        let status = world.until(&pod, |s| s.is_ready());
        assert_eq!(status.restarts(), 2, "{}", world.tell(&pod));
        let started: Vec<_> =
            world.of(&pod).events.into_iter().filter(|e| e.reason == "Started").collect();
        assert!(line.duration_since(started[2].at).as_millis() >= 700, "{}", world.tell(&pod));
    });
}
