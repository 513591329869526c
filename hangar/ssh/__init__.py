"""What speaks SSH apart from Ansible: keys, pinned host keys, client configuration, tunnels, the login proof."""
