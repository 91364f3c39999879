# Pods of Istio's injector as they are, on a node without and with Sunup's agent: restarts, failed
# connections, its rights, and the node as it was once the agent is gone; by the commands of docs/node.md.
# Read by .ci/cluster; takes the helpers of walk.sh, cost.sh and rights.sh.

# asking MODE ANNOTATIONS: pods that ask for something first thing, in batches; what came of them is in
# costs. In full: NODE_PODS=100, and NODE_BATCH at once.
asking() {
  local first last number count=${NODE_PODS:-10} batch=${NODE_BATCH:-10}
  for first in $(seq 1 "$batch" "$count"); do
    last=$((first + batch - 1 < count ? first + batch - 1 : count))
    for number in $(seq "$first" "$last"); do
      cost_pod costs-istio "$1" "$number" "$native: \"false\"$2"
    done | k apply -f - >/dev/null
    for number in $(seq "$first" "$last"); do costed costs-istio "$1" "$number"; done
  done
}

# How often applications of a mode were restarted, all in all.
restarts() { awk -v mode="$1" '$1 == mode { sum += $3 } END { print sum + 0 }' "$scratch/costs"; }

# The agent that stays, where one is being replaced.
agent_pod() {
  k -n sunup-node get pods -l app=sunup-node --sort-by=.metadata.creationTimestamp -o json |
    jq -r '[.items[] | select(.metadata.deletionTimestamp == null)] | last | .metadata.name'
}

# Connections that the node's agent has handed over; what its status says goes with the pods.
handed_over() {
  k get --raw "/api/v1/namespaces/sunup-node/pods/$(agent_pod):15014/proxy/metrics" |
    awk '$1 == "sunup_gate_handed_over_total" { print $2 }'
}

# What stands in for the words of the page.
node_page() {
  page "$1" "CONFIGURATIONS=$rig/conf/cni" "PROGRAMS=$programs" "FOLDER=$scratch/dump"
}

# A pod whose proxy never gets a configuration, so that what waits for it is reset.
stuck() {
  k -n costs-istio delete pod stuck-1 --ignore-not-found --grace-period=1 >/dev/null
  cost_pod costs-istio stuck 1 "$native: \"false\",
    proxy.istio.io/config: '{\"discoveryAddress\": \"nowhere.invalid:15012\"}'" | k apply -f - >/dev/null
}

# expired N: so many events say so.
expired() {
  local _
  for _ in $(seq 60); do
    [ "$(k -n costs-istio get events --field-selector reason=StartGateExpired -o name | wc -l)" -lt "$1" ] ||
      return 0
    sleep 1
  done
  fail "no event says that a deadline has passed"
}

# What an agent says as it ends, and the next one from its start on.
agent_says() {
  local _ follows pod
  pod=$(agent_pod)
  k -n sunup-node logs -f "$pod" >"$scratch/agent" 2>&1 &
  follows=$!
  sleep 0.5
  k -n sunup-node delete pod "$pod" >/dev/null
  wait $follows || true
  k -n sunup-node rollout status ds/sunup-node --timeout=120s >/dev/null
  if [ "$rule" = events ]; then
    stuck
    for _ in $(seq 60); do
      k -n sunup-node logs "$(agent_pod)" | grep -q 'could not be recorded' && break
      sleep 1
    done
  else
    # It is ready before it has asked for everything.
    sleep 2
  fi
  cat "$scratch/agent"
  k -n sunup-node logs "$(agent_pod)"
}

# The agent is killed before it could take anything away, and nobody starts it again.
killed_for_good() {
  local id pid pod
  # Once the DaemonSet is deleted its pod may be gone at any time.
  pod=$(agent_pod)
  id=$(k -n sunup-node get pod "$pod" -o 'jsonpath={.status.containerStatuses[0].containerID}')
  # Processes that end meanwhile are of no matter.
  pid=$({ grep -ls "${id##*/}" /proc/[0-9]*/cgroup || true; } | head -1 | cut -d/ -f3)
  kill -STOP "$pid"
  k -n sunup-node delete ds sunup-node >/dev/null
  k -n sunup-node delete pod "$pod" --force --grace-period=0 --ignore-not-found 2>/dev/null
  while [ -e "/proc/$pid" ]; do sleep 0.2; done
}

# The plugin is in the chain: an agent that answers may not have looked there yet.
chained() {
  local _
  for _ in $(seq 60); do
    ! grep -q sunup-cni "$chain" || return 0
    sleep 0.5
  done
  fail "the plugin is not in the chain"
}

# as_before: the chain is, and the program is gone.
as_before() {
  local _
  for _ in $(seq 60); do
    ! cmp -s "$scratch/chain" "$chain" || [ -e "$programs/sunup-cni" ] || return 0
    sleep 0.5
  done
  cat "$chain"
  fail "the node is not as it was"
}

node_agent() {
  local programs=/usr/lib/cni chain=$rig/conf/cni/10-bridge.conflist mode
  plugin=$programs/sunup-cni
  [ -n "$realk8s" ] || need "a node of our own, whose network's configuration may be changed"
  document=docs/node.md
  : >"$scratch/pages"
  asked_first
  k create namespace costs-istio >/dev/null
  k label namespace costs-istio istio-injection=enabled >/dev/null
  step "without an agent"
  asking control ''
  [ "$(restarts control)" -gt 0 ] || fail "nothing was refused without an agent: this shows nothing"

  step "the agent"
  cp "$chain" "$scratch/chain"
  node_page node
  chained
  asking stand-in ''
  node_page node-status
  [ "$(handed_over)" -gt 0 ] || fail "the agent has handed nothing over"
  asking gate ', sunup.dev/node-gate: gate'
  step "the agent is replaced while pods start"
  k -n sunup-node rollout restart ds/sunup-node >/dev/null
  NODE_PODS=${NODE_BATCH:-10} asking replaced ''
  k -n sunup-node rollout status ds/sunup-node --timeout=120s
  for mode in control stand-in gate replaced; do
    echo "$mode: $(grep -c "^$mode " "$scratch/costs") pods, $(restarts $mode) restarts"
  done
  cat "$scratch/costs"
  for mode in stand-in gate replaced; do
    [ "$(restarts $mode)" = 0 ] || fail "$mode: applications were restarted"
    ! grep "^$mode .* never$" "$scratch/costs" || fail "$mode: an application had no answer"
  done

  step "each of the agent's rights is needed"
  node_page node-deadline
  stuck
  expired 1
  mkdir "$scratch/dump"
  k -n costs-istio get pods,events -o json >"$scratch/dump/pods.json"
  # It may have something to say.
  node_page node-told || [ $? = 1 ] || fail "the doctor can't read what it was told to be handed"
  needed clusterrole/sunup-node '' agent_says
  needed role/sunup-node istio-system agent_says
  needed role/sunup-node sunup-node agent_says
  k -n costs-istio delete pod stuck-1 --wait=false >/dev/null
  node_page node-vouch

  step "the agent goes"
  node_page node-back
  k -n sunup-node wait --for=delete pod -l app=sunup-node --timeout=90s
  as_before
  # Without it pods come up as they did.
  NODE_PODS=1 asking after ''
  node_page node-manifests
  chained
  killed_for_good
  grep -q sunup-cni "$chain" || fail "an agent that was killed has taken its plugin away"
  # Its plugin is there still, and keeps nobody.
  NODE_PODS=1 asking orphaned ''
  node_page node-by-hand
  as_before
  node_page node-manifests-back
  whole_page
}
