#!/bin/sh
# Runs once inside the image: it starts no service, whatever its base would have started.
set -eu
apt-get clean
rm -rf /var/lib/apt/lists/* /var/log/*.log /var/log/apt/* "$0"
