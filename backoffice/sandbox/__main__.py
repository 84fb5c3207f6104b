"""The stand-in as a process of its own: ``python -m backoffice.sandbox --port 8100``.

Each option can be given as ``SANDBOX_<OPTION>`` in the environment instead.
"""

import argparse
import os
import secrets
import signal
import tempfile
from datetime import timedelta
from pathlib import Path
from threading import Event
from uuid import uuid4

from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec

from backoffice.http_signatures import PublicKey, UnsupportedKeyError, jwk_from_public_key

from .faults import FaultPlan
from .sandbox import TOPICS, Sandbox
from .speed import Speed

_SPEEDS = {"demo": Speed.demo, "fast": Speed.fast, "live": Speed.live}


def main() -> None:
    """Run until SIGINT or SIGTERM. Prints one line: where it is, and what the client needs."""
    options = _options()
    ended = Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: ended.set())
    public_key, said = _client_key(options)
    sandbox = Sandbox(
        client_id=options.client_id,
        client_secret=options.client_secret,
        client_key_id=options.client_key_id,
        client_public_key=public_key,
        seed=options.seed,
        speed=_SPEEDS[options.speed](),
        faults=_faults(options),
        oddities=options.oddities,
    )
    try:
        url = sandbox.run(options.port)
    except OSError as error:
        raise SystemExit(f"port {options.port}: {error.strerror}") from error
    said = {"url": url, "client_id": options.client_id, "key_id": options.client_key_id, **said}
    print(*(f"{name}={value}" for name, value in said.items()), flush=True)  # noqa: T201 - the one line
    if options.webhook_url:
        topics = tuple(options.webhook_topics.split(","))
        sandbox.subscribe(options.webhook_url, topics=topics, delay=options.webhook_delay)
    sandbox.place_steadily(options.orders, every=timedelta(seconds=options.every))
    ended.wait()
    sandbox.stop()


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m backoffice.sandbox", description=__doc__)
    _option(parser, "port", 0, "port on 127.0.0.1; 0: any free one")
    _option(parser, "client-id", str(uuid4()), "OAuth2 client id; made up by default")
    _option(parser, "client-secret", "", "made up by default, and written beside the new key pair")
    _option(parser, "client-key-id", str(uuid4()), "key id of the client's signatures")
    _option(parser, "client-key", "", "PEM file with the client's public key; default: a new pair")
    _option(
        parser, "keys-dir", "", "where a new pair and secret are written; default: a new folder"
    )
    _option(parser, "webhook-url", "", "subscribe this URL at once")
    _option(parser, "webhook-topics", ",".join(TOPICS), "topics of that subscription")
    _option(parser, "webhook-delay", "1s", "delay of that subscription")
    _option(parser, "seed", 1, "decides what becomes of the orders, and the faults")
    _option(parser, "speed", "demo", "pace of orders and repeats: demo, fast or live")
    _option(parser, "orders", 0, "place so many portfolio orders")
    _option(parser, "every", 2.0, "seconds between them")
    _option(parser, "oddities", 1.0, "odds of refusals, cancelled orders, mistrades; 0: none")
    for fault in ("lose", "repeat", "reorder", "delay"):
        _option(parser, fault, 0.0, "share of events that suffer this, from 0 to 1")
    options = parser.parse_args()
    if options.client_key and not options.client_secret:
        parser.error("--client-key needs --client-secret, for no folder is written to tell it")
    if options.speed not in _SPEEDS:
        parser.error(f"--speed must be one of {', '.join(_SPEEDS)}")
    options.client_secret = options.client_secret or secrets.token_urlsafe(32)
    return options


def _option(
    parser: argparse.ArgumentParser,
    name: str,
    default: float | str,
    meaning: str,
) -> None:
    given = os.environ.get(f"SANDBOX_{name.upper().replace('-', '_')}", default)
    parser.add_argument(f"--{name}", type=type(default), default=given, help=meaning)


def _faults(options: argparse.Namespace) -> FaultPlan:
    return FaultPlan(
        seed=options.seed,
        lose=options.lose,
        repeat=options.repeat,
        reorder=options.reorder,
        delay=options.delay,
    )


def _client_key(options: argparse.Namespace) -> tuple[PublicKey, dict[str, str]]:
    """Return the client's public key, and where its private half and secret are if they are new."""
    if options.client_key:
        return _public_key(Path(options.client_key)), {}
    folder = Path(options.keys_dir or tempfile.mkdtemp(prefix="sandbox-"))
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    key = ec.generate_private_key(ec.SECP521R1())
    pem = key.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.NoEncryption(),
    )
    files = {
        "private_key_file": folder / "client.pem",
        "client_secret_file": folder / "client_secret",
    }
    for file, content in zip(files.values(), (pem, options.client_secret.encode()), strict=True):
        file.touch(mode=0o600)
        file.write_bytes(content)
    return key.public_key(), {name: str(file) for name, file in files.items()}


def _public_key(file: Path) -> PublicKey:
    try:
        key = serialization.load_pem_public_key(file.read_bytes())
        if not isinstance(key, PublicKey):
            raise UnsupportedKeyError("not a key that can sign requests")
        jwk_from_public_key("", key)  # refuses other curves
    except (OSError, ValueError) as error:
        raise SystemExit(f"{file}: {error}") from error
    return key


if __name__ == "__main__":
    main()
