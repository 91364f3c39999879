# What a person would hand over of a namespace, beside it what only the rig sees, and what is true of
# it, as the faults were made. Read by .ci/cluster.

# record NAMESPACE [NAME:RULE…]: its folder below the one that was named, and whether the doctor judges
# that folder alone as it really is.
record() {
  [ -n "$record" ] || return 0
  local into=$record/$1 pod container list
  rm -rf "$into"
  mkdir -p "$into/in/logs" "$into/in/manifests" "$into/extra/cri"
  list=$(k get namespace "$1" -o json | jq -r '.metadata.labels | to_entries[] |
    select(.key | startswith("istio")) | "\(.key): \(.value)"')
  faults "$1" "$list" >"$into/in/manifests/faults.yaml"
  truth "$@"
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
  if [ -n "$realk8s" ]; then
    cp -r "$rig/log/pods/$1"_* "$into/extra/cri/" 2>/dev/null || true
    timeline "$1" >"$into/extra/timeline.txt"
  fi
  judged "$into"
}

# What is true, in the words of the recordings that tests read: nothing but the faults that were made.
truth() {
  local namespace=$1 made
  shift
  made=$(printf '%s\n' "$@" | jq -R --arg namespace "$namespace" 'select(. != "") | split(":") |
    {rule: .[1], kind: "Deployment", namespace: $namespace, name: .[0],
     severity: ["error", "warning"]}' | jq -s .)
  jq -n --argjson made "$made" '{findings: $made}' >"$record/$namespace/expected.json"
  {
    printf '# Namespace %s\n\n' "$namespace"
    printf 'Made by `.ci/real/faults.yaml`: %s.\n' "${*:-nothing is wrong}"
    printf 'Kubernetes %s, Istio %s.\n' "$(k version -o json | jq -r .serverVersion.gitVersion)" \
      "${istio:-of that cluster}"
  } >"$record/$namespace/what-really-happened.md"
}

# The doctor says of a folder what is true, and of errors nothing more.
judged() {
  local said wanted
  said=$(sunup doctor --format json "$1/in" | jq -c '[.findings[] | select(.severity != "info") |
    "\(.subject.name) \(.rule)"] | sort') || true
  wanted=$(jq -c '[.findings[] | "\(.name) \(.rule)"] | sort' "$1/expected.json")
  [ "$said" = "$wanted" ] || fail "$1: the doctor says $said of the recording instead of $wanted"
  echo "recorded, and judged as it really was: $1"
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
