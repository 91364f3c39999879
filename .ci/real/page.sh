# The commands of a document, run as they stand there. Read by .ci/cluster; wants kubectl, context, sunup
# and helm.

document=docs/install.md

# The programs that its blocks name. Helm and kubectl are told which cluster, where people have a
# current context.
kubectl() { command "$kubectl" --context "$admin" "$@"; }
helm() { command "$helm" --kube-context "$admin" "$@"; }
sunup() { command "$sunup" "$@"; }

# block NAME: its text.
block() {
  awk -v want="\`\`\`sh $1" '$0 == want { on = 1; next } /^```/ { on = 0 } on' "$document"
}

# page NAME [WORD=VALUE…]: runs a block, with these for its words in capitals.
page() {
  local name=$1 text word
  shift
  text=$(block "$name")
  [ -n "$text" ] || fail "$document has no block $name"
  for word in "CONTEXT=$context" "$@"; do
    text=$(sed "s|\b${word%%=*}\b|${word#*=}|g" <<<"$text")
  done
  echo "$name" >>"$scratch/pages"
  sed 's/^[^ ]/$ &/' <<<"$text"
  eval "$text"
}

# Each block was run.
whole_page() {
  local left
  left=$(comm -23 <(sed -n 's/^```sh //p' "$document" | sort) <(sort -u "$scratch/pages"))
  [ -z "$left" ] || fail "$document: not run: $left"
  [ -z "$(grep -nE '^(```sh ?$|    [a-z])' "$document")" ] || fail "$document: a block without a name"
}
