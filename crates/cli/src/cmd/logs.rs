//! `sunup logs`: the entries of exports that match a Cloud Logging filter.

mod store;

use std::io::{self, BufWriter, IsTerminal as _, Read, Write};
use std::ops::ControlFlow;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;

use anyhow::bail;
use sunup_api::{shell, show};
use sunup_intake::Progress as _;
use sunup_logs::{Alternative, BROKEN_MAX, Entry, Filter, FilterError, Hit, Search, SearchOptions};

use crate::global::{Global, TROUBLE};
use crate::out;
use crate::progress::Bar;
use crate::store::{CloudArgs, ReachArgs};
use store::Project;

/// Nothing matched, as `grep` has it.
const NONE: u8 = 1;
/// Broken entries of one file that are named; the rest is counted.
const BROKEN_SHOWN: usize = 5;

const EXAMPLES: &str = r#"Examples, the vendor's procedure for a refused connection step by step:
  sunup logs 'resource.type="k8s_container" textPayload:"connection refused"' export.json
  sunup logs --first 1 'resource.type="k8s_container" resource.labels.pod_name="POD"
    textPayload:"connection refused"' export.json
  sunup logs 'resource.type="k8s_pod" resource.labels.pod_name="POD"' export.json
The same, asked of Cloud Logging itself (the last 24 hours, where the filter says no time):
  sunup logs --cloud-logging shop-prod 'resource.type="k8s_pod" resource.labels.pod_name="POD"'
More:
  sunup logs --count 'severity>=ERROR' *.json.gz
  sunup logs --last 20 --format json 'jsonPayload.message=~"dial tcp .*:6379"' - < export.json
  sunup logs --explain 'a OR b AND c'

Terms side by side must all hold; OR binds tighter than AND; texts in "double quotes" are
compared without regard to letter case, regular expressions (=~, RE2) with it.

Exit codes:
  0  something matches
  1  nothing matches
  2  the filter is wrong, a file could not be read, or nothing matches and entries were broken"#;

/// Searches Cloud Logging exports with Cloud Logging's own query language
///
/// Reads exports as `gcloud logging read --format=json`, log sinks and the API write them: JSON
/// lines, arrays, pages, also compressed. What cannot match is never parsed, so a search takes
/// about as long as one with a text search tool.
#[derive(Debug, clap::Args)]
#[command(after_long_help = EXAMPLES, after_help = "`sunup logs --help` has examples.")]
pub(crate) struct Args {
    /// The filter, as in the Logs Explorer; the empty one matches everything
    #[arg(value_name = "FILTER", allow_hyphen_values = true)]
    filter: String,

    /// Exports; `-` is standard input, which is also read when no FILE is given and it is not a
    /// terminal
    #[arg(value_name = "FILE", conflicts_with = "cloud_logging")]
    files: Vec<PathBuf>,

    /// How to print entries: one line of text for each, or the entries themselves as JSON lines
    #[arg(long, value_enum, value_name = "FORMAT", default_value_t, help_heading = "Output")]
    format: Format,

    /// Only how many entries match
    #[arg(short, long, help_heading = "Output")]
    count: bool,

    /// Only the N earliest entries by their timestamps, oldest first, whatever their order in
    /// the files
    #[arg(long, value_name = "N", help_heading = "Output")]
    first: Option<usize>,

    /// Only the N latest entries, oldest first
    #[arg(long, value_name = "N", help_heading = "Output")]
    last: Option<usize>,

    /// Print the filter with its parentheses and the texts that are searched for before anything
    /// is parsed, and stop
    #[arg(long, help_heading = "Output")]
    explain: bool,

    #[command(flatten, next_help_heading = "From Cloud Logging instead of FILEs")]
    cloud: CloudArgs,

    #[command(flatten)]
    reach: ReachArgs,
}

impl Args {
    /// Whether Cloud Logging itself is asked.
    fn asks(&self) -> bool {
        self.cloud.cloud_logging.is_some()
    }

    fn options(&self, alternatives: &[Alternative]) -> SearchOptions {
        SearchOptions {
            first: self.first,
            last: self.last,
            count: self.count,
            alternatives: alternatives.iter().map(|other| other.filter.clone()).collect(),
            ..SearchOptions::default()
        }
    }
}

/// How to print entries.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, clap::ValueEnum)]
enum Format {
    /// Severity, time, resource, payload.
    #[default]
    Text,
    /// The entries as they are, one on each line.
    Json,
}

/// Runs the command.
pub(crate) fn run(args: Args, global: &Global) -> anyhow::Result<ExitCode> {
    let filter = match Filter::parse(&args.filter) {
        Ok(filter) => filter,
        // Cloud Logging may know what isn't known here: then it says alone what matches.
        Err(error) if args.asks() && !args.explain => {
            let why = explained(&args.filter, &error);
            out::note(
                global,
                &format!("handed on as it is, since not all of it is known here: {why}"),
            );
            Filter::parse("")?
        }
        Err(error) => bail!(explained(&args.filter, &error)),
    };
    for warning in filter.warnings() {
        let place = warning.caret(filter.source());
        out::note(global, &format!("{}\n{place}", warning.message));
    }
    if args.explain {
        out::print(global, &explanation(&filter))?;
        return Ok(ExitCode::SUCCESS);
    }
    if args.asks() {
        return from_project(&args, &filter, global);
    }
    let mut files = args.files.clone();
    if files.is_empty() {
        if io::stdin().is_terminal() {
            bail!(
                "nothing to read: name exports, or pipe one in, such as\n  \
                   gcloud logging read --format=json … | sunup logs FILTER"
            );
        }
        files.push(PathBuf::from("-"));
    }
    search(&args, &files, &filter, global)
}

fn search(
    args: &Args,
    files: &[PathBuf],
    filter: &Filter,
    global: &Global,
) -> anyhow::Result<ExitCode> {
    let alternatives = filter.alternatives();
    let mut search = Search::new(filter, args.options(&alternatives));
    let mut writer = Writer::new(args.format);
    // Hits on the same terminal would be drawn over.
    let quiet = args.count || args.first.is_some() || args.last.is_some();
    let bar = if quiet || !io::stdout().is_terminal() { Bar::new() } else { None };
    let mut unread = false;
    for file in files {
        let read = open(file, bar.clone())
            .and_then(|input| Ok(search.read(input, &mut |hit| writer.write(hit))?));
        if writer.failed.is_some() {
            break;
        }
        let name =
            if is_stdin(file) { "standard input".to_owned() } else { file.display().to_string() };
        match read {
            Ok(broken) => {
                for piece in broken.iter().take(BROKEN_SHOWN) {
                    out::note(global, &format!("{name}:{}: {}", piece.line, piece.reason));
                }
                let more = broken.len().saturating_sub(BROKEN_SHOWN);
                if more > 0 {
                    let or_more = if broken.len() == BROKEN_MAX { " or more" } else { "" };
                    out::note(global, &format!("{name}: {more}{or_more} further broken entries"));
                }
            }
            Err(error) => {
                unread = true;
                out::error(global, &error.context(name));
            }
        }
    }
    drop(bar);
    let stats = search.finish(&mut |hit| writer.write(hit));
    writer.counted(args, stats.hits)?;
    if stats.hits == 0 {
        suggest(&alternatives, &stats.alternatives, global);
    }
    Ok(match stats.hits {
        _ if unread => ExitCode::from(TROUBLE),
        0 if stats.broken_total > 0 => ExitCode::from(TROUBLE),
        0 => ExitCode::from(NONE),
        _ => ExitCode::SUCCESS,
    })
}

/// Asks the project, whose word it is what matches; where this program would have it otherwise, that
/// is said.
fn from_project(args: &Args, filter: &Filter, global: &Global) -> anyhow::Result<ExitCode> {
    let everything = Filter::parse("")?;
    let mut search = Search::new(&everything, args.options(&[]));
    let mut here = Search::new(filter, SearchOptions { count: true, ..SearchOptions::default() });
    let mut writer = Writer::new(args.format);
    let project = Project::connect(&args.cloud)?;
    let mut read = |page: Vec<u8>| {
        here.read(page.as_slice(), &mut |_| ControlFlow::Continue(()))?;
        search.read(page.as_slice(), &mut |hit| writer.write(hit))?;
        Ok(())
    };
    let whole = project.search(args.filter.trim(), &args.reach, global, &mut read)?;
    let hits = search.finish(&mut |hit| writer.write(hit)).hits;
    writer.counted(args, hits)?;
    let otherwise = hits - here.finish(&mut |_| ControlFlow::Continue(())).hits;
    if otherwise > 0 {
        out::note(
            global,
            &format!("{otherwise} of them match only as Cloud Logging understands the filter"),
        );
    }
    if hits == 0 && whole {
        let alternatives = filter.alternatives();
        let of = |other: &Alternative| project.first_page(other.filter.source());
        let counts = alternatives.iter().map(of).collect::<anyhow::Result<Vec<_>>>()?;
        suggest(&alternatives, &counts, global);
    }
    Ok(match hits {
        _ if !whole => ExitCode::from(TROUBLE),
        0 => ExitCode::from(NONE),
        _ => ExitCode::SUCCESS,
    })
}

/// Where nothing matches, filters that are close by and match something.
fn suggest(alternatives: &[Alternative], counts: &[u64], global: &Global) {
    for (other, count) in alternatives.iter().zip(counts).filter(|(_, count)| **count > 0) {
        let entries = if *count == 1 { "entry" } else { "entries" };
        let why = other.why;
        let filter = shell::word(other.filter.source());
        out::note(
            global,
            &format!(
                "nothing matches, but {count} {entries} would with another resource type: {why}\n  \
                 sunup logs {filter} …"
            ),
        );
    }
}

fn is_stdin(path: &Path) -> bool {
    path.as_os_str() == "-"
}

fn open(path: &Path, bar: Option<Arc<Bar>>) -> anyhow::Result<Box<dyn Read + Send>> {
    let stdin = is_stdin(path);
    let opened = match stdin {
        // By its path it can be decompressed like any file; where there is none, as it is.
        true => {
            sunup_intake::open(Path::new("/dev/stdin")).unwrap_or_else(|_| Box::new(io::stdin()))
        }
        false => sunup_intake::open(path)?,
    };
    let Some(bar) = bar else { return Ok(opened) };
    bar.file(&path.display().to_string());
    Ok(Box::new(Watched { inner: opened, bar }))
}

/// Tells the bar what is read.
struct Watched {
    inner: Box<dyn Read + Send>,
    bar: Arc<Bar>,
}

impl Read for Watched {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        let read = self.inner.read(buf)?;
        self.bar.advance(read as u64);
        Ok(read)
    }
}

/// Standard output, and what became of it.
struct Writer {
    out: BufWriter<io::Stdout>,
    format: Format,
    terminal: bool,
    failed: Option<io::Error>,
}

impl Writer {
    fn new(format: Format) -> Self {
        let terminal = io::stdout().is_terminal();
        Self {
            out: BufWriter::with_capacity(256 << 10, io::stdout()),
            format,
            terminal,
            failed: None,
        }
    }

    fn write(&mut self, hit: Hit<'_>) -> ControlFlow<()> {
        match self.format {
            Format::Json => {
                let entry = hit.compact();
                // A pipe gets the bytes as they are.
                match std::str::from_utf8(&entry).ok().filter(|_| self.terminal) {
                    Some(text) => self.line(show::json(text).as_bytes()),
                    None => self.line(&entry),
                }
            }
            Format::Text => {
                if let Ok(entry) = Entry::parse(hit.bytes) {
                    self.line(text_line(&entry).as_bytes());
                }
            }
        }
        if self.failed.is_some() { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
    }

    fn line(&mut self, line: &[u8]) {
        let written = self.out.write_all(line).and_then(|()| self.out.write_all(b"\n"));
        self.failed = self.failed.take().or(written.err());
    }

    /// Writes how many there were, where only that was asked for, and ends.
    fn counted(mut self, args: &Args, hits: u64) -> io::Result<()> {
        if args.count && self.failed.is_none() {
            self.line(hits.to_string().as_bytes());
        }
        self.finish()
    }

    /// A reader that leaves early has seen enough: that is no failure.
    fn finish(mut self) -> io::Result<()> {
        let flushed = self.out.flush();
        match self.failed.take().map_or(flushed, Err) {
            Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(()),
            done => done,
        }
    }
}

/// `E 2020-03-31T10:41:15Z container pod text`, as the vendor's page shows entries.
fn text_line(entry: &Entry<'_>) -> String {
    let severity = entry.severity().chars().next().filter(char::is_ascii_graphic).unwrap_or('D');
    let at = show::escaped(entry.timestamp_text().unwrap_or("-"));
    let mut line = format!("{severity} {at}");
    let known = ["container_name", "pod_name"].map(|label| entry.resource_label(label));
    let mut push = |part: &str| {
        line.push(' ');
        line.push_str(&show::escaped(part));
    };
    known.into_iter().flatten().for_each(&mut push);
    if known == [None, None] {
        push(entry.resource_type().unwrap_or("-"));
        // Of other resources the label that tells most is the one named after the type.
        let name = entry.resource_labels().find(|(name, _)| name.ends_with("_name"));
        name.into_iter().for_each(|(_, value)| push(value));
    }
    entry.event_field_path().into_iter().for_each(&mut push);
    push(&entry.summary());
    line
}

fn explained(source: &str, error: &FilterError) -> String {
    let help = error.help.as_ref().map(|help| format!("\n  help: {help}")).unwrap_or_default();
    format!("{error}\n{}{help}", error.caret(source))
}

fn explanation(filter: &Filter) -> String {
    let canonical = filter.to_string();
    let canonical = if canonical.is_empty() { "everything" } else { &canonical };
    let mut text = format!("filter: {canonical}\n");
    let prefilter = filter.prefilter();
    if prefilter.is_empty() {
        text.push_str("prefilter: none, every entry is parsed\n");
    }
    for literals in prefilter.literals() {
        let quoted: Vec<String> = literals.iter().map(|literal| format!("{literal:?}")).collect();
        text.push_str(&format!("prefilter: {}\n", quoted.join(" or ")));
    }
    text
}
