#!/bin/sh
# The start-up script of a machine that only writes down what its kernel keeps to, a part after each "==="; then it
# restarts, does so again, and is off. Its console would mix that with what the kernel and systemd say.
exec >> /said 2>&1
given=/usr/lib/hangar/trial
echo "=== life"
cat /proc/sys/kernel/random/boot_id
echo "=== started with"
cat /proc/cmdline
cat /sys/kernel/security/lockdown
head --bytes=1 /dev/mem > /dev/null 2>&1 && echo "memory was read"
cat /sys/module/apparmor/parameters/enabled
grep --count '(enforce)' /sys/kernel/security/apparmor/profiles
echo "=== parameters"
xargs sysctl --ignore < $given/parameters
echo "=== modules that came in"
while read -r module; do
    modprobe "$module" 2> /dev/null
done < $given/modules
cut -d' ' -f1 /proc/modules | tr _ - | grep -xFf $given/modules
echo "=== a module that nobody closed"
modprobe dummy && echo loaded
echo "=== before the network"
for unit in hangar-firewall.service systemd-networkd.service; do
    systemctl show --property=ActiveEnterTimestampMonotonic --value $unit
done
echo "=== loopback"
python3 $given/loopback.py
echo "=== from outside"
nft list chain inet hangar_firewall input | grep -E 'policy|dport'
echo "=== the end"
test -e /var/lib/hangar-trial && exec systemctl --no-block poweroff
touch /var/lib/hangar-trial
exec systemctl --no-block reboot
