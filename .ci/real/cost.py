"""Tables of what start-up costs: cost.py COSTS CONTAINERD_LOG. Fails where a connection of a pod
behind Sunup's start gate failed."""

import collections
import datetime
import re
import statistics
import sys


def instant(text):
    text = re.sub(r"(\.\d{6})\d*", r"\1", text).replace("Z", "+00:00")
    return datetime.datetime.fromisoformat(text)


sandboxes = {}
for line in open(sys.argv[2], errors="replace"):
    found = re.search(
        r'time="([^"]+)".*RunPodSandbox for &PodSandboxMetadata\{Name:([^,]+),', line
    )
    if found:
        sandboxes.setdefault(found.group(2), instant(found.group(1)))

Pod = collections.namedtuple("Pod", "seconds restarts connect failed again")
modes = collections.defaultdict(list)
for line in open(sys.argv[1]):
    mode, pod, restarts, said = line.split(maxsplit=3)
    told = re.search(
        r"^(\S+) .*connect ([\d.]+) ms .*AttemptFails (\d+), RetransSegs (\d+)", said
    )
    if not told:
        modes[mode].append(Pod(None, int(restarts), None, None, None))
        continue
    seconds = (instant(told.group(1)) - sandboxes[pod]).total_seconds()
    numbers = float(told.group(2)), int(told.group(3)), int(told.group(4))
    modes[mode].append(Pod(seconds, int(restarts), *numbers))

print("| mode | pods | median | least to most | restarts | connected within 10 ms "
      "| connections of the pod that failed | segments sent again |")
print("|---|---|---|---|---|---|---|---|")
for mode, pods in modes.items():
    up = [pod for pod in pods if pod.seconds is not None]
    times = [pod.seconds for pod in up]
    print(f"| {mode} | {len(up)} of {len(pods)} | {statistics.median(times):.2f} s "
          f"| {min(times):.2f} to {max(times):.2f} s | {sum(pod.restarts for pod in pods)} "
          f"| {sum(pod.connect < 10 for pod in up)} | {sum(pod.failed for pod in up)} "
          f"| {sum(pod.again for pod in up)} |")

behind = ("sunup-native", "sunup-classic-gate", "early-native", "early-classic-gate")
gated = [pod for mode in behind for pod in modes[mode]]
sys.exit(any(pod.seconds is None or pod.restarts or pod.failed for pod in gated) or not gated)
