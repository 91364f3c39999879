//! Texts as several releases print them, each by itself, and the rule that knows it: `texts.tsv`.

use sunup_doctor::diagnose;
use sunup_evidence::collect::Collector;
use sunup_evidence::record::Event;
use sunup_evidence::scope::Scope;

/// Each line: the rule (or `-`), the object's kind, the event's reason, its message.
const TEXTS: &str = include_str!("texts.tsv");

#[test]
fn every_text_is_known_to_its_rule_and_to_no_other() {
    let mut wrong = Vec::new();
    let mut seen = 0;
    for line in TEXTS.lines().filter(|l| !l.is_empty() && !l.starts_with('#')) {
        let [rule, kind, reason, message]: [&str; 4] =
            line.splitn(4, '\t').collect::<Vec<_>>().try_into().expect(line);
        let mut collector = Collector::new(Scope::default());
        let name = if kind == "Pod" { "cart-84c6f9d7b5-m5n6t" } else { "cart-84c6f9d7b5" };
        collector.event(Event {
            namespace: Some("shop".to_owned()),
            kind: kind.to_owned(),
            name: Some(name.to_owned()),
            reason: reason.to_owned(),
            message: message.to_owned(),
            warning: true,
            count: 3,
            ..Event::default()
        });
        let report = diagnose(&collector.finish()).report;
        let found: Vec<&str> = report.findings.iter().map(|f| f.rule.as_str()).collect();
        let want: &[&str] = if rule == "-" { &[] } else { &[rule] };
        if found != want {
            wrong.push(format!("{rule}: {found:?} from {message}"));
        }
        seen += 1;
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    assert!(seen > 20, "only {seen} texts");
}
