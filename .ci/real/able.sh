# Whether this machine can carry a Kubernetes of its own: each thing that one takes is tried, not looked
# up. Read by .ci/cluster; takes cache and scratch.

# The rig's packages, which its own start installs otherwise: a machine that can't have them is told apart
# from a rig that fails.
rig_packages=(containerd runc containernetworking-plugins conntrack iptables nftables ebtables socat ethtool
  busybox-static iproute2)

# In namespaces like the rig's, in a folder of the file system that its own state lies on: what fails is
# printed. Read by bash as a file, since it is PID 1 there.
in_namespaces() {
  local it said
  try() { it=$1; shift; said=$("$@" 2>&1) || echo "$it: $(head -1 <<<"$said")"; }
  mount --make-rshared /
  mkdir -p lower upper work merged run
  try "overlay file systems below $PWD" \
    mount -t overlay overlay -o lowerdir=lower,upperdir=upper,workdir=work merged
  try "file systems in memory" mount -t tmpfs able run
  try "a host name of its own" hostname able
  try "a network of its own" ip link set lo up
  try "virtual network cables" ip link add able0 type veth peer name able1
  try "network bridges" ip link add able2 type bridge
  try "iptables: MASQUERADE" iptables -w -t nat -A POSTROUTING -j MASQUERADE
  try "iptables: REDIRECT" iptables -w -t nat -A OUTPUT -p tcp -m owner --uid-owner 1 -j REDIRECT --to-ports 1
  try "iptables: conntrack, marks, comments" iptables -w -A FORWARD -m conntrack --ctstate INVALID \
    -m mark --mark 1 -m comment --comment able -j DROP
  try "iptables: statistic" iptables -w -t nat -A PREROUTING -m statistic --mode random --probability 0.5 \
    -j MARK --set-xmark 1
  try "net.ipv4.ip_forward" sysctl -qw net.ipv4.ip_forward=1
  umount run merged 2>/dev/null || true
}

# One container by runc, as the rig's are: what cgroups and capabilities of this machine don't allow shows.
a_container() {
  mkdir -p bundle/rootfs/bin
  cp /bin/busybox bundle/rootfs/bin/
  cd bundle
  runc spec
  jq '.process.terminal = false | .process.args = ["/bin/busybox", "true"] | .root.readonly = false |
    .linux.cgroupsPath = "/sunup-able.'"$1"'"' config.json >spec.json
  mv spec.json config.json
  runc --root "$PWD/state" run able
}

# able: prints what is missing, a line each.
able() {
  local name said folder free wanted missing='' into=$cache/able
  [ -x "$realk8s/up.sh" ] || { echo "a Kubernetes at $realk8s: name it with SUNUP_REALK8S"; return; }
  [ "$(id -u)" = 0 ] || { echo "root"; return; }
  if ! dpkg -s "${rig_packages[@]}" >/dev/null 2>&1; then
    said=$(apt-get update -qq 2>&1 && DEBIAN_FRONTEND=noninteractive apt-get install -qq -y \
      --no-install-recommends "${rig_packages[@]}" 2>&1) ||
      { echo "Debian's packages ${rig_packages[*]}: $(tail -1 <<<"$said")"; return; }
  fi
  for name in jq openssl gcc python3 git; do
    command -v "$name" >/dev/null || echo "the program $name"
  done
  # Of the version that its module asks for, or one that fetches it.
  said=$(cd "$realk8s" && go version 2>&1) || echo "Go: $(tail -1 <<<"$said")"
  for name in cpu cpuacct cpuset memory pids devices freezer; do
    folder=/sys/fs/cgroup/$name/sunup-able.$$
    { mkdir "$folder" && rmdir "$folder"; } 2>/dev/null || missing+=" $name"
  done
  [ -z "$missing" ] || echo "cgroups of version 1, to be written to below /sys/fs/cgroup:$missing"
  said=$({ : </dev/kmsg; } 2>&1) || echo "/dev/kmsg: $said"
  name=/proc/sys/vm/overcommit_memory
  said=$({ cat $name >$name; } 2>&1) || echo "$name: $said"
  rm -rf "$into"
  mkdir -p "$into"
  declare -f in_namespaces a_container >"$scratch/able.sh"
  for name in in_namespaces a_container; do
    said=$(cd "$into" && unshare --mount --net --uts --pid --fork --kill-child --mount-proc \
      --propagation slave bash -c ". $scratch/able.sh; set -e; $name $$" 2>&1) ||
      said="namespaces, $name: ${said:-failed}"
    # Of a container's, its end says why.
    [ "$name" = in_namespaces ] || said=$(tail -1 <<<"$said")
    [ -z "$said" ] || echo "$said"
  done
  rm -rf "$into"
  # The sockets in it have no longer names.
  [ ${#rig} -le 60 ] || echo "a shorter path than $rig, by XDG_CACHE_HOME"
  free=$(awk '$1 == "MemAvailable:" { print int($2 / 1024) }' /proc/meminfo)
  [ "$free" -ge 4000 ] || echo "memory: $free MB of 4000"
  # From nothing Kubernetes and Istio are compiled, which leaves Go's caches full of what they are made of.
  wanted=6
  [ -x "$cache/istio-$istio/pilot-agent" ] && [ -x "$rig/bin/k8s" ] || wanted=13
  free=$(df --output=avail -BG "$cache" | tail -1 | tr -dc 0-9)
  [ "$free" -ge $wanted ] || echo "disk: $free GB of $wanted at $cache"
}
