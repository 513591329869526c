# Written by Hangar (role secret_manager). Changes made here are lost at the next run.
"""What reads secrets from Google Secret Manager and keeps them in memory."""
