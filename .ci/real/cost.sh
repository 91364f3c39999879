# What start-up costs by mode: from the sandbox to the application's first answer, of pods that ask
# for something first thing. Read by .ci/cluster; takes walk.sh's helpers.

# cost_pod NAMESPACE MODE ROUND ANNOTATIONS [CONTAINERS]: one pod's start, as a line of costs.
cost_pod() {
  local pod=$2-$3 answered restarts
  k apply -f - >/dev/null <<POD
apiVersion: v1
kind: Pod
metadata: {name: $pod, namespace: $1, annotations: {$4}}
spec:
  terminationGracePeriodSeconds: 1
  containers:
  - name: app
    image: docker.io/rig/parts:1
    args: [-url, "http://config.platform.svc.cluster.local/", -listen, ":8080"]
${5:-}
POD
  k -n "$1" wait --for=condition=Ready "pod/$pod" --timeout=120s >/dev/null || true
  answered=$(k -n "$1" logs --timestamps "$pod" -c app | sed -n '/settings loaded/{s/ .*//p;q}')
  restarts=$(k -n "$1" get pod "$pod" -o json |
    jq '[.status.containerStatuses[] | select(.name == "app") | .restartCount] | add')
  echo "$2 $pod ${answered:-never} $restarts" >>"$scratch/costs"
  k -n "$1" delete pod "$pod" --wait=false >/dev/null
}

# One pod after another, of each mode in turn, so that a busy machine is busy for all of them.
cost() {
  local round native=sidecar.istio.io/nativeSidecar
  local held="proxy.istio.io/config: '{\"holdApplicationUntilProxyStarts\": true}'"
  local free="proxy.istio.io/config: '{\"holdApplicationUntilProxyStarts\": false}'"
  local probed='  - name: istio-proxy
    image: auto
    startupProbe: {httpGet: {path: /healthz/ready, port: 15021}, periodSeconds: 1, failureThreshold: 600}'
  for namespace in costs costs-ours costs-istio; do k create namespace $namespace >/dev/null; done
  k label namespace costs-ours istio.io/rev=sunup >/dev/null
  k label namespace costs-istio istio-injection=enabled >/dev/null
  for round in $(seq "${COST_ROUNDS:-5}"); do
    cost_pod costs none "$round" ''
    cost_pod costs-ours sunup-native "$round" "$native: \"true\""
    cost_pod costs-ours sunup-native-probed "$round" "$native: \"true\"" "$probed"
    cost_pod costs-ours sunup-classic-gate "$round" "$native: \"false\", $free"
    cost_pod costs-ours sunup-classic-held "$round" "$native: \"false\""
    cost_pod costs-istio istio-classic "$round" "$native: \"false\""
    cost_pod costs-istio istio-held "$round" "$native: \"false\", $held"
    cost_pod costs-istio istio-native "$round" "$native: \"true\""
  done
  python3 - "$scratch/costs" "$rig/log/containerd.log" <<'PYTHON'
import collections, datetime, re, statistics, sys

def instant(text):
    return datetime.datetime.fromisoformat(re.sub(r"(\.\d{6})\d*", r"\1", text).replace("Z", "+00:00"))

sandboxes = {}
for line in open(sys.argv[2], errors="replace"):
    found = re.search(r'time="([^"]+)".*RunPodSandbox for &PodSandboxMetadata\{Name:([^,]+),', line)
    if found:
        sandboxes.setdefault(found.group(2), instant(found.group(1)))
modes = collections.defaultdict(list)
for line in open(sys.argv[1]):
    mode, pod, answered, restarts = line.split()
    seconds = None if answered == "never" else (instant(answered) - sandboxes[pod]).total_seconds()
    modes[mode].append((seconds, int(restarts)))
print("| from the sandbox to the application's first answer | median | least to most | restarts |")
print("|---|---|---|---|")
for mode, rows in modes.items():
    times = [seconds for seconds, _ in rows if seconds is not None]
    restarts = sum(restarts for _, restarts in rows)
    print(f"| {mode} | {statistics.median(times):.2f} s | {min(times):.2f} to {max(times):.2f} s "
          f"| {restarts} in {len(rows)} pods |")
PYTHON
}

costs() {
  [ -n "$realk8s" ] || need "times are read from a containerd of our own"
  step "what the applications ask"
  k apply -f .ci/real/platform.yaml >/dev/null
  ready platform config
  inject_release
  step "costs"
  cost
}
