//! The report in the format that was asked for.

use super::args::{Args, Format};
use super::examine::Examined;
use super::places;
use crate::page;

pub(super) fn render(args: &Args, examined: &Examined) -> String {
    let report = &examined.diagnosis.report;
    match args.format {
        Format::Json => sunup_doctor::report::json(report),
        Format::Html => sunup_doctor::report::html(report, &examined.stories, &examined.seen),
        Format::Markdown => sunup_doctor::report::markdown(report),
        Format::Sarif => sunup_doctor::report::sarif(&places::everywhere(report, &args.paths)),
        Format::Github => sunup_doctor::report::github(&places::everywhere(report, &args.paths)),
        Format::Text if args.quiet => sunup_doctor::report::headlines(report),
        Format::Text => {
            sunup_doctor::report::text(report, &examined.seen, &page::look(args.verbose))
        }
    }
}
