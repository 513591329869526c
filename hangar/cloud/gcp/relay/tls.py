"""Whom we believe to be Google: the computer's own authorities, which may include a company's."""

import ssl
from pathlib import Path


def context() -> ssl.SSLContext:
    """Verifies by the system's store, or by SSL_CERT_FILE and SSL_CERT_DIR where they are set."""
    made = ssl.create_default_context()
    if not made.cert_store_stats()["x509_ca"] and not _has_store():
        # A Python that was built elsewhere may look for the store where this system has none.
        import certifi

        made.load_verify_locations(certifi.where())
    return made


def _has_store() -> bool:
    """Whether there is a folder of authorities; those are loaded one by one, on demand."""
    folder = ssl.get_default_verify_paths().capath
    return folder is not None and any(Path(folder).iterdir())
