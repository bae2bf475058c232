# Figures of machines that others reported: how files looked there, and what memz must make of them.
# shellcheck disable=SC2154
load helper

setup() {
	TREE=$BATS_TEST_TMPDIR/tree
	mkdir -p "$TREE/proc/self"
	echo 'MemTotal: 1000000 kB' >"$TREE/proc/meminfo"
}

# process PID [COMM]: a living one
process() {
	mkdir -p "$TREE/proc/$1"
	echo "${2-p$1}" >"$TREE/proc/$1/comm"
	echo "$1 (${2-p$1}) S 1 1 1 0 -1 4194304 1 0 0 0 0 0 0 0 20 0 1 0 100 1000000 10" >"$TREE/proc/$1/stat"
	echo '100 10 5 1 0 20 0' >"$TREE/proc/$1/statm"
}

memz() {
	"$MEMZ" -q -S "$TREE" --csv -H "$@"
}

# cgroup_is COLUMN: standard input has lines of a path, a bar, and the value of the column
cgroup_is() {
	process 5
	while IFS='|' read -r path value; do
		echo "0::$path" >"$TREE/proc/5/cgroup"
		echo "$path"
		[[ $(memz -c "pid,$1") == "5,$value" ]]
	done
}

id=0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef
uuid=0123abcd-4567-89ab-cdef-0123456789ab

# numa_maps

@test "numa_maps before 4.0: the word huge means pages of Hugepagesize" {
	process 7
	printf '%s\n' '00400000 default file=/bin/sleep mapped=4 N0=4' \
		'2aaaaac00000 interleave:0-1 file=/SYSV00000000\040(deleted) huge dirty=1024 N0=512 N1=512' \
		'2aaaaad00000 default file=/huge mapped=1 N0=1' '2aaaaae00000 default huge' >"$TREE/proc/7/numa_maps"
	[[ $(memz -c pid,numa) == 7, ]]		# the size is unknown
	echo 'Hugepagesize: 2048 kB' >>"$TREE/proc/meminfo"
	[[ $(memz -c pid,numa) == '7,0=1048596 1=1048576' ]]
	echo '2aaaaaf00000 default huge kernelpagesize_kB=1048576 N1=1' >"$TREE/proc/7/numa_maps"
	[[ $(memz -c pid,numa) == '7,1=1048576' ]]
}

# Control groups

@test "a container called docker or lxc is no engine, and what is no id is no container" {
	cgroup_is container <<END
/lxc/docker/system.slice/ssh.service|docker
/lxc.payload/docker/system.slice/ssh.service|docker
/lxc/lxc/system.slice/ssh.service|lxc
/lxc/lxc/lxc/web|web
/lxc/docker/docker/$id|0123456789ab
/docker/system.slice/foo.service|
/docker/mycustomparent|
/docker/mycustomparent/$id|0123456789ab
/docker/0123456789a|
/docker/0123456789ab|0123456789ab
/docker/0123456789abcdefg|
/libvirt/lxc|
END
}

@test "a container's id or name is taken from the path of every engine that shows it for certain" {
	cgroup_is container <<END
/kubepods/burstable/pod12-34/$id|0123456789ab
/kubepods.slice/kubepods-pod1.slice/docker-$id.scope|0123456789ab
/kubepods.slice/kubepods-pod1.slice/crio-$id.scope/container|0123456789ab
/kubepods.slice/kubepods-pod1.slice/crio-conmon-$id.scope|
/system.slice/containerd.service/kubepods-pod1.slice:cri-containerd:$id|0123456789ab
/kubepods/besteffort/pod1/kata_$id|0123456789ab
/kata_overhead/$id|0123456789ab
/default/$id|0123456789ab
/system.slice/nerdctl-$id.scope|0123456789ab
/system.slice/web.service/libpod-payload-$id|0123456789ab
/system.slice/web.service/runtime|
/ecs/0123456789abcdef0123456789abcdef/0123456789abcdef0123456789abcdef-1234567890|0123456789abcdef0123456789abcdef-1234567890
/ecs/$uuid/$id|0123456789ab
/other/0123456789abcdef0123456789abcdef-1234567890|
/nomad.slice/share.slice/$uuid.web.scope|$uuid.web
/nomad/$uuid-web|$uuid-web
/other/$uuid.web.scope|
/system.slice/garden.service/garden/$uuid|$uuid
/garden/0123abcd-4567-89ab-cdef-0123|0123abcd-4567-89ab-cdef-0123
/garden/0123abcd-4567-89ab-cdef-012|
/mesos/$uuid|$uuid
/mesos/$uuid/mesos/f$uuid|$uuid
/mesos/$uuid/mesos/${uuid/0/f}|${uuid/0/f}
/mesos|
/machine.slice/machine-web1.scope/payload/system.slice/ssh.service|web1
/machine.slice/machine-web\\x2d2.scope|web-2
/machine.slice/machine-web1.scope/supervisor|
/machine.slice/machine-qemu\\x2d1\\x2dvm.scope|
/machine.slice/systemd-nspawn@web3.service/payload|web3
/user.slice/machine-web1.scope|
/system.slice/build-$id.service|
/system.slice/$id.service|
END
}

@test "a unit is shown without systemd's escape" {
	cgroup_is unit <<'END'
/oracle.slice/_cpuset.scope|cpuset.scope
/system.slice/_io.podman.service|io.podman.service
/system.slice/__x.service|_x.service
/system.slice/a_b.service|a_b.service
/system.slice/_.service|
END
}

@test "unit and container of a group that was removed are still shown" {
	cgroup_is unit <<END
/system.slice/foo.service (deleted)|foo.service
/system.slice/docker-$id.scope (deleted)|docker-$id.scope
END
	cgroup_is container <<END
/system.slice/docker-$id.scope (deleted)|0123456789ab
/docker/$id (deleted)|0123456789ab
/lxc/web (deleted)|web
END
	[[ $(memz -c cgroup) == '/lxc/web (deleted)' ]]
}

# group NAME [USAGE LIMIT USE_HIERARCHY]: of version 1, in bytes
group() {
	mkdir -p "$TREE/cgroup/$1"
	echo "$2" >"$TREE/cgroup/$1/memory.usage_in_bytes"
	echo "$3" >"$TREE/cgroup/$1/memory.limit_in_bytes"
	echo "$4" >"$TREE/cgroup/$1/memory.use_hierarchy"
}

@test "version 1 without use_hierarchy: the limit of the group above does not count" {
	process 10
	echo 4:memory:/libvirt/lxc >"$TREE/proc/10/cgroup"
	echo '33 30 0:30 / /cgroup rw - cgroup cgroup rw,memory' >"$TREE/proc/self/mountinfo"
	group . 0 9223372036854771712 0
	group libvirt 0 104857600 0
	group libvirt/lxc 536870912 1073741824 0
	[[ $(memz --by cgroup -c cgroup,cg_usage,cg_limit,cg_pct) == /libvirt/lxc,524288,1048576,50.0 ]]
	group libvirt/lxc 536870912 1073741824 1	# may be set below a group that has it not
	[[ $(memz --by cgroup -c cg_limit) == 1048576 ]]
	group libvirt 536870912 104857600 1
	[[ $(memz --by cgroup -c cg_limit) == 102400 ]]
	rm "$TREE"/cgroup/{,libvirt/{,lxc/}}memory.use_hierarchy
	[[ $(memz --by cgroup -c cg_limit) == 102400 ]]
}

@test "in a cgroup namespace the host's groups are found below the host's mount" {
	echo '35 31 0:32 /../.. /sys/fs/cgroup rw - cgroup2 cgroup2 rw' >"$TREE/proc/self/mountinfo"
	mkdir -p "$TREE/sys/fs/cgroup/"{system.slice/ssh.service,cron.service}
	echo 8388608 | tee "$TREE"/sys/fs/cgroup/{system.slice/ssh.service,cron.service,.}/memory.current
	echo 16777216 >"$TREE/sys/fs/cgroup/system.slice/ssh.service/memory.max"
	cgroup_figures <<'END'
/../../system.slice/ssh.service|8192,16384
/../..|8192,
/../../..|,
/../cron.service|,
/../../../cron.service|,
/cron.service|,
/|,
END
}

# cgroup_figures: standard input has lines of a path, a bar, and cg_usage,cg_limit
cgroup_figures() {
	process 5
	while IFS='|' read -r path value; do
		echo "0::$path" >"$TREE/proc/5/cgroup"
		echo "$path"
		[[ $(memz --by cgroup -c cg_usage,cg_limit) == "$value" ]]
	done
}

@test "live: in a cgroup namespace the usage of the host's groups is known" {
	need_root
	need unshare
	local mount

	mount=$(awk '/ - cgroup .*[, ]memory/ && $4 == "/" { print $5; exit }' /proc/self/mountinfo)
	grep -q ':memory:/.' /proc/self/cgroup || skip 'needs to be in a group of version 1 of the memory controller'
	mkdir "$mount/memz-test-$$"
	at_end rmdir "$mount/memz-test-$$"
	sh -c 'echo $$ >"$0/cgroup.procs" && exec sleep 60' "$mount/memz-test-$$" 3>&- &
	LOADERS+=("$!")
	wait_for grep -q . "$mount/memz-test-$$/cgroup.procs"
	run -0 unshare -C "$MEMZ" -q -p "$!" --by cgroup --csv -H -c cgroup,cg_usage
	[[ $output =~ ^/\.\./.*/memz-test-$$,[0-9]+$ ]]
	at_end wait_for eval "! grep -q . $mount/memz-test-$$/cgroup.procs"
}

# Mappings

# mappings LINE...: a process with a mapping for each: access, offset, device, inode and name
mappings() {
	local line at=0

	process 100
	for line; do
		printf '%x000-%x000 %s\nSize: 4 kB\nRss: 4 kB\nPss: 4 kB\n' $((at + 1)) $((at + 2)) "$line"
		at=$((at + 1))
	done >"$TREE/proc/100/smaps"
}

@test "shared memory is known by the device that memfds, SysV segments and secret memory lie on" {
	mappings 'r-xp 00001000 00:01 38597 / (deleted)' 'rw-s 00000000 00:01 12 /dev/ashmem/GFX-1 (deleted)' \
		'rw-s 00000000 00:01 14 /kgsl-3d0 (deleted)' 'rw-s 00000000 00:0e 13 /secretmem (deleted)' \
		'rw-s 00000000 00:09 114 socket:[114]' 'rw-p 00000000 00:2f 9 /srv/btrfs/a' \
		'rw-s 00000000 00:01 11 /memfd:a (deleted)' 'rw-p 00000000 08:01 9 /memfd:b' 'rw-s 00000000 00:10 9 /dev/dri/card0'
	run -0 memz -m -c mapping,kind -s mapping
	diff <(echo "$output") - <<'END'
/ (deleted),shm
/dev/ashmem/GFX-1 (deleted),shm
/dev/dri/card0,other
/kgsl-3d0 (deleted),shm
/memfd:a (deleted),shm
/memfd:b,file
/secretmem (deleted),shm
/srv/btrfs/a,file
socket:[114],other
END
	mappings 'r-xp 00001000 00:01 38597 / (deleted)'
	[[ $(memz -m -c kind) == file ]]		# nothing says what 00:01 is
}

@test "a file called like a memfd on a file system that is mounted makes no shared memory of its other files" {
	echo '33 30 0:47 / /srv rw - btrfs /dev/sda rw' >"$TREE/proc/self/mountinfo"
	mappings 'rw-p 00000000 00:2f 9 /srv/a' 'rw-p 00000000 00:2f 10 /memfd:b (deleted)'
	[[ $(memz -m --by kind -c kind,procs,rss) == file,2,8 || $(memz -m --by kind -c kind,rss) == file,8 ]]
}

@test "live: all mappings of secret memory, memfds and shared anonymous memory are of kind shm" {
	need python3
	start_program python3 -uc 'import ctypes, mmap, os, signal
os.setpgid(0, 0)
kept = [mmap.mmap(-1, 8192)]
libc = ctypes.CDLL(None)
for fd in os.memfd_create("x"), libc.syscall(447, 0):
    if fd >= 0:
        os.ftruncate(fd, 8192)
        kept.append(mmap.mmap(fd, 8192))
print(os.getpid())
os.close(1)
signal.pause()'
	run -0 "$MEMZ" -q -p "$PID" -m --csv -H -c kind,mapping -M '^/memfd:x|^/secretmem|^/dev/zero'
	[[ ${#lines[@]} -ge 2 ]]
	run ! grep -v ^shm, <<<"$output"
}

# Page size

@test "pages of 8 KiB: statm is counted as status says" {
	process 5
	echo '2000 1000 500 1 0 20 0' >"$TREE/proc/5/statm"
	printf 'VmRSS:\t    8000 kB\n' >"$TREE/proc/5/status"
	[[ $(memz -c pid,rss) == 5,8000 ]]
	printf 'memz 1.0.0\nself 5\n' >"$TREE/memz"	# cut, so that it has no page size
	[[ $(memz -c pid,rss) == 5,8000 ]]
}

@test "kernel threads first: the page size is that of processes that have memory" {
	for pid in {2..60}; do
		process "$pid"
		echo '0 0 0 0 0 0 0' >"$TREE/proc/$pid/statm"
	done
	process 99
	printf 'VmRSS:\t     640 kB\n' >"$TREE/proc/99/status"
	[[ $(memz -p 99 -c pid,rss) == 99,640 ]]
}

@test "a tree without statm: the page size is that of smaps, else that of buddyinfo and MemFree" {
	process 7
	rm "$TREE/proc/7/statm"
	echo '00400000 default anon=4 N0=4' >"$TREE/proc/7/numa_maps"
	[[ $(memz -c pid,numa) == 7,0=16 ]]
	printf 'MemTotal: 1000000 kB\nMemFree: 660000 kB\n' >"$TREE/proc/meminfo"
	printf 'Node 0, zone   Normal %s\n' '      1000      0      0     10   156' >"$TREE/proc/buddyinfo"
	[[ $(memz -c pid,numa) == 7,0=16 ]]	# 14 MiB in blocks of 4 KiB, 229 in those of 64 KiB: neither
	printf 'Node 0, zone   Normal %s\n' '      1000      0      0     10   576' >"$TREE/proc/buddyinfo"
	[[ $(memz -c pid,numa) == 7,0=256 ]]
	printf '1000-2000 rw-p 00000000 00:00 0\nRss: 2048 kB\nKernelPageSize:     2048 kB\n%s\nRss: 16 kB\nKernelPageSize:       16 kB\n' \
		'3000-4000 rw-p 00000000 00:00 0' >"$TREE/proc/7/smaps"
	[[ $(memz -c pid,numa) == 7,0=64 ]]
}

# Names

# named COMM ARGUMENT...: the name that memz shows
named() {
	process 5 "$1"
	printf '%s\0' "${@:2}" >"$TREE/proc/5/cmdline"
	memz -c name
}

@test "the cut name of a script is completed behind its interpreter and its options" {
	[[ $(named networkd-dispat /usr/bin/python3 /usr/bin/networkd-dispatcher --run) == networkd-dispatcher ]]
	[[ $(named networkd-dispat /usr/bin/python3 -Es -W /usr/bin/networkd-dispatcher --run) == networkd-dispatcher ]]
	[[ $(named networkd-dispat /usr/bin/python3 /etc/other /usr/bin/networkd-dispatcher) == networkd-dispat ]]
	[[ $(named networkd-dispat /usr/bin/python3 -Es) == networkd-dispat ]]
	[[ $(named networkd-dispat '') == networkd-dispat ]]
}

@test "a title behind a name of fifteen letters is no part of it" {
	[[ $(named fifteen-letters 'fifteen-letters: main loop') == fifteen-letters ]]
	[[ $(named fifteen-letters 'fifteen-letters: /run/x') == fifteen-letters ]]
	[[ $(named fifteen-letters '/bin/fifteen-letters-more: /run/x') == fifteen-letters-more ]]
	[[ $(named fifteen-letters fifteen-letters) == fifteen-letters ]]
}

@test "[name] of an empty command line is the same whatever else is shown" {
	process 5 gnome-session-b
	: >"$TREE/proc/5/cmdline"
	ln -s /usr/libexec/gnome-session-binary "$TREE/proc/5/exe"
	[[ $(memz -c command) == '[gnome-session-binary]' ]]
	[[ $(memz -c command,name) == '[gnome-session-binary],gnome-session-binary' ]]
}

# Trees without stat

# status PID NAME STATE LINE...
status() {
	mkdir -p "$TREE/proc/$1"
	printf 'Name:\t%s\nState:\t%s\nTgid:\t%s\nUid:\t0\t0\t0\t0\n' "$2" "$3" "$1" >"$TREE/proc/$1/status"
	printf '%s\n' "${@:4}" >>"$TREE/proc/$1/status"
}

@test "a tree with status and without stat and comm: name, state, ppid and threads are those of status" {
	status 1 'a\nb\\c' 'S (sleeping)' $'PPid:\t0' $'VmSize:\t100 kB' $'Threads:\t1'
	status 2 kthreadd 'S (sleeping)' $'PPid:\t0' $'Threads:\t1'
	status 3 dead 'Z (zombie)' $'PPid:\t1' $'Threads:\t1'
	status 4 newer 'I (idle)' $'PPid:\t2' $'Threads:\t1' $'Kthread:\t1' $'VmSize:\t100 kB'
	status 5 networkd-dispat 'D (disk sleep)' $'PPid:\t1' $'Threads:\t7' $'Kthread:\t0'
	printf '%s\0' python3 /bin/networkd-dispatcher >"$TREE/proc/5/cmdline"
	[[ $(memz -c pid,ppid,name,state,threads) == $'1,0,a\\x0Ab\\\\c,S,1\n5,1,networkd-dispatcher,D,7' ]]
	[[ $(memz -A -c pid,state) == $'1,S\n2,S\n3,Z\n4,I\n5,D' ]]
	[[ $(memz -c pid) == $'1\n5' ]]
	[[ $(memz -c pid,vm_hwm,rss) == $'1,,\n5,,' ]]
	status 6 ' (blank) ' 'S (sleeping)' $'VmSize:\t100 kB'
	[[ $(memz -p 6 -c pid,name) == '6," (blank) "' ]]
}
