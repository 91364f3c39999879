//! Pods reach each other, and Services by name and address; probes come from the node.

use sunup_lab::manifest;

use crate::kit::with_lab;

const SERVER: &str = r#"
containers:
- name: web
  image: shell
  args: ['exec python3 -m http.server 8080']
  ports: [{name: http, containerPort: 8080}]
  readinessProbe: {httpGet: {path: /, port: http}, periodSeconds: 1}
"#;

#[test]
fn services_lead_to_ready_pods_by_name_and_refuse_without_one() {
    let test = "network::services_lead_to_ready_pods_by_name_and_refuse_without_one";
    let python = sunup_testkit::program("python3");
    if sunup_testkit::require(test, "python3", python).is_none() {
        return;
    }
    with_lab(test, |world| {
        let services = "
            {kind: Service, metadata: {name: web, namespace: test},
             spec: {selector: {app: web}, ports: [{port: 80, targetPort: http}]}}";
        for object in manifest::read(services).unwrap() {
            world.lab.apply(object).unwrap();
        }
        let ask = r#"import urllib.request,sys,time
while True:
    try:
        print('answer', urllib.request.urlopen('http://web/', timeout=5).status, flush=True); break
    except Exception as e:
        print('error', e, flush=True); time.sleep(0.2)
time.sleep(60)"#;
        let spec = serde_json::json!({"containers": [{"name": "client", "image": "shell",
            "command": ["python3", "-c", ask]}]});
        let client = world.run("client", &spec.to_string());
        world.line(&client, "client", "Connection refused");
        let web = world.run("web", SERVER);
        world.until(&web, |s| s.is_ready());
        world.line(&client, "client", "answer 200");
    });
}
