# Pods of Istio's injector as they are, on a node without and with Sunup's agent: restarts, failed
# connections, and the node as it was once the agent is gone. Read by .ci/cluster; takes the helpers of
# walk.sh and cost.sh.

# asking MODE ANNOTATIONS: many at once that ask for something first thing; what came of them is in costs.
asking() {
  local number count=${NODE_PODS:-10}
  for number in $(seq "$count"); do cost_pod costs-istio "$1" "$number" "$native: \"false\"$2"; done |
    k apply -f - >/dev/null
  for number in $(seq "$count"); do costed costs-istio "$1" "$number"; done
}

# How often applications of a mode were restarted, all in all.
restarts() { awk -v mode="$1" '$1 == mode { sum += $3 } END { print sum + 0 }' "$scratch/costs"; }

# Connections that the node's agent has handed over; what its status says goes with the pods.
handed_over() {
  local agent
  agent=$(k -n sunup-node get pods -l app=sunup-node -o 'jsonpath={.items[0].metadata.name}')
  k get --raw "/api/v1/namespaces/sunup-node/pods/$agent:15014/proxy/metrics" |
    awk '$1 == "sunup_gate_handed_over_total" { print $2 }'
}

said_by_agent() { k -n sunup-node exec ds/sunup-node -- sunup node status; }

node_agent() {
  local programs=/usr/lib/cni chain=$rig/conf/cni/10-bridge.conflist
  [ -n "$realk8s" ] || need "a node of our own, whose network's configuration may be changed"
  asked_first
  k create namespace costs-istio >/dev/null
  k label namespace costs-istio istio-injection=enabled >/dev/null
  step "without an agent"
  asking control ''
  [ "$(restarts control)" -gt 0 ] || fail "nothing was refused without an agent: this shows nothing"
  step "the agent"
  cp "$chain" "$scratch/chain"
  k create namespace sunup-node >/dev/null
  k label namespace sunup-node pod-security.kubernetes.io/enforce=privileged >/dev/null
  helm install sunup-node charts/sunup -n sunup-node --set webhook.enabled=false \
    --set node.enabled=true --set "node.cni.configurations=$rig/conf/cni" \
    --set "node.cni.programs=$programs" --wait --timeout 3m >/dev/null
  k -n sunup-node rollout status ds/sunup-node --timeout=120s
  grep -q sunup-cni "$chain" || fail "the plugin is not in the chain"
  asking stand-in ''
  said_by_agent
  [ "$(handed_over)" -gt 0 ] || fail "the agent has handed nothing over"
  asking gate ', sunup.dev/node-gate: gate'
  cat "$scratch/costs"
  for mode in stand-in gate; do
    [ "$(restarts $mode)" = 0 ] || fail "$mode: applications were restarted"
  done
  step "the agent goes"
  helm uninstall sunup-node -n sunup-node --wait >/dev/null
  k -n sunup-node wait --for=delete pod -l app=sunup-node --timeout=90s
  cmp "$scratch/chain" "$chain" || fail "the chain is not as it was"
  [ ! -e "$programs/sunup-cni" ] || fail "the plugin's program is still there"
  # Without it pods come up as they did.
  NODE_PODS=1 asking after ''
}
