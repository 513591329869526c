"""What the machine's end of `pipelines` (`hangar.airbyte.agent`) is made of. It travels with it: see there."""
