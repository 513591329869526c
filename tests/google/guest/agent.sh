#!/bin/sh
# What Google's guest agent does at a boot, before SSH: host keys, the accounts of the metadata's ssh-keys.
# It runs in a container that stands in for a Compute Engine machine. The start-up script is another unit's,
# and nobody waits for it, as on a real machine.
set -u
folder=/usr/lib/google-stand-in

ssh-keygen -A

daemons=$(sed -n 's/^ *accounts_daemon *= *//p' /etc/default/instance_configs.cfg 2>/dev/null | tail -n 1)
if [ "$daemons" != false ]; then
    getent group google-sudoers >/dev/null || groupadd google-sudoers
    echo '%google-sudoers ALL=(ALL:ALL) NOPASSWD:ALL' > /etc/sudoers.d/google_sudoers
    chmod 0440 /etc/sudoers.d/google_sudoers
    while IFS=: read -r user key; do
        [ -n "$key" ] || continue
        id "$user" >/dev/null 2>&1 || useradd --create-home --shell /bin/bash --password '*' "$user"
        usermod --append --groups google-sudoers "$user"
        home=$(getent passwd "$user" | cut -d: -f6)
        install -d -m 0700 -o "$user" -g "$(id -g "$user")" "$home/.ssh"
        if ! grep -qsxF "$key" "$home/.ssh/authorized_keys"; then
            printf '# Added by Google\n%s\n' "$key" >> "$home/.ssh/authorized_keys"
            chmod 0600 "$home/.ssh/authorized_keys"
            chown "$user:" "$home/.ssh/authorized_keys"
        fi
    done < "$folder/ssh-keys"
fi

systemctl start --no-block google-startup-scripts.service
