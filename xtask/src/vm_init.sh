#!/bin/busybox sh
# First process of the VM of `cargo xtask vm-limits`: says what holds there, one line each, and ends.
# The kernel's first file system cannot be left by pivot_root(2), which bwrap does, so everything moves into a tmpfs.
export PATH=/usr/bin:/usr/sbin
b=/bin/busybox
if [ ! -e /moved ]; then
    $b mkdir -p /new
    $b mount -t tmpfs -o mode=0755 tmpfs /new
    for entry in /*; do
        case $entry in /new | /dev | /proc | /sys | /root) ;; *) $b cp -a "$entry" /new/ ;; esac
    done
    $b touch /new/moved
    exec $b switch_root /new /init
fi
$b --install -s /usr/bin
chown -R 0:0 /usr /etc /bin /init 2>/dev/null
mkdir -p /dev /proc /sys /tmp
mount -t proc proc /proc
mount -t sysfs sysfs /sys
mount -t devtmpfs devtmpfs /dev
mkdir -p /dev/shm && mount -t tmpfs tmpfs /dev/shm
chmod 1777 /tmp
ip link set lo up
insmod /modules/overlay.ko 2>/dev/null
. /vm.env
say() { echo "carnet-vm: $*"; }
cgroup=/sys/fs/cgroup
mount -t cgroup2 cgroup2 $cgroup
echo "+cpu +memory +pids" > $cgroup/cgroup.subtree_control
say "kernel $(uname -r)"
"$TRIAL" probe | sed -n 's/^landlock *\([A-Za-z]*\): \([^(]*\) (.*/carnet-vm: landlock \1 \2/p'

# Runs as root or as the ordinary user, which has a subtree of its own: $1 is the user.
as() {
    user=$1; shift
    if [ "$user" = root ]; then "$@"; else su -s /bin/sh dev -c '"$0" "$@"' -- "$@"; fi
}
for user in root dev; do
    account=-
    held="cgroup v2, delegated"
    work=/tmp/work-$user
    mkdir -p $work
    if [ $user = root ]; then
        account=65534:65534
        held="cgroup v2, root"
        chown 65534:65534 $work
    else
        chown dev:dev $work
        mkdir $cgroup/user
        echo "+cpu +memory +pids" > $cgroup/user/cgroup.subtree_control
        mkdir $cgroup/user/session
        chown -R dev:dev $cgroup/user
        echo $$ > $cgroup/user/session/cgroup.procs
    fi
    as $user "$TRIAL" run $work $account 20000 /bin/true 2>&1 | sed -n "s/^\([a-z-]*\) *\(Full\|Partial\|None\): \(.*\)/carnet-vm: held $user \1 \2 \3/p"
    # A floor above this kernel, and as a control one that it reaches.
    for abi in $ABI_REFUSED $ABI_TAKEN; do
        rm -f $work/ran
        told=$(as $user "$TRIAL" limited require:landlock=$abi $work $account 20000 /bin/sh -c 'echo > ran' 2>&1 | head -n 1)
        ran=started; [ -e $work/ran ] || ran=nothing-started
        say "floor $user $abi $ran $told"
    done
    if [ "$WITH_TESTS" = yes ]; then
        CARNET_EXPECT_HELD="$held" as $user "$TESTS" --test-threads=2 $FILTER > /tmp/tests-$user 2>&1
        code=$?
        [ $code = 0 ] || cat /tmp/tests-$user
        say "tests $user $code $(sed -n 's/^test result: //p' /tmp/tests-$user)"
    fi
done
say "end"
poweroff -f
