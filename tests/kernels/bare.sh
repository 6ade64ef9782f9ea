# On a node with a kernel, busybox and the plugin only, one pod is added and removed. Each step prints a line of JSON.
tell() { echo "$1" > /dev/ttyS1; }

call() { # VERB DOCUMENT: the plugin's exit code and what it said, in $said
	said=$(echo "$2" | CNI_COMMAND=$1 CNI_NETNS=/proc/$pod/ns/net /opt/cni/bin/slash80)
	code=$?
	tell "{\"step\": \"$1\", \"code\": $code, \"said\": ${said:-{\}}}"
	return $code
}

flags=$(sed -n 's/^flags[^:]*: //p' /proc/cpuinfo | head -n 1)
tell "{\"step\": \"machine\", \"release\": \"$(uname -r)\", \"flags\": \"$flags\"}"
export CNI_PATH=/opt/cni/bin CNI_CONTAINERID=one CNI_IFNAME=eth0
ip link set lo up
ip addr add 192.0.2.1/32 dev lo
ip addr add 2001:db8::1/128 dev lo
unshare -n sleep 10000 &
pod=$!
until [ "$(readlink /proc/$pod/ns/net)" != "$(readlink /proc/self/ns/net)" ]; do usleep 100000; done

common='"cniVersion": "1.0.0", "name": "bare", "type": "slash80"'
ranges='"ipv4": {"prefixes": ["10.80.1.0/24"]}, "ipv6": {"prefixes": ["2001:db8:0:1:1::/80"], "suffix": "ipv4"}'
call VERSION '{"cniVersion": "1.0.0"}'
# As a runtime does, again: the first time the kernel's modules are loaded, which takes an emulated machine long.
for attempt in 1 2 3; do call ADD "{$common, $ranges}" && break; done
call CHECK "{$common, $ranges, \"prevResult\": $said}"
ping -c 1 -W 10 10.80.1.1 > /dev/null; ipv4=$?
ping -c 1 -W 10 "$(ip -6 route | sed -n 's/^\(2001:[^ ]*\) dev s80.*/\1/p')" > /dev/null; ipv6=$?
tell "{\"step\": \"ping\", \"codes\": {\"ipv4\": $ipv4, \"ipv6\": $ipv6}}"
call DEL "{$common, $ranges}"
tell "{\"step\": \"left\", \"links\": \"$(ls /sys/class/net | tr '\n' ' ' | sed 's/ $//')\"}"
