#!/bin/sh
# Runs once inside the new root, with the packages installed: whatever is a machine's own must not be in its image.
set -eu

# Made at the first boot: two machines must never share a host key or an id.
rm -f /etc/ssh/ssh_host_*
: > /etc/machine-id
rm -f /var/lib/dbus/machine-id /var/lib/systemd/random-seed
for file in /etc/hostname /etc/resolv.conf; do
    # The engine mounts its own there when the image is made in a container.
    mountpoint -q "$file" || rm -f "$file"
done

# The packages' sources are the recipe's, whatever the root was made from.
rm -f /etc/apt/sources.list
find /etc/apt/sources.list.d -type f ! -name debian.sources -delete

# The slim image's apt settings throw away what a machine that people work on wants to keep.
rm -f /etc/apt/apt.conf.d/docker-* /etc/dpkg/dpkg.cfg.d/docker* /usr/sbin/policy-rc.d

# No one sits at a container's console, and its devices are the engine's.
systemctl mask console-getty.service systemd-udevd.service systemd-udevd-kernel.socket \
    systemd-udevd-control.socket systemd-udev-trigger.service systemd-modules-load.service
systemctl enable hangar-startup.service ssh.service

# Not /tmp: mmdebstrap keeps the settings there that hold its apt in the new root, and would go on in the old one.
apt-get clean
rm -rf /var/lib/apt/lists/* /var/log/*.log /var/log/apt/* "$0"
