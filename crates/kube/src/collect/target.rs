//! Which pods are meant: those of a workload that was named, or with labels that were.

use serde::Deserialize;
use serde_json::Value;
use serde_json::value::RawValue;

use super::family::Meta;
use super::question::CollectError;
use super::run::Run;
use crate::list::List;
use crate::need::{LISTS, workload};
use crate::request::Trouble;

/// How pods are asked for.
#[derive(Debug, Default)]
pub(super) struct Target {
    pub(super) selector: Option<String>,
    pub(super) fields: Option<String>,
    /// What their names begin with, where no selector is known.
    pub(super) stem: Option<String>,
    /// uid of the workload.
    pub(super) uid: Option<String>,
    /// The workload has made no pods yet, and nothing selects them.
    pub(super) empty: bool,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Found {
    metadata: Meta,
    spec: Spec,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Spec {
    selector: Value,
}

impl Target {
    pub(super) async fn find(run: &Run<'_>) -> Result<Target, CollectError> {
        let question = run.question;
        let mut target = Target { selector: question.selector.clone(), ..Target::default() };
        let (Some((kind, name)), Some(namespace)) = (&question.workload, &question.namespace)
        else {
            return Ok(target);
        };
        let by_name = format!("metadata.name={name}");
        if kind == "Pod" {
            target.fields = Some(by_name);
            return Ok(target);
        }
        let Some(need) = workload(kind) else {
            target.stem = Some(format!("{name}-"));
            return Ok(target);
        };
        let query = vec![("fieldSelector", by_name.as_str())];
        let list = List { need, version: None, namespace: Some(namespace), query };
        let mut found = None;
        let each = |item: &RawValue| {
            found = serde_json::from_str::<Found>(item.get()).ok();
            false
        };
        match list.read(run.cluster, run.bounds(), each, async |_| {}).await {
            Ok(()) => {}
            Err(trouble) if trouble.is_final() => return Err(trouble.into()),
            Err(trouble) => {
                run.gap(need, Some(namespace), &trouble);
                target.stem = Some(format!("{name}-"));
                return Ok(target);
            }
        }
        let Some(found) = found else {
            let (kind, name) = (kind.as_str().into(), name.as_str().into());
            let namespace = namespace.as_str().into();
            return Err(CollectError::NoSuchWorkload { kind, name, namespace });
        };
        target.uid = Some(found.metadata.uid);
        if kind == "CronJob" {
            target.jobs(run, namespace).await?;
        } else {
            let own = selector(&found.spec.selector);
            let both = [target.selector.take(), own].into_iter().flatten();
            target.selector = Some(both.collect::<Vec<_>>().join(","));
        }
        Ok(target)
    }

    /// A CronJob's pods are those of its Jobs.
    async fn jobs(&mut self, run: &Run<'_>, namespace: &str) -> Result<(), Trouble> {
        let Some(need) = LISTS.iter().find(|need| need.kind == "Job") else { return Ok(()) };
        let list = List { need, version: None, namespace: Some(namespace), query: Vec::new() };
        let mut names = Vec::new();
        let each = |item: &RawValue| {
            let job = serde_json::from_str::<Found>(item.get()).unwrap_or_default();
            let owners = &job.metadata.owner_references;
            if owners.iter().any(|owner| Some(&owner.uid) == self.uid.as_ref()) {
                names.push(job.metadata.name);
            }
            false
        };
        if let Err(trouble) = list.read(run.cluster, run.bounds(), each, async |_| {}).await {
            if trouble.is_final() {
                return Err(trouble);
            }
            run.gap(need, Some(namespace), &trouble);
        }
        self.empty = names.is_empty();
        self.selector = Some(format!("job-name in ({})", names.join(",")));
        Ok(())
    }
}

/// A label selector as a query writes it; a ReplicationController's is the labels themselves.
pub(crate) fn selector(selector: &Value) -> Option<String> {
    let map = selector.as_object()?;
    let structured = map.contains_key("matchLabels") || map.contains_key("matchExpressions");
    let labels =
        if structured { selector.get("matchLabels").and_then(Value::as_object) } else { Some(map) };
    let mut terms: Vec<String> = labels
        .into_iter()
        .flatten()
        .filter_map(|(key, value)| Some(format!("{key}={}", value.as_str()?)))
        .collect();
    let expressions = selector.get("matchExpressions").and_then(Value::as_array);
    for expression in expressions.into_iter().flatten() {
        let key = expression.get("key").and_then(Value::as_str).unwrap_or_default();
        let values = expression.get("values").and_then(Value::as_array);
        let values: Vec<&str> = values.into_iter().flatten().filter_map(Value::as_str).collect();
        terms.push(match expression.get("operator").and_then(Value::as_str) {
            Some("In") => format!("{key} in ({})", values.join(",")),
            Some("NotIn") => format!("{key} notin ({})", values.join(",")),
            Some("DoesNotExist") => format!("!{key}"),
            _ => key.to_owned(),
        });
    }
    Some(terms.join(","))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn selectors_are_written_as_queries_are() {
        let of = |value| selector(&value).unwrap();
        assert_eq!(of(json!({"app": "a", "v": "1"})), "app=a,v=1");
        let all = json!({"matchLabels": {"app": "a"}, "matchExpressions": [
            {"key": "t", "operator": "In", "values": ["x", "y"]},
            {"key": "u", "operator": "NotIn", "values": ["z"]},
            {"key": "v", "operator": "Exists"}, {"key": "w", "operator": "DoesNotExist"}]});
        assert_eq!(of(all), "app=a,t in (x,y),u notin (z),v,!w");
        assert_eq!(of(json!({"matchExpressions": [{"key": "v", "operator": "Exists"}]})), "v");
        assert_eq!(selector(&json!(null)), None);
    }
}
