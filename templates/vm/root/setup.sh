#!/bin/sh
# Runs once inside the image of the virtual machine's system disk. A container's limits are not a machine's.
set -eu

systemctl unmask systemd-udevd.service systemd-udevd-kernel.socket systemd-udevd-control.socket \
    systemd-udev-trigger.service systemd-modules-load.service
rm -rf /etc/systemd/system/systemd-sysctl.service.d /usr/lib/hangar/init
systemctl enable systemd-networkd.service systemd-resolved.service hangar-announce.service
# As the role docker_host has it: a daemon with root's rights does not run for one moment.
systemctl mask docker.service docker.socket containerd.service
# Nobody sits at its console: its log is read there.
systemctl mask serial-getty@ttyS0.service getty@tty1.service

apt-get clean
rm -rf /var/lib/apt/lists/* /var/log/*.log /var/log/apt/* "$0"
