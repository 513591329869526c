"""Backups as this computer sees them: fetched, listed, tried, thinned out, put back."""
