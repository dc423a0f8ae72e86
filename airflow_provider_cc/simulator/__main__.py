"""Run a simulated contact center until interrupted: `python -m airflow_provider_cc.simulator --help`."""

from __future__ import annotations

import argparse
import shlex
import signal
import threading
from collections.abc import Sequence

from airflow_provider_cc.simulator import Faults, Settings, Simulator


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a simulator, print its address and connections, and stop on SIGINT or SIGTERM.

    :param arguments: command line; by default, that of the process
    """
    options = _parser().parse_args(arguments)
    settings = Settings(
        agents=options.agents,
        seed=options.seed,
        tls=not options.http,
        port=options.port,
        cert_dir=options.cert_dir,
        token_lifetime=options.token_lifetime,
        agent_timeout=options.agent_timeout,
        authmode=options.authmode,
        max_page_size=options.max_page_size,
        isales_header=options.isales_header,
        isales_token_kind=options.isales_token_kind,
        tenant_space_id=options.tenant_space_id,
        sticky_cookie=options.sticky_cookie,
        echo_secrets=options.echo_secrets,
        record=options.record,
    )
    faults = Faults(
        latency=options.latency,
        jitter=options.jitter,
        errors=dict(options.error),
        rate_limit=options.rate_limit,
        retry_after=options.retry_after,
        expire_every=options.expire_every,
        reset_before=options.reset,
        html_errors=options.html_errors,
        vary_types=options.vary_types,
    )
    over = threading.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: over.set())
    with Simulator(settings, faults) as simulator:
        print(f"# {options.agents} agents at {simulator.url} - stop with Ctrl+C")
        for name, value in simulator.environment().items():
            print(f"export {name}={shlex.quote(value)}")
        print(flush=True)
        over.wait()
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m airflow_provider_cc.simulator",
        description="A simulated cloud contact center on 127.0.0.1. Prints its Airflow connections.",
        formatter_class=argparse.ArgumentDefaultsHelpFormatter,
    )
    center = parser.add_argument_group("contact center")
    center.add_argument("--port", type=int, default=0, help="port to listen on; 0 takes a free one")
    center.add_argument("--agents", type=int, default=1000, help="number of agents")
    center.add_argument("--seed", type=int, default=1, help="seed for agents and faults")
    center.add_argument("--http", action="store_true", help="plain HTTP instead of HTTPS")
    center.add_argument("--cert-dir", help="folder to keep the certificates in and reuse them from")
    center.add_argument(
        "--token-lifetime", type=int, default=3600, metavar="S", help="maximum token lifetime"
    )
    center.add_argument(
        "--agent-timeout", type=float, default=120.0, metavar="S", help="sign-out of agents that do not poll"
    )
    center.add_argument(
        "--authmode", type=int, choices=(1, 2), default=2, help="2: event polls rotate the Guid"
    )
    center.add_argument("--max-page-size", type=int, default=100, metavar="N", help="of the directory")
    center.add_argument(
        "--isales-header", choices=("Authentication", "Authorization"), default="Authentication"
    )
    center.add_argument("--isales-token-kind", choices=("token", "refreshToken"), default="token")
    center.add_argument("--tenant-space-id", metavar="ID", help="require this X-TenantSpaceID")
    center.add_argument("--sticky-cookie", action="store_true", help="require the first reply's cookie")
    center.add_argument("--echo-secrets", action="store_true", help="repeat credentials in error texts")
    center.add_argument("--record", action="store_true", help="record every request, for /_simulator/stats")
    faults = parser.add_argument_group("faults")
    faults.add_argument("--latency", type=float, default=0.0, metavar="S", help="latency of every reply")
    faults.add_argument(
        "--jitter", type=float, default=0.0, metavar="S", help="maximum variation of the latency"
    )
    faults.add_argument(
        "--error", type=_error, action="append", default=[], metavar="STATUS=SHARE", help="such as 502=0.01"
    )
    faults.add_argument("--rate-limit", type=int, metavar="N", help="requests per second; 429 above")
    faults.add_argument("--retry-after", type=float, metavar="S", help="Retry-After of a 429")
    faults.add_argument("--expire-every", type=float, metavar="S", help="end all sessions every S seconds")
    faults.add_argument(
        "--reset", type=float, default=0.0, metavar="SHARE", help="share of connections that are reset"
    )
    faults.add_argument("--html-errors", action="store_true", help="error replies are HTML pages")
    faults.add_argument("--vary-types", action="store_true", help="numbers as strings, strings as numbers")
    return parser


def _error(text: str) -> tuple[int, float]:
    status, _, share = text.partition("=")
    try:
        return int(status), float(share)
    except ValueError:
        raise argparse.ArgumentTypeError(f"{text!r} is not like 502=0.01") from None


if __name__ == "__main__":
    raise SystemExit(main())
