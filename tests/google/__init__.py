"""A stand-in for Google's APIs, judged by Google's own discovery documents. See README.md beside this file."""
