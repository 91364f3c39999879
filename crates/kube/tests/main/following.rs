//! A followed list: what there is, what changes, and what becomes of it when the server ends,
//! forgets or refuses.

use std::collections::BTreeSet;
use std::time::Duration;

use serde_json::{Value, json};
use sunup_kube::kubelet::{Change, pods};

use crate::world::{What, World, pod};

const PODS: &str = "/api/v1/namespaces/shop/pods";

fn line(kind: &str, mut object: Value, version: u32) -> String {
    object["metadata"]["resourceVersion"] = version.to_string().into();
    format!("{}\n", json!({"type": kind, "object": object}))
}

/// Follows the pods until `enough` says so.
fn follow(world: &World, mut enough: impl FnMut(&[String]) -> bool) -> Vec<String> {
    let cluster = world.cluster();
    world.runtime.block_on(async {
        let (tell, mut told) = tokio::sync::mpsc::unbounded_channel();
        let followed = pods(&cluster, Some("shop"), "lab", async |change| {
            let text = match change {
                Change::Is(pod) => format!("is {}", pod["metadata"]["uid"].as_str().unwrap()),
                Change::Gone(uid) => format!("gone {uid}"),
                Change::Trouble(why) => format!("trouble {why}"),
            };
            tell.send(text).unwrap();
        });
        let collected = async {
            let mut all = Vec::new();
            while !enough(&all) {
                all.push(told.recv().await.unwrap());
            }
            all
        };
        tokio::select! {
            () = followed => panic!("it is followed until nobody listens"),
            all = tokio::time::timeout(Duration::from_secs(60), collected) => all.unwrap(),
        }
    })
}

#[test]
fn changes_are_told_from_where_the_list_was_and_a_forgotten_one_is_listed_anew() {
    let world = World::new();
    let watched = [
        line("ADDED", pod("shop", "c", 0), 8)
            + &line("MODIFIED", pod("shop", "a", 3), 9)
            + &line("DELETED", pod("shop", "b", 1), 10)
            + &line("BOOKMARK", json!({}), 12),
        // The watch of before was over: this one goes on from its last word.
        line("MODIFIED", pod("shop", "c", 1), 13)
            + &line("ERROR", json!({"kind": "Status", "code": 410, "reason": "Expired"}), 0),
    ];
    world.watch(PODS, watched);
    let mut listed_again = false;
    let told = follow(&world, |told| {
        if told.len() == 6 && !listed_again {
            // What went while nobody watched is found missing from the new list.
            world.put(PODS, vec![pod("shop", "c", 1)]);
            listed_again = true;
        }
        told.len() == 8
    });
    let want = [
        "is uid-shop-a",
        "is uid-shop-b",
        "is uid-shop-c",
        "is uid-shop-a",
        "gone uid-shop-b",
        "is uid-shop-c",
        "is uid-shop-c",
        "gone uid-shop-a",
    ];
    assert_eq!(told, want);
    let asked = world.api.asked.lock().unwrap().clone();
    let from: Vec<&str> = asked
        .iter()
        .filter(|asked| asked.contains("watch=true"))
        .filter_map(|asked| asked.split("resourceVersion=").nth(1)?.split('&').next())
        .collect();
    assert_eq!(from[..2], ["7", "12"], "{asked:#?}");
    assert!(asked.iter().all(|a| a.contains("fieldSelector=spec.schedulerName%3Dlab")));
}

#[test]
fn a_list_of_pages_whose_beginning_is_forgotten_is_begun_anew_and_nothing_is_missing() {
    let world = World::new();
    let all: Vec<Value> = (0..401).map(|n| pod("shop", &format!("p{n}"), 0)).collect();
    world.put(PODS, all);
    let gone = json!({"kind": "Status", "code": 410, "reason": "Expired", "metadata": {}});
    world.fault("continue=400", 1, What::Status(410, gone));
    let told = follow(&world, |told| told.len() == 400 + 401);
    assert_eq!(told.iter().collect::<BTreeSet<_>>().len(), 401);
}

#[test]
fn what_is_refused_is_told_and_asked_again_after_a_while() {
    let world = World::new();
    let refused = json!({"kind": "Status", "code": 403, "reason": "Forbidden", "message": "no"});
    world.fault(PODS, 1, What::Status(403, refused));
    let told = follow(&world, |told| told.len() == 3);
    assert_eq!(told, ["trouble pods: no (403)", "is uid-shop-a", "is uid-shop-b"]);
}
