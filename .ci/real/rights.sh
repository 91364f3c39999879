# Whether roles are what is needed and no more: each of their rules is taken away in turn, and what
# relies on it says so by name. Read by .ci/cluster.

# needed KIND/NAME NAMESPACE COMMAND…: without a rule the command, which knows rule and verbs, names its
# resource.
needed() {
  local role=$1 namespace=$2 whole count number rule verbs said named _
  shift 2
  echo "$role${namespace:+ in $namespace}:"
  whole=$(k get "$role" ${namespace:+-n "$namespace"} -o json | jq 'del(.metadata.resourceVersion)')
  count=$(jq '.rules | length' <<<"$whole")
  for number in $(seq 0 $((count - 1))); do
    rule=$(jq -r ".rules[$number].resources[0]" <<<"$whole")
    verbs=$(jq -c ".rules[$number].verbs" <<<"$whole")
    jq "del(.rules[$number])" <<<"$whole" | k replace -f - >/dev/null
    # API servers hear of roles a moment later.
    for _ in $(seq 20); do
      said=$("$@" 2>&1 || true)
      named=$(grep -m1 -E "(^|[ :\"])$rule[ .:\"].*(403|forbidden)" <<<"$said") && break
      sleep 0.2
    done
    k replace -f - <<<"$whole" >/dev/null
    [ -n "$named" ] || { echo "$said"; fail "$role: nothing says that it needs $rule"; }
    echo "  $named"
  done
}

doctor_says() {
  doctor -A --format json | jq -r '.unknown[].missing[], .unreadable[].why'
}

# The server, for as long as it takes to hear what it may not: with its account's rights, outside.
made=sunup-webhook-sunup-ca
server_says() {
  # What may only be made is missed where it isn't there.
  [ "$verbs" != '["create"]' ] || k -n "$namespace" delete "$rule" "$made" --ignore-not-found >/dev/null
  grep -m1 forbidden < <(timeout 5 "$sunup" webhook --context server --listen 127.0.0.1:0 \
    --health 127.0.0.1:0 --namespace sunup-system --service "${made%-ca}" \
    --configuration "zz-${made%-ca}" --revision sunup --proxy sunup 2>&1)
}

# account NAMESPACE NAME CONTEXT: a context with the rights of a service account.
account() {
  k config set-credentials "$3" --token "$(k -n "$1" create token "$2" --duration=2h)" >/dev/null
  k config set-context "$3" --user "$3" \
    --cluster "$(k config view --minify -o jsonpath='{.contexts[0].context.cluster}')" >/dev/null
}
