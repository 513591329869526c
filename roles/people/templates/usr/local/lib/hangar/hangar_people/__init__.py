# Written by Hangar (role people). Changes made here are lost at the next run.
"""The accounts of people: kept as /etc/hangar/people.json describes them, and ended whole when somebody leaves."""
