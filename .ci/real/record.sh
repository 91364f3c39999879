# What a person would hand over of a namespace, and beside it what only the rig sees. Read by
# .ci/cluster.

record() {
  [ -n "$record" ] || return 0
  local into=$record/$1 pod container list
  mkdir -p "$into/in/logs" "$into/extra/cri"
  k -n "$1" get pods,events -o json >"$into/in/pods-events.json"
  k -n "$1" get deployments,replicasets,services -o json >"$into/in/workloads.json"
  k get namespace "$1" -o json >"$into/in/namespace.json"
  k get mutatingwebhookconfigurations -o json >"$into/in/webhooks.json"
  list='.items[] | select(.kind == "Pod") | .metadata.name as $pod |
    (.spec.initContainers[]?, .spec.containers[]) | "\($pod) \(.name)"'
  jq -r "$list" "$into/in/pods-events.json" | while read -r pod container; do
    k -n "$1" logs --timestamps "$pod" -c "$container" >"$into/in/logs/$pod.$container.log" \
      2>/dev/null || rm -f "$into/in/logs/$pod.$container.log"
    k -n "$1" logs --timestamps --previous "$pod" -c "$container" \
      >"$into/in/logs/$pod.$container.previous.log" 2>/dev/null ||
      rm -f "$into/in/logs/$pod.$container.previous.log"
  done
  k -n "$1" get pods -o wide >"$into/extra/get-pods.txt"
  k -n "$1" describe pods >"$into/extra/describe.txt"
  [ -n "${rig:-}" ] || return 0
  cp -r "$rig/log/pods/$1"_* "$into/extra/cri/" 2>/dev/null || true
  timeline "$1" >"$into/extra/timeline.txt"
}

# Milliseconds since the first of them, of what containerd did for the pods of a namespace.
timeline() {
  python3 - "$1" "$rig/log/containerd.log" <<'PYTHON'
import datetime, re, sys

namespace, path = sys.argv[1], sys.argv[2]
rows, ours = [], {}
for line in open(path, errors="replace"):
    found = re.search(r'time="([^"]+)" level=\w+ msg="(.*?)"(?: |$)', line)
    if not found:
        continue
    said = found.group(2).replace('\\"', '"')
    at = re.sub(r"(\.\d{6})\d*", r"\1", found.group(1)).replace("Z", "+00:00")
    sandbox = re.search(r'sandbox id "?([0-9a-f]{64})', said)
    if f"Namespace:{namespace}," in said and (made := re.search(r'sandbox id "([0-9a-f]{64})"', said)):
        ours[made.group(1)] = True
    if f"Namespace:{namespace}," in said or (sandbox and sandbox.group(1) in ours):
        rows.append((datetime.datetime.fromisoformat(at), said))
        for made in re.findall(r'container id "?([0-9a-f]{64})', said):
            ours[made] = True
    elif any(known in said for known in ours):
        rows.append((datetime.datetime.fromisoformat(at), said))
for at, said in rows:
    print(f"{(at - rows[0][0]).total_seconds() * 1000:9.0f} ms  {said[:160]}")
PYTHON
}
