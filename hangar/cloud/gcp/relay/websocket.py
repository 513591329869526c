"""Opens the websocket that a tunnel runs in: token, proxy, certificates, and what can go wrong with them."""

import asyncio
import logging
import ssl
from collections.abc import Callable

from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import InvalidProxy, InvalidProxyStatus, InvalidStatus, WebSocketException
from websockets.typing import Origin, Subprotocol

from hangar.cloud.gcp.relay import endings
from hangar.cloud.gcp.relay.endings import Broken
from hangar.cloud.gcp.relay.session import Dial
from hangar.cloud.gcp.relay.target import Target
from hangar.cloud.gcp.relay.tls import context
from hangar.errors import HangarError

ORIGIN = Origin("bot:iap-tunneler")
SUBPROTOCOL = Subprotocol("relay.tunnel.cloudproxy.app")

PATIENCE = 15.0
"""Seconds that opening a websocket may take."""

CLOSE_PATIENCE = 2.0
"""Seconds that the other side may take to say good-bye."""

BUFFER = 1 << 18
"""Bytes that may wait for the network."""

_SILENT = logging.Logger("tunnel", logging.CRITICAL)  # the library's own would show the token when it debugs


class _Straight(connect):
    """Follows nobody elsewhere: IAP does not redirect."""

    def process_redirect(self, exc: Exception) -> Exception | str:
        return exc


def dialler(target: Target, token: Callable[[bool], str]) -> Dial:
    """`token` yields an access token, a fresh one on demand; it may block."""
    tls = context() if target.endpoint.startswith("wss:") else None

    async def dial(url: str, fresh: bool) -> ClientConnection:
        bearer = await asyncio.to_thread(token, fresh)
        try:
            return await _Straight(
                url, ssl=tls, origin=ORIGIN, subprotocols=[SUBPROTOCOL], compression=None,
                additional_headers={"Authorization": f"Bearer {bearer}"}, user_agent_header="hangar",
                open_timeout=PATIENCE, close_timeout=CLOSE_PATIENCE, ping_interval=None,
                max_queue=64, write_limit=BUFFER, logger=_SILENT,
            )  # fmt: skip
        except (OSError, EOFError, WebSocketException, ImportError) as error:
            raise _explained(error, target) from error

    return dial


def _explained(error: Exception, target: Target) -> HangarError | Broken:
    """What can pass is worth another try."""
    match error:
        case InvalidStatus() if error.response.status_code < 500:
            return endings.refused(error.response.status_code, target)
        case InvalidProxyStatus() if error.response.status_code < 500:
            return endings.refused(error.response.status_code, target)
        case ssl.SSLCertVerificationError():
            return endings.untrusted(error.verify_message, target)
        case InvalidProxy():
            return endings.no_such_proxy(error.msg)
        case ImportError():
            return endings.no_such_proxy("SOCKS is not spoken here")
        case _:
            return Broken(endings.unreachable(str(error) or type(error).__name__, target))
