"""What an editor is told about a machine: VS Code's link, its workspace, its settings."""
