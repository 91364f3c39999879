//! The HTML report in a real headless Chromium.

use serde_json::json;

use super::chromium::Browser;
use super::kit::{folder, run};

/// Waits until the first drawing has been made ready, which happens when it is first seen.
const READY: &str = "(async () => {
    const chart = document.querySelector('.chart > svg');
    chart.scrollIntoView();
    while (!chart.hasAttribute('tabindex')) await new Promise((next) => setTimeout(next, 10));
    return true; })()";

#[test]
fn the_page_works_in_a_browser_and_asks_for_nothing() {
    let test = "the_page_works_in_a_browser_and_asks_for_nothing";
    let Some(mut browser) = Browser::start(test) else { return };
    let examples = sunup_testkit::workspace_root().join("examples");
    let report = run(&examples, &["doctor", "--format=html", "."]);
    let dir = folder(&[("report.html", &report.out)]);
    let file = dir.path().join("report.html");
    browser.open(&file);
    browser.eval(READY);
    assert!(browser.eval("document.querySelectorAll('article').length").as_u64() >= Some(8));

    // Zooming moves the marks and the axis; the first view comes back.
    let first = "document.querySelector('.chart > svg .axis').textContent";
    let before = browser.eval(first);
    browser.eval("document.querySelector('.zoom button[aria-label=\"Zoom in\"]').click()");
    assert_ne!(browser.eval(first), before);
    browser.eval("document.querySelector('.chart > svg').focus()");
    browser.key("0", 48);
    assert_eq!(browser.eval(first), before);

    // Both themes, by choice.
    let ground = "getComputedStyle(document.body).backgroundColor";
    let light = browser.eval(ground);
    browser.eval("document.getElementById('theme').click()");
    assert_ne!(browser.eval(ground), light);

    assert_eq!(browser.complaints(), [""; 0]);
    assert_eq!(browser.requests(&file), [""; 0]);
}

#[test]
fn a_keyboard_reaches_every_mark_and_hears_it() {
    let test = "a_keyboard_reaches_every_mark_and_hears_it";
    let Some(mut browser) = Browser::start(test) else { return };
    let examples = sunup_testkit::workspace_root().join("examples");
    let report = run(&examples, &["doctor", "--format=html", "app-before-proxy"]);
    let dir = folder(&[("report.html", &report.out)]);
    browser.open(&dir.path().join("report.html"));
    browser.eval(READY);

    // Tab alone comes to the drawing.
    browser.eval("scrollTo(0, 0); document.activeElement.blur()");
    let at = "document.activeElement.getAttribute('aria-roledescription')";
    let reached = (0..20).any(|_| {
        browser.key("Tab", 9);
        browser.eval(at) == "timeline"
    });
    assert!(reached, "Tab never came to the drawing");
    let marks = "document.querySelectorAll('.chart > svg .bar, .chart > svg .mark').length";
    let marks = browser.eval(marks).as_u64().expect("a number");
    assert!(marks > 5, "{marks}");
    let mut heard = String::new();
    for i in 1..=marks {
        browser.key("ArrowRight", 39);
        let said = browser.eval("document.getElementById('said').textContent");
        let said = said.as_str().expect("text");
        assert!(said.starts_with(&format!("{i} of {marks}, ")), "{said}");
        heard.push_str(said);
    }
    assert!(heard.contains("connection refused") && heard.contains(".log:"), "{heard}");

    // Everything one can act on has a name, and a screen reader finds the findings by headings.
    let nameless = "[...document.querySelectorAll('button, input, a, summary, [role=region]')]
        .filter((e) => !(e.textContent.trim() || e.getAttribute('aria-label') || e.labels?.length))
        .length";
    assert_eq!(browser.eval(nameless), 0);
    let tree = browser.call("Accessibility.getFullAXTree", json!({}));
    let nodes = tree["nodes"].as_array().expect("nodes");
    let named = |role: &str, words: &str| {
        nodes.iter().any(|node| {
            node["role"]["value"] == role
                && node["name"]["value"].as_str().is_some_and(|name| name.contains(words))
        })
    };
    assert!(named("heading", "before istio-proxy was ready"));
    assert!(named("group", "Start of pod orders-"));
}

#[test]
fn it_fits_a_phone_and_is_whole_without_scripts() {
    let test = "it_fits_a_phone_and_is_whole_without_scripts";
    let Some(mut browser) = Browser::start(test) else { return };
    let examples = sunup_testkit::workspace_root().join("examples");
    let report = run(&examples, &["doctor", "--format=html", "."]);
    let dir = folder(&[("report.html", &report.out)]);
    let file = dir.path().join("report.html");
    let phone = json!({"width": 360, "height": 740, "deviceScaleFactor": 2, "mobile": true});
    browser.call("Emulation.setDeviceMetricsOverride", phone);
    browser.open(&file);
    let wide = browser.eval("document.documentElement.scrollWidth");
    assert!(wide.as_u64().is_some_and(|width| width <= 360), "{wide}: it scrolls sideways");

    browser.call("Emulation.setScriptExecutionDisabled", json!({"value": true}));
    browser.open(&file);
    // Scripts of the page are off; what the browser itself computes of it is still asked for.
    let tree = browser.call("DOM.getDocument", json!({"depth": 1}));
    let root = tree["root"]["nodeId"].clone();
    let mut count = |query: &str| {
        let found =
            browser.call("DOM.querySelectorAll", json!({"nodeId": root, "selector": query}));
        found["nodeIds"].as_array().map_or(0, Vec::len)
    };
    assert!(count(".chart > svg title") > 50, "every mark has its words");
    assert!(count(".chart table tbody tr") > 50, "and its row");
    assert_eq!(count("button:not([hidden])"), 0, "no button that does nothing");
    assert!(count("details summary") > 10);
}
