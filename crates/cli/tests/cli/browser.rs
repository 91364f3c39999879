//! The HTML report in a real headless Chromium, driven over the DevTools protocol: it says what
//! went wrong in the page, what it would have fetched, and what a keyboard reaches.

use std::io::{BufRead as _, BufReader, Write as _};
use std::path::Path;
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};

use serde_json::{Value, json};

use super::kit::{folder, run};

/// A browser with one page.
struct Browser {
    child: Child,
    to: ChildStdin,
    from: BufReader<ChildStdout>,
    session: Option<String>,
    last: u64,
    events: Vec<Value>,
    _profile: tempfile::TempDir,
}

impl Browser {
    /// `None` where there is none, which `require` judges.
    fn start(test: &str) -> Option<Browser> {
        let found = ["chromium", "chromium-browser", "google-chrome"];
        let found = found.into_iter().find_map(sunup_testkit::program);
        let program = sunup_testkit::require(test, "chromium", found)?;
        let profile = tempfile::tempdir().expect("a folder for its profile");
        // It reads commands from descriptor 3 and answers on 4: our pipes, put there by the shell.
        let script = "exec \"$0\" \"$@\" 3<&0 4>&1 >/dev/null 2>/dev/null";
        let mut command = Command::new("sh");
        command.args(["-c", script]).arg(program).args([
            "--headless",
            "--no-sandbox",
            "--disable-gpu",
            "--disable-dev-shm-usage",
            "--disable-quic",
            "--no-first-run",
            "--disable-background-networking",
            "--disable-component-update",
            "--disable-sync",
            "--remote-debugging-pipe",
        ]);
        command.arg(format!("--user-data-dir={}", profile.path().display())).arg("about:blank");
        let mut child =
            command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().expect("it starts");
        let to = child.stdin.take().expect("piped");
        let from = BufReader::new(child.stdout.take().expect("piped"));
        let mut browser = Browser {
            child,
            to,
            from,
            session: None,
            last: 0,
            events: Vec::new(),
            _profile: profile,
        };
        let targets = browser.call("Target.getTargets", json!({}));
        let targets = targets["targetInfos"].as_array().expect("targets").clone();
        let page = targets.iter().find(|t| t["type"] == "page").expect("a page");
        let attach = json!({"targetId": page["targetId"], "flatten": true});
        let attached = browser.call("Target.attachToTarget", attach);
        browser.session = attached["sessionId"].as_str().map(str::to_owned);
        for domain in ["Page.enable", "Runtime.enable", "Network.enable", "Log.enable"] {
            browser.call(domain, json!({}));
        }
        Some(browser)
    }

    fn call(&mut self, method: &str, params: Value) -> Value {
        self.last += 1;
        let mut message = json!({"id": self.last, "method": method, "params": params});
        if let Some(session) = &self.session {
            message["sessionId"] = json!(session);
        }
        let mut bytes = serde_json::to_vec(&message).expect("JSON");
        bytes.push(0);
        self.to.write_all(&bytes).and_then(|()| self.to.flush()).expect("it listens");
        loop {
            let answer = self.read();
            if answer["id"] == self.last {
                assert!(answer["error"].is_null(), "{method}: {}", answer["error"]);
                return answer["result"].clone();
            }
            self.events.push(answer);
        }
    }

    fn read(&mut self) -> Value {
        let mut bytes = Vec::new();
        self.from.read_until(0, &mut bytes).expect("it answers");
        assert_eq!(bytes.pop(), Some(0), "the browser ended");
        serde_json::from_slice(&bytes).expect("JSON")
    }

    /// Opens a file and waits until it is loaded; forgets what was told before.
    fn open(&mut self, file: &Path) {
        self.events.clear();
        self.call("Page.navigate", json!({"url": format!("file://{}", file.display())}));
        while !self.events.iter().any(|event| event["method"] == "Page.loadEventFired") {
            let event = self.read();
            self.events.push(event);
        }
    }

    /// The value of an expression; a promise is awaited.
    fn eval(&mut self, expression: &str) -> Value {
        let params = json!({"expression": expression, "returnByValue": true, "awaitPromise": true});
        let result = self.call("Runtime.evaluate", params);
        assert!(result["exceptionDetails"].is_null(), "{expression}: {result}");
        result["result"]["value"].clone()
    }

    fn key(&mut self, key: &str, code: u32) {
        for kind in ["rawKeyDown", "keyUp"] {
            let event = json!({"type": kind, "key": key, "windowsVirtualKeyCode": code});
            self.call("Input.dispatchKeyEvent", event);
        }
    }

    /// What went wrong in the page, in the browser's words.
    fn complaints(&self) -> Vec<String> {
        let told = ["Runtime.exceptionThrown", "Runtime.consoleAPICalled", "Log.entryAdded"];
        let is = |event: &&Value| told.iter().any(|method| event["method"] == *method);
        self.events.iter().filter(is).map(ToString::to_string).collect()
    }

    /// Addresses that were asked for, but for the page itself.
    fn requests(&self, file: &Path) -> Vec<String> {
        let sent = self.events.iter().filter(|e| e["method"] == "Network.requestWillBeSent");
        let url = |event: &Value| event["params"]["request"]["url"].as_str().map(str::to_owned);
        let own = format!("file://{}", file.display());
        sent.filter_map(url).filter(|url| *url != own && !url.starts_with("data:")).collect()
    }
}

impl Drop for Browser {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

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
