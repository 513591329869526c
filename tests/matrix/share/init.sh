#!/bin/sh
# The first process of a machine that only looks at its second disk: what the start-up script makes of it, and what one
# person may have there. Says everything on the console, a part after each "===".
export PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin
given=/usr/lib/hangar/trial
exec > /dev/ttyS0 2>&1
mount -o remount,rw /
mount -t tmpfs tmpfs /tmp
getent group hangar-admins > /dev/null || groupadd hangar-admins
groupadd hangar-people
useradd -M -u 20001 -d /srv/people/home/ana -G hangar-people ana
useradd -M -u 20002 -d /srv/people/home/ben -G hangar-people,hangar-admins ben
mkdir -p /usr/local/lib/hangar /var/lib/hangar-homes
install -m 0755 $given/homes /usr/local/lib/hangar/homes

as() {
    who=$1
    shift
    setpriv --reuid "$who" --regid "$who" --clear-groups "$@"
}

mounted() {
    sh $given/disk.sh /dev/vdb
    mkdir -p /srv/people/home/ana /srv/people/home/ben
    chown 20001:20001 /srv/people/home/ana
    chown 20002:20002 /srv/people/home/ben
    /usr/local/lib/hangar/homes bound
}

# Five MiB each, of eight that one may have.
write() {
    as 20001 dd if=/dev/zero of="/srv/people/home/ana/$1" bs=1M count=5 2>&1 | grep error
    as 20002 dd if=/dev/zero of="/srv/people/home/ben/$1" bs=1M count=5 2>&1 | grep error
    as 20001 /usr/local/lib/hangar/homes mine
}

echo "=== a new disk"
mounted
write one
write two
echo "=== the same again"
/usr/local/lib/hangar/homes bound
echo "=== as the hardening mounts it"
mount --options remount,bind,nosuid,nodev /srv
write three
echo "=== the contract"
python3 $given/contract.py
umount /srv
echo "=== mounted again"
mounted > /dev/null
write four
umount /srv
e2fsck -fn /dev/vdb > /dev/null 2>&1 && echo sound
echo "=== counted but not kept"
mount /dev/vdb /srv
write five
umount /srv
echo "=== a disk from before"
mkfs.ext4 -q -F -m 0 -L hangar-srv /dev/vdb
mount /dev/vdb /srv
install -d -o 20001 -g 20001 /srv/people/home/ana
as 20001 dd if=/dev/zero of=/srv/people/home/ana/old bs=1M count=5 2> /dev/null
umount /srv
mounted
write one
umount /srv
echo "=== a disk that is larger than its file system"
mkfs.ext4 -q -F -m 0 -L hangar-srv /dev/vdb 256M > /dev/null  # it tells of the one that was there
mounted > /dev/null
echo kept > /srv/kept
df --block-size=1M --output=size /srv | tail -n 1
sh $given/grow.sh /dev/vdb > /dev/null 2>&1
df --block-size=1M --output=size /srv | tail -n 1
/usr/local/sbin/hangar-grow 2>&1 | grep -c 'Nothing to do!'
cat /srv/kept
umount /srv
e2fsck -fn /dev/vdb > /dev/null 2>&1 && echo sound
echo "=== somebody else's disk"
mkfs.ext4 -q -F -m 0 -L theirs /dev/vdb
mounted
dumpe2fs -h /dev/vdb 2> /dev/null | grep -c "^User quota"
echo "=== the end"
sync
echo o > /proc/sysrq-trigger
sleep 60
