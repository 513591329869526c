#!/bin/sh
# What Google's metadata script runner does: runs the script, says on the console what it wrote and how it ended.
script=/usr/lib/google-stand-in/startup-script
say() { echo "google_metadata_script_runner[$$]: $1" | tee /dev/console; }

if [ ! -s "$script" ]; then
    say "No startup scripts to run."
    exit 0
fi
say "Found startup-script in metadata."
status=$(mktemp)
{ "$script" 2>&1; echo $? > "$status"; } | while IFS= read -r line; do say "startup-script: $line"; done
say "startup-script exit status $(cat "$status")"
rm -f "$status"
say "Finished running startup scripts."
