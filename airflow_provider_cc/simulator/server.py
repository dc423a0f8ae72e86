"""The web server: dispatches requests to the three systems and injects faults."""

from __future__ import annotations

import asyncio
import json
import socket
import struct
import time
import uuid
from email.utils import formatdate
from typing import Any

from aiohttp import web

from airflow_provider_cc.simulator import gateway
from airflow_provider_cc.simulator.control import PREFIX as CONTROL_PREFIX
from airflow_provider_cc.simulator.control import Control
from airflow_provider_cc.simulator.exchange import BadField, Call, Refused, Reply, Route, http_failure
from airflow_provider_cc.simulator.faults import HTML_PAGE, HTML_TYPE, Injector
from airflow_provider_cc.simulator.gateway import Gateway
from airflow_provider_cc.simulator.isales import ISales
from airflow_provider_cc.simulator.management import Management
from airflow_provider_cc.simulator.site import Site
from airflow_provider_cc.simulator.statistics import RESET, RecordedRequest

COOKIE = "CCNODE"
_RESET_AT_CLOSE = struct.pack("ii", 1, 0)


class Server:
    """Answers requests to all three systems, in one event loop.

    :param site: shared state of the systems
    """

    def __init__(self, site: Site) -> None:
        self._site = site
        self.management = Management(site)
        self.gateway = Gateway(site)
        self._isales = ISales(site)
        self._injector = Injector(site.faults, site.settings.seed)
        self._control = Control(site, self.expire_sessions)
        self._routes = {**self.gateway.routes(), **self._isales.routes()}

    def expire_sessions(self) -> None:
        """End all sessions of all systems."""
        self.management.expire_sessions()
        self.gateway.expire_sessions()
        self._isales.expire_sessions()

    async def handle(self, request: web.BaseRequest) -> web.StreamResponse:
        """Answer one request."""
        path, _, query = request.raw_path.partition("?")
        body = await request.read() if request.body_exists else b""
        call = Call(request.method, path, request.headers, body, "")
        if path.startswith(CONTROL_PREFIX):
            return _response(self._control.answer(call, query))
        settings, statistics = self._site.settings, self._site.statistics
        route = self.management.find_route(path) or self._routes.get(path) or self.gateway.find_route(call)
        endpoint = route.endpoint if route is not None else "unknown"
        statistics.count_request(endpoint)
        if settings.record:
            statistics.recorded.append(
                RecordedRequest(endpoint, call.method, request.raw_path, call.headers, _json_or_none(body))
            )
        # Used if a callback of the user fails: aiohttp then answers 500.
        status = 500
        try:
            new_cookie = self._stick(request, call) if settings.sticky_cookie else None
            reply = await self._reply(call, route, endpoint)
            if new_cookie is not None:
                reply.headers = {**(reply.headers or {}), "Set-Cookie": new_cookie}
            if settings.count_accounts and call.account is not None:
                statistics.accounts[call.account] += 1
            if self._injector.resets_before(endpoint):
                status = RESET
                _break_connection(request)
                # Never sent, because the connection is closed.
                return web.Response()
            if self._injector.resets_midway(endpoint):
                status = RESET
                return await _send_half(request, reply)
            status = reply.status
            if settings.clock_ahead:
                date = formatdate(time.time() + settings.clock_ahead, usegmt=True)
                reply.headers = {**(reply.headers or {}), "Date": date}
            return _response(reply)
        finally:
            statistics.count_reply(endpoint, status)

    async def _reply(self, call: Call, route: Route | None, endpoint: str) -> Reply:
        injector = self._injector
        if injector.sessions_end():
            self.expire_sessions()
        reply = injector.too_many()
        if reply is None:
            if delay := injector.delay(endpoint):
                await asyncio.sleep(delay)
            reply = injector.error(endpoint)
        if reply is None and not self._site.settings.allow_listed:
            reply = Reply(403, HTML_PAGE % 403, content_type=HTML_TYPE)
        if reply is None:
            reply = await self._answer(call, route)
            reply = injector.override(call.account, reply)
        injector.spoil(endpoint, reply)
        return reply

    async def _answer(self, call: Call, route: Route | None) -> Reply:
        if route is None:
            return http_failure(404, "the requested content is not found")
        if call.method != route.method:
            return http_failure(400, f"this interface supports only {route.method}")
        try:
            reply = route.handle(call)
            return reply if isinstance(reply, Reply) else await reply
        except Refused as refused:
            return refused.reply
        except BadField as bad:
            if call.path.startswith(gateway.BASE):
                return gateway.failure("000-001", str(bad))
            return http_failure(400, str(bad))

    def _stick(self, request: web.BaseRequest, call: Call) -> str | None:
        """Set the call's cookie; return the Set-Cookie header for a client without one."""
        call.cookie = request.cookies.get(COOKIE, "")
        if call.cookie:
            return None
        call.cookie = uuid.uuid4().hex
        secure = "; Secure" if self._site.settings.tls else ""
        return f"{COOKIE}={call.cookie}; Path=/; HttpOnly{secure}"


def _response(reply: Reply) -> web.Response:
    headers = {"Content-Type": reply.content_type}
    if reply.headers is not None:
        headers.update(reply.headers)
    return web.Response(status=reply.status, body=reply.body, headers=headers)


async def _send_half(request: web.BaseRequest, reply: Reply) -> web.StreamResponse:
    response = web.StreamResponse(status=reply.status, headers={"Content-Type": reply.content_type})
    response.content_length = len(reply.body)
    await response.prepare(request)
    await response.write(reply.body[: len(reply.body) // 2])
    if request.transport is not None:
        request.transport.abort()
    return response


def _break_connection(request: web.BaseRequest) -> None:
    transport = request.transport
    if transport is None:
        return
    # Otherwise the peer would see a regular end of the connection.
    transport.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET_AT_CLOSE)
    transport.abort()


def _json_or_none(body: bytes) -> Any:
    try:
        return json.loads(body)
    except ValueError:
        return None
