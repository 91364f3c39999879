//! One scenario from fault to health: it happens, is named, is fixed, comes up; and under Sunup it
//! doesn't happen. What was not as claimed is kept as a problem.

use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use anstyle::{AnsiColor, Style};
use serde_json::{Value, json};
use sunup_doctor::Diagnosis;
use sunup_lab::scenario::Scenario;
use sunup_lab::{PodHandle, PodRecord};

use crate::fixes;
use crate::lab::judge;
use crate::lab::machine::ONE_USER;
use crate::lab::play::{PATIENCE, Play, Setup, Way};
use crate::lab::pods::table;

/// What became of one scenario.
pub(super) struct Story {
    id: String,
    scenario: Scenario,
    /// `kubectl get pods` while the fault is there.
    faulty: String,
    /// The lines that tell of it.
    lines: Vec<String>,
    /// What the doctor says of the recorded evidence.
    findings: Vec<String>,
    /// What the doctor changed, styled.
    diff: String,
    /// `kubectl get pods` of the same pods, fixed; none where nothing was to be done.
    fixed: Option<String>,
    /// No fix of the doctor's did it, but what it advises.
    advised: bool,
    /// The unfixed manifests under Sunup.
    under_sunup: String,
    /// The unfixed manifests with the mesh's own proxy, on a node with the agent; none where that is
    /// not the scenario's matter.
    node_agent: Option<String>,
    /// What was not as claimed.
    pub(super) problems: Vec<String>,
}

/// Runs all scenarios, at the same time: they wait far more than they work.
pub(super) fn all(
    setup: &Setup,
    scenarios: &[(String, Scenario)],
    folder: &Path,
    watched: bool,
) -> Vec<Story> {
    let begun = Instant::now();
    std::thread::scope(|scope| {
        let running: Vec<_> = scenarios
            .iter()
            .map(|(id, scenario)| {
                let folder = folder.join(id);
                let (below, aside) = (folder.clone(), folder.clone());
                let told = scope.spawn(move || {
                    let mut story = Story::new(id, scenario);
                    if let Err(error) = story.tell(setup, &folder, watched, begun) {
                        story.problems.push(format!("{error:#}"));
                    }
                    story
                });
                let sunup = scope.spawn(move || {
                    let mut story = Story::new(id, scenario);
                    if let Some(why) = &scenario.not_under_sunup {
                        story.under_sunup = format!("not tried: {why}\n");
                    } else if let Err(error) = story.under_sunup(setup, &below) {
                        story.problems.push(format!("under Sunup: {error:#}"));
                    }
                    story
                });
                let agent = scope.spawn(move || {
                    let mut story = Story::new(id, scenario);
                    if scenario.node_agent
                        && let Err(error) = story.on_node_agent(setup, &aside)
                    {
                        story.problems.push(format!("on a node with the agent: {error:#}"));
                    }
                    story
                });
                (told, sunup, agent)
            })
            .collect();
        running
            .into_iter()
            .map(|(told, sunup, agent)| {
                let mut story = joined(told);
                let (sunup, agent) = (joined(sunup), joined(agent));
                story.under_sunup = sunup.under_sunup;
                story.node_agent = agent.node_agent;
                story.problems.extend(sunup.problems.into_iter().chain(agent.problems));
                story
            })
            .collect()
    })
}

fn joined<T>(thread: std::thread::ScopedJoinHandle<'_, T>) -> T {
    thread.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))
}

impl Story {
    fn new(id: &str, scenario: &Scenario) -> Self {
        Self {
            id: id.to_owned(),
            scenario: scenario.clone(),
            faulty: String::new(),
            lines: Vec::new(),
            findings: Vec::new(),
            diff: String::new(),
            fixed: None,
            advised: false,
            under_sunup: String::new(),
            node_agent: None,
            problems: Vec::new(),
        }
    }

    fn tell(
        &mut self,
        setup: &Setup,
        folder: &Path,
        watched: bool,
        begun: Instant,
    ) -> anyhow::Result<()> {
        let (scenario, id) = (self.scenario.clone(), self.id.clone());
        let say = |what: &str, play: Option<&Play>| {
            if watched {
                say(begun, &id, what, play);
            }
        };
        say("the manifests as they stand, in Istio's way", None);
        let (fault, fixed_folder) = (folder.join("fault"), folder.join("fixed"));
        let diagnosis = {
            let play = Play::start(setup, &scenario, &scenario.manifests, Way::Scenario)?;
            if !play.observe(&scenario) {
                self.problems
                    .push("what should go wrong did not, within a minute and a half".into());
            }
            say("watched", Some(&play));
            play.export(&fault, &scenario.manifests)?;
            self.faulty = table(&play);
            self.lines = telling(&play);
            judge::diagnose(&fault)
        };
        self.findings = diagnosis.report.findings.iter().map(judge::in_words).collect();
        self.problems.extend(judge::differs(&scenario, &diagnosis));
        let mended = scenario.mended.as_deref();
        if let Some(manifests) = self.fix(&diagnosis, &fault, &fixed_folder)? {
            let scenario = mended.unwrap_or(&scenario);
            let play = Play::start(setup, scenario, &manifests, Way::Scenario)?;
            self.must_come_up(&play, "with the fix", &fixed_folder, &manifests)?;
            say("fixed", Some(&play));
            self.fixed = Some(table(&play));
        } else if let Some(mended) = mended {
            self.advised = true;
            let play = Play::start(setup, mended, &mended.manifests, Way::Scenario)?;
            self.must_come_up(&play, "as advised", &fixed_folder, &mended.manifests)?;
            say("mended as advised", Some(&play));
            self.fixed = Some(table(&play));
        }
        Ok(())
    }

    /// The unfixed manifests as Sunup's injector injects them.
    fn under_sunup(&mut self, setup: &Setup, folder: &Path) -> anyhow::Result<()> {
        let scenario = self.scenario.clone();
        let play = Play::start(setup, &scenario, &scenario.manifests, Way::Sunup)?;
        let folder = folder.join("under-sunup");
        self.must_come_up(&play, "under Sunup", &folder, &scenario.manifests)?;
        self.under_sunup = table(&play);
        Ok(())
    }

    /// The unfixed manifests as Istio's injector injects them, on a node with the agent.
    fn on_node_agent(&mut self, setup: &Setup, folder: &Path) -> anyhow::Result<()> {
        let scenario = self.scenario.clone();
        let play = Play::start(setup, &scenario, &scenario.manifests, Way::NodeAgent)?;
        let folder = folder.join("on-node-agent");
        self.must_come_up(&play, "on a node with the agent", &folder, &scenario.manifests)?;
        if play.agent.as_ref().is_none_or(|agent| agent.handed_over() == 0) {
            self.problems.push("the node agent handed no connection over".to_owned());
        }
        let proxy = if setup.envoy.is_some() { "the real Envoy" } else { "its stand-in here" };
        self.node_agent = Some(format!("istio-proxy is {proxy}\n{}", table(&play)));
        Ok(())
    }

    /// Has the doctor write its fixes into a copy of the manifests; their text, if it could.
    fn fix(
        &mut self,
        diagnosis: &Diagnosis,
        fault: &Path,
        fixed: &Path,
    ) -> anyhow::Result<Option<String>> {
        if diagnosis.report.findings.is_empty() {
            return Ok(None);
        }
        let offered = diagnosis.report.findings.iter().flat_map(|f| &f.fixes);
        if !offered.into_iter().any(|fix| fix.safety == sunup_api::report::Safety::Safe) {
            return Ok(None);
        }
        // The evidence stays as it was recorded: the doctor edits a copy of it.
        std::fs::create_dir_all(fixed)?;
        copy(fault, fixed)?;
        let written = fixes::apply(&judge::diagnose(fixed), None, &[fixed.to_owned()]);
        self.diff = written.text;
        if written.files == 0 {
            self.problems.push("the doctor's fix could not be written".to_owned());
            return Ok(None);
        }
        let manifests = std::fs::read_to_string(fixed.join("manifests.yaml"))?;
        // What was recorded of the faulty pods is not evidence about the fixed ones.
        std::fs::remove_dir_all(fixed)?;
        Ok(Some(manifests))
    }

    fn must_come_up(
        &mut self,
        play: &Play,
        what: &str,
        folder: &Path,
        manifests: &str,
    ) -> anyhow::Result<()> {
        if !play.wait_up(PATIENCE) {
            let words = play.subjects().first().map(|pod| play.last_words(pod));
            self.problems
                .push(format!("{what} it did not come up:\n{}", words.unwrap_or_default()));
        }
        if let Some(after) = self.scenario.delete_ms
            && !play.delete(Duration::from_millis(after))
        {
            self.problems.push(format!("{what} it did not end"));
        }
        play.export(folder, manifests)?;
        if let Some(found) = judge::left(&judge::diagnose(folder)) {
            self.problems.push(format!("{what} the doctor still finds: {found}"));
        }
        Ok(())
    }

    /// For people.
    pub(super) fn text(&self, kept: Option<&Path>) -> String {
        let bold = Style::new().bold();
        let red = bold.fg_color(Some(AnsiColor::Red.into()));
        let green = bold.fg_color(Some(AnsiColor::Green.into()));
        let mut out = format!("\n{bold}{}{bold:#}  ({})\n", self.scenario.title, self.id);
        for line in self.scenario.about.trim().lines() {
            let _ = writeln!(out, "{line}");
        }
        let _ = writeln!(out, "\n  {red}it happens{red:#}");
        out += &indent(&self.faulty);
        for line in &self.lines {
            let _ = writeln!(out, "    {line}");
        }
        let _ = writeln!(out, "\n  {bold}the doctor, from what was recorded{bold:#}");
        for finding in &self.findings {
            let _ = writeln!(out, "    {finding}");
        }
        if let Some(folder) = kept {
            let path = folder.join(&self.id).join("fault");
            let path = sunup_api::shell::word(&path.to_string_lossy());
            let _ = writeln!(out, "    sunup doctor {path}");
        }
        if !self.diff.is_empty() {
            out.push('\n');
            out += &indent(&self.diff);
        }
        if let Some(fixed) = &self.fixed {
            let how = if self.advised { "after what it advises" } else { "with the fix" };
            let _ = writeln!(out, "\n  {green}the same pods {how}{green:#}");
            out += &indent(fixed);
        }
        if !self.under_sunup.is_empty() {
            let _ = writeln!(out, "\n  {green}the unfixed manifests under Sunup{green:#}");
            out += &indent(&self.under_sunup);
        }
        if let Some(agent) = &self.node_agent {
            let what = "the unfixed manifests, the mesh as it is, on a node with Sunup's agent";
            let _ = writeln!(out, "\n  {green}{what}{green:#}");
            out += &indent(agent);
        }
        for problem in &self.problems {
            let _ = writeln!(out, "\n  {red}not as claimed{red:#}: {problem}");
        }
        out
    }

    pub(super) fn json(&self) -> Value {
        json!({"scenario": self.id, "title": self.scenario.title, "pods": self.faulty,
            "lines": self.lines, "findings": self.findings, "diff": anstream::adapter::strip_str(
                &self.diff).to_string(), "fixed": self.fixed, "under_sunup": self.under_sunup,
            "node_agent": self.node_agent, "problems": self.problems})
    }
}

/// The lines of the pods it is about that tell of the fault: what people would look for.
fn telling(play: &Play) -> Vec<String> {
    const WORDS: [&str; 3] = ["connection refused", "Permission denied", "segmentation fault"];
    const LINES: usize = 3;
    let record_of = |pod: &PodHandle| play.record.pod(pod.name());
    let lines_of = |record: PodRecord| {
        let told = record.lines.into_iter().filter(|l| WORDS.iter().any(|w| l.text.contains(w)));
        told.map(|l| format!("{}: {}", l.container, cut(&l.text))).collect::<Vec<_>>()
    };
    let all = play.subjects().iter().map(record_of).flat_map(lines_of);
    all.take(LINES).collect()
}

/// Long lines lose their middle: what failed stands at their end.
fn cut(text: &str) -> String {
    const FRONT: usize = 60;
    const BACK: usize = 95;
    let chars: Vec<char> = text.chars().collect();
    if chars.len() <= FRONT + BACK + 1 {
        return text.to_owned();
    }
    let (front, back) = (&chars[..FRONT], &chars[chars.len() - BACK..]);
    front.iter().chain(['…'].iter()).chain(back).collect()
}

fn indent(text: &str) -> String {
    text.lines().map(|line| format!("    {line}\n")).collect()
}

fn copy(from: &Path, to: &Path) -> anyhow::Result<()> {
    for entry in std::fs::read_dir(from)? {
        let entry = entry?;
        let target: PathBuf = to.join(entry.file_name());
        if entry.file_type()?.is_dir() {
            std::fs::create_dir_all(&target)?;
            copy(&entry.path(), &target)?;
        } else {
            std::fs::copy(entry.path(), target)?;
        }
    }
    Ok(())
}

/// Progress, for somebody who watches.
fn say(begun: Instant, id: &str, what: &str, play: Option<&Play>) {
    use std::io::Write as _;
    let pods = play.map_or(String::new(), |play| {
        let of = |pod: &PodHandle| {
            let (ready, word, _) = sunup_lab::export::columns(&pod.status());
            format!("{} {ready} {word}", pod.name().name)
        };
        format!(": {}", play.subjects().iter().map(of).collect::<Vec<_>>().join(", "))
    });
    let time = begun.elapsed().as_secs_f64();
    let _ = writeln!(std::io::stderr(), "  {time:5.1} s  {id}  {what}{pods}");
}

/// The first words: what is real here and what stands in.
pub(super) fn opening(setup: &Setup, count: usize) -> String {
    let proxy = match &setup.envoy {
        Some(path) => {
            format!("the real Envoy ({}), behind a stand-in for pilot-agent", path.display())
        }
        None => {
            "a stand-in: Sunup's proxy, started late and with Istio's words (with SUNUP_ENVOY: \
                 the real Envoy)"
                .to_owned()
        }
    };
    let note = if sunup_sys::host::uid_exists(1337) {
        String::new()
    } else {
        format!("  Users: {ONE_USER}.\n")
    };
    format!(
        "{count} start-up faults, made for real: pods run as a kubelet runs them, each in a network \
         namespace.\n  Istio's proxy: {proxy}.\n  Stand-ins, too: applications, databases, Vault, \
         and istiod's time to hand out the configuration.\n{note}"
    )
}

/// The last words.
pub(super) fn closing(stories: &[Story], took: Duration, kept: Option<&Path>) -> String {
    let bad = stories.iter().filter(|s| !s.problems.is_empty()).count();
    let mut out = match bad {
        0 => format!("\nAll as claimed, in {:.0} s.", took.as_secs_f64()),
        n => format!("\n{n} of {} scenarios did not go as claimed.", stories.len()),
    };
    match kept {
        Some(folder) => {
            let _ = write!(out, " What was recorded is in {}.", folder.display());
        }
        None => out += " Nothing was kept; --keep DIR keeps evidence and manifests.",
    }
    out.push('\n');
    out
}
