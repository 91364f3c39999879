//! What happens to one pod, told to the API server in the order in which it happened.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use serde_json::Value;
use sunup_kube::kubelet::{Told, record, record_again};
use sunup_kube::{Cluster, Trouble};
use sunup_lab::manifest::PodName;
use sunup_lab::{Event, Line, PodStatus, Recorder, Time, export};
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};

use super::logs::Logs;

/// Between tries to tell something to an API server that doesn't answer.
const AGAIN: Duration = Duration::from_secs(1);

/// What is to be told.
enum News {
    Status(Value),
    Event(Event),
    Gone,
}

/// Takes what the lab reports of one pod.
pub(super) struct Teller {
    logs: Arc<Logs>,
    news: UnboundedSender<News>,
}

impl Teller {
    /// Must be called in a runtime.
    pub(super) fn start(cluster: Arc<Cluster>, logs: Arc<Logs>, pod: &PodName) -> Arc<Teller> {
        let (news, heard) = unbounded_channel();
        let pod = pod.clone();
        tokio::spawn(async move { tell(&cluster, &pod, heard).await });
        Arc::new(Teller { logs, news })
    }
}

impl Recorder for Teller {
    fn status(&self, pod: &PodName, status: &PodStatus) {
        self.logs.status(pod, status);
        let _ = self.news.send(News::Status(serde_json::to_value(status).unwrap_or_default()));
    }

    fn event(&self, _: &PodName, event: &Event) {
        let _ = self.news.send(News::Event(event.clone()));
    }

    fn log(&self, pod: &PodName, line: &Line) {
        self.logs.line(pod, line);
    }

    fn gone(&self, pod: &PodName) {
        self.logs.forget(pod);
        let _ = self.news.send(News::Gone);
    }
}

/// How often an event has happened, and under which name it is recorded.
type Counts = HashMap<(&'static str, String, Option<String>), (Value, u64)>;

async fn tell(cluster: &Cluster, pod: &PodName, mut heard: UnboundedReceiver<News>) {
    let told = Told { cluster, namespace: &pod.namespace, name: &pod.name, uid: pod.uid.as_str() };
    let mut counts = Counts::new();
    while let Some(news) = heard.recv().await {
        loop {
            let done = match &news {
                News::Status(status) => told.status(status).await,
                News::Event(event) => tell_event(cluster, pod, event, &mut counts).await,
                News::Gone => told.remove().await,
            };
            match done {
                // The API server has decided: the pod has gone, or this may not be said.
                Ok(()) | Err(Trouble::Refused(_)) => break,
                Err(_) => tokio::time::sleep(AGAIN).await,
            }
        }
    }
}

async fn tell_event(
    cluster: &Cluster,
    pod: &PodName,
    event: &Event,
    counts: &mut Counts,
) -> Result<(), Trouble> {
    let key = (event.reason, event.message.clone(), event.field_path.clone());
    if let Some((known, count)) = counts.get_mut(&key) {
        known["count"] = (*count + 1).into();
        known["lastTimestamp"] = Time(event.at).to_string().into();
        record_again(cluster, known).await?;
        *count += 1;
        return Ok(());
    }
    let name = format!("{}.{:x}", pod.name, event.at.as_nanosecond());
    let mut new = export::event(pod, event, &name, (1, Time(event.at)));
    if let Some(meta) = new["metadata"].as_object_mut() {
        meta.remove("creationTimestamp");
    }
    record(cluster, &new).await?;
    counts.insert(key, (new, 1));
    Ok(())
}
