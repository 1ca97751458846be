#!/usr/bin/env bash
# The demo: two hosts joined by one link, a Ferry on each, and on each a VM of tenant A and one of
# tenant B. Both tenants use the same IP and MAC addresses. Everything lives in network namespaces.
#
#   host1 [a1] [b1] ── ferry ══ 192.0.2.1 ─── 192.0.2.2 ══ ferry ── [a2] [b2] host2
set -euo pipefail

once=no
[ "${1:-}" = --once ] && once=yes
[ "$(id -u)" = 0 ] || { echo "the demo makes network namespaces: run it as root" >&2; exit 2; }

here=$(cd "$(dirname "$0")" && pwd)
ferry=${FERRY:-$here/../target/release/ferry}
work=$(mktemp -d)
tag=fy$$
pids=()

cleanup() {
	trap - EXIT INT TERM
	for pid in "${pids[@]}"; do kill "$pid" 2>/dev/null || true; done
	for pid in "${pids[@]}"; do wait "$pid" 2>/dev/null || true; done
	for name in host1 host2 a1 a2 b1 b2; do ip netns del "$tag-$name" 2>/dev/null || true; done
	rm -rf "$work"
}
trap cleanup EXIT
trap 'exit 130' INT TERM

say() { printf '\n\033[1m%s\033[0m\n' "$*"; }
in_ns() { local name=$1; shift; ip netns exec "$tag-$name" "$@"; }

# A cable between two namespaces. Checksum offload is off, because af_packet hands out what lies
# on the wire, and a kernel that offloads leaves checksums to the NIC that is not there.
cable() { # namespace interface namespace interface
	ip link add "$2" netns "$tag-$1" type veth peer name "$4" netns "$tag-$3"
	in_ns "$1" ip link set "$2" up
	in_ns "$3" ip link set "$4" up
	in_ns "$1" ethtool -K "$2" tx off tso off gso off >/dev/null
	in_ns "$3" ethtool -K "$4" tx off tso off gso off >/dev/null
}

say "Two hosts, four VMs"
for name in host1 host2 a1 a2 b1 b2; do
	ip netns add "$tag-$name"
	in_ns "$name" sysctl -qw net.ipv6.conf.default.disable_ipv6=1 net.ipv6.conf.all.disable_ipv6=1
	in_ns "$name" ip link set lo up
done
cable host1 uplink host2 uplink
for host in 1 2; do
	# The kernel still sees what af_packet sees; strict reverse-path filtering keeps it from answering.
	in_ns "host$host" sysctl -qw net.ipv4.conf.uplink.rp_filter=1 net.ipv4.conf.uplink.arp_ignore=8
	for tenant in a b; do
		cable "host$host" "vm-$tenant" "$tenant$host" eth0
		in_ns "$tenant$host" ip link set eth0 address "02:00:00:00:00:0$host"
		in_ns "$tenant$host" ip address add "10.0.0.$host/24" dev eth0
		in_ns "$tenant$host" ip link set eth0 mtu 1450
	done
done
echo "tenant A: a1 10.0.0.1 on host1, a2 10.0.0.2 on host2"
echo "tenant B: b1 10.0.0.1 on host1, b2 10.0.0.2 on host2: the same IP and MAC addresses"

say "A Ferry on each host (configs/demo-host1.yaml, demo-host2.yaml)"
for host in 1 2; do
	sed "s#/run/ferry/ferry.sock#$work/host$host.sock#" "$here/demo-host$host.yaml" >"$work/host$host.yaml"
	ip netns exec "$tag-host$host" "$ferry" run -c "$work/host$host.yaml" 2>"$work/host$host.log" &
	pids+=($!)
done
for host in 1 2; do
	for _ in $(seq 100); do
		"$ferry" show ports --socket "$work/host$host.sock" >/dev/null 2>&1 && break
		sleep 0.1
	done
	"$ferry" show ports --socket "$work/host$host.sock" || { cat "$work/host$host.log" >&2; exit 1; }
done

failed=no
try() { # what is expected, in words; command
	local words=$1; shift
	if "$@" >"$work/out" 2>&1; then echo "  ok    $words"; else echo "  FAIL  $words"; cat "$work/out"; failed=yes; fi
}
ping_works() { in_ns "$1" ping -c 3 -i 0.2 -W 2 10.0.0.2; }
hears() { ! hears_nothing "$@"; }
hears_nothing() { # VM that listens, VM that talks, address that nobody has
	in_ns "$1" timeout 3 tcpdump -i eth0 -n -c 1 "host $3" >"$work/heard" 2>/dev/null &
	local listener=$!
	sleep 1
	in_ns "$2" ping -c 3 -i 0.2 -W 1 "$3" >/dev/null 2>&1 || true
	wait "$listener" || true
	! grep -F "$3" "$work/heard"
}

say "Traffic"
try "A: a1 pings a2 through the tunnel" ping_works a1
try "B: b1 pings b2 through the tunnel" ping_works b1
try "A hears A: a2 receives a1's broadcast" hears a2 a1 10.0.0.66
try "B hears nothing of A's broadcast" hears_nothing b2 a1 10.0.0.77
try "A hears nothing of B's broadcast" hears_nothing a2 b1 10.0.0.88

for host in 1 2; do
	say "host$host: ferry show macs, peers, networks, drops"
	for what in macs peers networks drops; do "$ferry" show "$what" --socket "$work/host$host.sock"; done
done

if [ "$failed" = yes ]; then
	tail -n 20 "$work"/host*.log >&2
	exit 1
fi
if [ "$once" = yes ]; then
	say "Done."
	exit 0
fi
say "It stays up until Ctrl-C. Try, in another shell:"
cat <<END
  ip netns exec $tag-a1 ping 10.0.0.2
  $ferry show macs --socket $work/host1.sock
  ip netns exec $tag-host1 tcpdump -ni uplink udp port 4789
END
wait
