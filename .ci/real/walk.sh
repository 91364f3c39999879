# The walk itself. Read by .ci/cluster; wants kubectl, context, sunup, SUNUP_HELM, and page.sh.

k() { kubectl "$@"; }
doctor() { sunup doctor --live --context "$context" "$@"; }

# faults NAMESPACE LABEL: the manifests of the founding faults.
faults() { sed "s|NAMESPACE|$1|; s|NAMESPACE|$1|g; s|LABEL|$2|" .ci/real/faults.yaml; }

# Rules that the doctor finds for a workload of a namespace, as errors or warnings.
found() {
  doctor -n "$1" --format json 2>/dev/null |
    jq -r --arg name "$2" '.findings[] | select(.subject.name == $name) | .rule' | sort -u
}

# named NAMESPACE NAME RULE: the doctor names exactly this rule, as soon as it can be seen.
named() {
  local rules='' try
  for try in $(seq 60); do
    rules=$(found "$1" "$2" || true)
    [ "$rules" = "$3" ] && { echo "named: $1/$2 $3"; return; }
    # Some are races, and a busy kubelet forgets a first run that failed: another start, then.
    [ $((try % 15)) != 0 ] || k -n "$1" rollout restart "deploy/$2" >/dev/null
    sleep 2
  done
  doctor -n "$1" || true
  fail "$1/$2: the doctor says '$rules' instead of $3"
}

# clean NAMESPACE: the doctor finds nothing, once the pods that were replaced have gone.
clean() {
  local _
  for _ in $(seq 60); do
    doctor -n "$1" >"$scratch/said" 2>&1 && { tail -3 "$scratch/said"; return; }
    sleep 2
  done
  cat "$scratch/said"
  fail "$1: the doctor still finds something"
}

# Pods of a namespace that were restarted, or that are not ready.
unwell() {
  k -n "$1" get pods -o json | jq -r '.items[] | select(.metadata.deletionTimestamp == null) |
    select(([.status.containerStatuses[]?.restartCount] | add) > 0 or
           ([.status.conditions[] | select(.type == "Ready") | .status] != ["True"])) | .metadata.name'
}

ready() { k -n "$1" rollout status "deploy/$2" --timeout=240s; }
# well NAMESPACE: its applications came up at their first start.
well() {
  local deploy
  for deploy in orders billing edge; do ready "$1" $deploy; done
  [ -z "$(unwell "$1")" ] || fail "restarted or not ready: $(unwell "$1")"
}

# No replica of the server is left that ends: those take reviews for a moment longer, with the settings
# that they have.
replaced() {
  local _
  for _ in $(seq 60); do
    [ -n "$(k -n sunup-system get pods -o json |
      jq -r '.items[] | select(.metadata.deletionTimestamp != null) | .metadata.name')" ] || return 0
    sleep 1
  done
  fail "replicas don't end"
}

# Where the proxy of a workload's newest pod is: first, last or init.
place() {
  k -n "$1" get pods -l "app=$2" --sort-by=.metadata.creationTimestamp -o json |
    jq -r '[.items[] | select(.metadata.deletionTimestamp == null)] | last | .spec |
      if any(.initContainers[]?; .name == "istio-proxy" and .restartPolicy == "Always") then "init"
      elif .containers[0].name == "istio-proxy" then "first" else "last" end'
}

# a_pod NAME: a small one, asked for on standard input.
a_pod() {
  cat <<POD
{"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "$1"},
 "spec": {"containers": [{"name": "app", "image": "docker.io/rig/parts:1"}]}}
POD
}

# Creates pods without end, and writes down each that was refused or not as it should be:
# creating NAMESPACE injected|any
creating() {
  local number=0 made
  : >"$scratch/load.bad"
  : >"$scratch/load.count"
  while :; do
    number=$((number + 1))
    made=$(a_pod "load-$number" | k -n "$1" create --dry-run=server -o json -f - 2>&1) ||
      echo "$number refused: $made" >>"$scratch/load.bad"
    if [ "$2" = injected ] && ! grep -q istio-proxy <<<"$made"; then
      echo "$number not injected: $made" >>"$scratch/load.bad"
    fi
    echo "$number" >"$scratch/load.count"
  done
}

under_load() { creating "$1" "$2" & load=$!; }
# The load ends; nothing of it was lost.
unload() {
  sleep 3
  kill "$load" && wait "$load" 2>/dev/null || true
  load=
  echo "created meanwhile: $(cat "$scratch/load.count")"
  [ ! -s "$scratch/load.bad" ] || { head -5 "$scratch/load.bad"; fail "pods were lost: $1"; }
}

# Nothing of Sunup's is left, but what Helm keeps of its releases.
nothing_left() {
  local left _ kinds=mutatingwebhookconfigurations,validatingwebhookconfigurations
  kinds+=,clusterroles,clusterrolebindings,roles,rolebindings,secrets,leases,services,deployments
  for _ in $(seq 30); do
    left=$(k get "$kinds" -A -l app.kubernetes.io/name=sunup -o name)
    left+=$(k get secrets,leases -n sunup-system -o name 2>/dev/null | grep -v 'helm\.' || true)
    [ -n "$left" ] || return 0
    sleep 1
  done
  fail "left behind: $left"
}

world() {
  k apply -f .ci/real/platform.yaml >/dev/null
  openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 30 \
    -subj /CN=vault-agent-injector -addext subjectAltName=DNS:vault-agent-injector.vault.svc \
    -keyout "$scratch/tls.key" -out "$scratch/tls.crt" 2>/dev/null
  k create namespace vault >/dev/null
  k -n vault create secret tls vault-agent-injector --cert "$scratch/tls.crt" \
    --key "$scratch/tls.key" >/dev/null
  sed "s|CA_BUNDLE|$(base64 -w0 <"$scratch/tls.crt")|" .ci/real/vault.yaml | k apply -f - >/dev/null
  for deploy in vault vault-agent-injector; do ready vault $deploy; done
  ready platform config
}

# Find and mend, with no more rights than the page gives.
found_and_mended() {
  step "the founding faults, under Istio's injector"
  faults mesh 'istio-injection: enabled' | k apply -f - >/dev/null
  page rights
  account ops sunup doctor
  context=doctor
  named mesh orders app-before-proxy
  named mesh billing init-before-proxy
  named mesh edge gateway-privileged-port
  page find >"$scratch/said" && fail "three faults, and the doctor is content"
  grep -E '^ *[a-z-]+: |found' "$scratch/said" | head -20 || true
  record mesh orders:app-before-proxy billing:init-before-proxy edge:gateway-privileged-port

  step "each of the doctor's rights is needed"
  needed clusterrole/sunup-doctor '' doctor_says
  needed role/sunup-doctor istio-system doctor_says

  step "healed by fix --live"
  page rights-to-mend
  for deploy in orders billing edge; do page mend NAMESPACE=mesh NAME=$deploy; done
  clean mesh
  page mend-back NAMESPACE=mesh NAME=edge
  named mesh edge gateway-privileged-port
  page mend NAMESPACE=mesh NAME=edge
  k delete namespace mesh --wait=false >/dev/null
}

guarded() {
  step "the guard, beside Istio's injector"
  page guard
  k create namespace guarded >/dev/null
  k label namespace guarded istio-injection=enabled >/dev/null
  # Vault's agent is behind Istio's capture no longer, without anybody's fix.
  faults guarded - | k apply -l 'app in (orders, billing)' -f - >/dev/null
  ready guarded billing
  [ "$(place guarded orders)" = last ] || fail "the guard has moved a proxy unasked"
  page guard-sidecars
  replaced
  k -n guarded rollout restart deploy >/dev/null
  for deploy in orders billing; do ready guarded $deploy; done
  clean guarded
  [ -z "$(unwell guarded)" ] || fail "restarted or not ready: $(unwell guarded)"
  [ "$(place guarded orders)" = init ] || fail "orders is no native sidecar's"
  # It says that it wants a classic one.
  [ "$(place guarded billing)" = first ] || fail "billing isn't held"
  a_pod told | k -n guarded create --dry-run=server -f - 2>"$scratch/told" >/dev/null
  grep 'Warning: sunup: app-before-proxy: .*done: run istio-proxy as a native' "$scratch/told"
  page guard-revision REVISION=default
  k delete namespace guarded --wait=false >/dev/null
}

# Upgrade and rollback lose no review, with both versions of Helm and from one to the other.
changed_under_load() {
  local round chart='charts/sunup -n sunup-system --reuse-values --wait --timeout 3m'
  step "upgrade and rollback while pods are created"
  for round in two three; do
    under_load ours injected
    helm upgrade sunup-canary $chart --set "webhook.podAnnotations.round=$round" >/dev/null
    helm rollback sunup-canary 1 -n sunup-system --wait --timeout 3m >/dev/null
    unload "upgrade and rollback by $helm"
    # What the first has begun, the other goes on with.
    helm=${SUNUP_HELM##*:}
  done
}

killed_and_rebooted() {
  local pod name=sunup-webhook-sunup
  step "replicas are killed while a Deployment rolls"
  k -n ours rollout restart deploy/orders >/dev/null
  for _ in 1 2 3; do
    pod=$(k -n sunup-system get pods -l app=$name -o 'jsonpath={.items[0].metadata.name}')
    k -n sunup-system delete pod "$pod" --force --grace-period=0 2>/dev/null
    ready sunup-system $name >/dev/null
  done
  ready ours orders
  [ -z "$(unwell ours)" ] || fail "restarted or not ready: $(unwell ours)"
  [ -n "$realk8s" ] || return 0
  step "the node reboots"
  reboot
  for deploy in orders billing edge; do ready ours $deploy; done
  ready sunup-system $name
}

injected() {
  step "helm install, mode inject: a namespace moves from Istio's injector to Sunup's"
  faults ours 'istio-injection: enabled' | k apply -f - >/dev/null
  page canary NAMESPACE=ours
  well ours
  clean ours
  record ours
  if helm install other charts/sunup -n sunup-system --set revision=sunup >"$scratch/other" 2>&1; then
    fail "two releases of one revision"
  fi
  grep -q 'sunup-webhook-sunup' "$scratch/other" || fail "refused, but how: $(cat "$scratch/other")"
  helm uninstall other -n sunup-system >/dev/null 2>&1 || true
  changed_under_load
  killed_and_rebooted
  step "each of the server's rights is needed"
  account sunup-system sunup-webhook-sunup server
  needed clusterrole/sunup-webhook-sunup '' server_says
  needed role/sunup-webhook-sunup istio-system server_says
  needed role/sunup-webhook-sunup sunup-system server_says
  step "uninstall while pods are created"
  under_load ours any
  page guard-back
  page canary-back NAMESPACE=ours
  unload "uninstall"
  nothing_left
}

# Where nobody else injects, Sunup is the default revision.
alone() {
  step "a cluster without Istio's injector"
  k delete mutatingwebhookconfiguration istio-sidecar-injector >/dev/null
  page injector NAMESPACE=ours
  well ours
  page upgrade
  page stop
  a_pod free | k -n ours create --dry-run=server -o name -f -
  page back NAMESPACE=ours
  nothing_left
  k delete namespace sunup-system >/dev/null
  page manifests
  page manifests-back
  nothing_left
  page rights-back
}

walk() {
  : >"$scratch/pages"
  echo image >>"$scratch/pages"
  helm=${SUNUP_HELM%%:*}
  step "what the applications ask"
  world
  found_and_mended
  guarded
  injected
  [ -n "$realk8s" ] || return 0
  alone
  whole_page
}
