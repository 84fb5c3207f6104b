"""Redis servers of a test's own, to be frozen, filled, killed, or reached in a special way."""

import shutil
import signal
import subprocess
import time
from contextlib import contextmanager, suppress
from datetime import UTC, datetime, timedelta

import pytest
import redis
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from tests.processes import free_port

needs_redis_server = pytest.mark.skipif(
    not shutil.which("redis-server"), reason="needs the program redis-server"
)


class Server:
    """A Redis on a free port of loopback; more options of the program may be given."""

    def __init__(self, folder, *options):
        self.port = free_port()
        self.url = f"redis://127.0.0.1:{self.port}/0"
        self._folder = folder
        self._options = ["--bind", "127.0.0.1", "--save", "", "--port", str(self.port), *options]

    def start(self):
        """Start it, empty; return when it takes connections."""
        self._process = subprocess.Popen(
            ["redis-server", *self._options], cwd=self._folder,
            stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
        )  # fmt: skip
        assert self._process.stdout
        lines = []
        for line in self._process.stdout:
            lines.append(line)
            if b"ready to accept connections" in line.lower():
                return
        raise AssertionError(b"".join(lines).decode())

    def freeze(self):
        """Have it answer nothing any more, while its connections stay."""
        self._process.send_signal(signal.SIGSTOP)

    def kill(self):
        """End it at once."""
        with suppress(ProcessLookupError):
            self._process.send_signal(signal.SIGCONT)
        self._process.kill()
        self._process.communicate()

    def fill(self):
        """Bring it to its memory limit: it answers PING, and refuses to write."""
        with redis.Redis.from_url(self.url) as client:
            client.config_set("maxmemory", "1")


@contextmanager
def running(folder, *options):
    """Yield a server that runs."""
    server = Server(folder, *options)
    server.start()
    try:
        yield server
    finally:
        server.kill()


def certificates(folder):
    """Make a CA and a certificate for localhost; return the server's options of TLS."""
    authority = ec.generate_private_key(ec.SECP256R1())
    name = _name("A CA for tests")
    ca = _certificate(name, authority.public_key(), name, authority, is_ca=True)
    key = ec.generate_private_key(ec.SECP256R1())
    certificate = _certificate(_name("localhost"), key.public_key(), name, authority, is_ca=False)
    (folder / "ca.pem").write_bytes(ca.public_bytes(serialization.Encoding.PEM))
    (folder / "server.pem").write_bytes(certificate.public_bytes(serialization.Encoding.PEM))
    (folder / "server.key").write_bytes(
        key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption(),
        )
    )
    return [
        "--tls-cert-file", str(folder / "server.pem"), "--tls-key-file", str(folder / "server.key"),
        "--tls-ca-cert-file", str(folder / "ca.pem"), "--tls-auth-clients", "no",
    ]  # fmt: skip


def _name(text):
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, text)])


def _usage(*, is_ca):
    return x509.KeyUsage(
        digital_signature=True, key_cert_sign=is_ca, crl_sign=is_ca, content_commitment=False,
        key_encipherment=False, data_encipherment=False, key_agreement=False, encipher_only=False,
        decipher_only=False,
    )  # fmt: skip


def _certificate(subject, key, issuer, signer, *, is_ca):
    now = datetime.fromtimestamp(time.time(), UTC)
    names = [x509.DNSName("localhost")]
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(key)
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=1))
        .add_extension(x509.BasicConstraints(ca=is_ca, path_length=None), critical=True)
        .add_extension(x509.SubjectAlternativeName(names), critical=False)
        # Python 3.13 takes no certificate that leaves out whose key signed it, or what the key is for.
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key), critical=False)
        .add_extension(
            x509.AuthorityKeyIdentifier.from_issuer_public_key(signer.public_key()), critical=False
        )
        .add_extension(_usage(is_ca=is_ca), critical=True)
        .sign(signer, hashes.SHA256())
    )
