# What start-up costs by mode: from the sandbox to the application's first answer, of pods that ask
# for something first thing; and whether anything is refused that early. Read by .ci/cluster; takes
# walk.sh's helpers.

# cost_pod NAMESPACE MODE NUMBER ANNOTATIONS [CONTAINERS]: the manifest of a pod that asks first thing.
cost_pod() {
  cat <<POD
apiVersion: v1
kind: Pod
metadata:
  name: $2-$3
  namespace: $1
  annotations: {sidecar.istio.io/proxyCPU: 10m, sidecar.istio.io/proxyMemory: 16Mi, $4}
spec:
  terminationGracePeriodSeconds: 1
  containers:
  - name: app
    image: docker.io/rig/parts:1
    args: [-url, "http://$asked/", -listen, ":8080"]
${5:-}
---
POD
}

# costed NAMESPACE MODE NUMBER: what came of it, as a line of costs; the pod goes.
costed() {
  local pod=$2-$3 said restarts _
  k -n "$1" wait --for=condition=Ready "pod/$pod" --timeout=180s >/dev/null || true
  # Who waits behind a gate is ready before it has its answer.
  for _ in $(seq 60); do
    said=$(k -n "$1" logs --timestamps "$pod" -c app | grep -m1 'settings loaded') && break
    said=never
    sleep 1
  done
  restarts=$(k -n "$1" get pod "$pod" -o json |
    jq '[.status.containerStatuses[] | select(.name == "app") | .restartCount] | add')
  echo "$2 $pod $restarts $said" >>"$scratch/costs"
  k -n "$1" delete pod "$pod" --wait=false >/dev/null
}

native=sidecar.istio.io/nativeSidecar
free="proxy.istio.io/config: '{\"holdApplicationUntilProxyStarts\": false}'"

# One pod after another, of each mode in turn, so that a busy machine is busy for all of them.
cost() {
  local round held="proxy.istio.io/config: '{\"holdApplicationUntilProxyStarts\": true}'"
  local probed='  - name: istio-proxy
    image: auto
    imagePullPolicy: IfNotPresent
    startupProbe: {httpGet: {path: /healthz/ready, port: 15021}, periodSeconds: 1, failureThreshold: 600}'
  one() { cost_pod "$@" | k apply -f - >/dev/null && costed "$1" "$2" "$3"; }
  for round in $(seq "${COST_ROUNDS:-5}"); do
    one costs none "$round" ''
    one costs-ours sunup-native "$round" "$native: \"true\""
    one costs-ours sunup-native-probed "$round" "$native: \"true\"" "$probed"
    one costs-ours sunup-classic-gate "$round" "$native: \"false\", $free"
    one costs-ours sunup-classic-held "$round" "$native: \"false\""
    one costs-istio istio-classic "$round" "$native: \"false\""
    one costs-istio istio-held "$round" "$native: \"false\", $held"
    one costs-istio istio-native "$round" "$native: \"true\""
  done
}

# early MODE ANNOTATIONS: many at once behind a sidecar of Sunup's that the kubelet doesn't wait for. The
# applications connect in their first milliseconds, and no connection of the pod fails.
early() {
  local number count=${EARLY_PODS:-40}
  for number in $(seq "$count"); do cost_pod costs-ours "$1" "$number" "$2"; done |
    k apply -f - >/dev/null
  for number in $(seq "$count"); do costed costs-ours "$1" "$number"; done
}

# What applications ask for first thing is there.
asked_first() {
  step "what the applications ask"
  k apply -f .ci/real/platform.yaml >/dev/null
  ready platform config
  asked=$(k -n platform get service config -o 'jsonpath={.spec.clusterIP}')
  helm=${SUNUP_HELM%%:*}
}

costs() {
  [ -n "$realk8s" ] || need "times are read from a containerd of our own"
  asked_first
  helm install sunup charts/sunup -n sunup-system --create-namespace --set revision=sunup \
    --set 'webhook.options={--proxy=sunup}' --wait --timeout 3m >/dev/null
  for namespace in costs costs-ours costs-istio; do k create namespace $namespace >/dev/null; done
  k label namespace costs-ours istio.io/rev=sunup >/dev/null
  k label namespace costs-istio istio-injection=enabled >/dev/null
  step "costs"
  cost
  step "many early ones at once"
  early early-native "$native: \"true\""
  early early-classic-gate "$native: \"false\", $free"
  python3 .ci/real/cost.py "$scratch/costs" "$rig/log/containerd.log" ||
    fail "connections failed behind the start gate"
}
