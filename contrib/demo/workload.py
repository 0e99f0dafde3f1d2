#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""What a cluster does for a workload: keys, tokens of service accounts, and the folder where the current token lies.

    workload.py key FILE [--alg ES256]          a new key in FILE, its public half as a JWKS in FILE.jwks; with --add
                                                those that are there stay, so that older tokens stay good
    workload.py token FILE --audience AUD       a token, signed by the key in FILE, on standard output
    workload.py mount FILE DIR --audience AUD   lays a token into DIR as a kubelet does, says so, and lays another one there
                                                for each line of standard input, or every --every seconds, until the end of it

Signs with the openssl command, so that neither the broker's code nor the demo server's is on this side.
"""
import argparse
import base64
import json
import os
import pathlib
import secrets
import select
import shutil
import subprocess
import sys
import tempfile
import time

PARAMETERS = {
    "ES256": ("EC", "ec_paramgen_curve:P-256"), "ES384": ("EC", "ec_paramgen_curve:P-384"),
    "RS256": ("RSA", "rsa_keygen_bits:2048"), "PS256": ("RSA", "rsa_keygen_bits:2048"), "EdDSA": ("ED25519", None),
    "Ed25519": ("ED25519", None),
}
ISSUER = "https://kubernetes.default.svc.cluster.local"


def encode(data):
    """base64url without padding; of JSON if it is no bytes."""
    if not isinstance(data, bytes):
        data = json.dumps(data, separators=(",", ":")).encode()
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def openssl(*args, data=None):
    return subprocess.run(["openssl", *args], input=data, stdout=subprocess.PIPE, stderr=subprocess.PIPE, check=True).stdout


def der(data):
    """The content of the first element, and what follows it."""
    n, at = data[1], 2
    if n & 0x80:
        at += n & 0x7f
        n = int.from_bytes(data[2:at], "big")
    return data[at:at + n], data[at + n:]


class Key:
    """A private key, as PEM."""

    def __init__(self, alg="ES256", pem=None):
        self.alg = alg
        if pem is None:
            kind, option = PARAMETERS[alg]
            pem = openssl("genpkey", "-algorithm", kind, *(["-pkeyopt", option] if option else []))
        self.pem = pem
        self.jwk = self._jwk()
        self.kid = self.thumbprint()

    @classmethod
    def read(cls, path):
        """The key of a file that "key" made."""
        alg = json.loads(pathlib.Path(str(path) + ".jwks").read_text(encoding="utf-8"))["keys"][0]["alg"]
        return cls(alg, pathlib.Path(path).read_bytes())

    def _jwk(self):
        public = openssl("pkey", "-pubout", "-outform", "DER", data=self.pem)
        bits = der(der(der(public)[0])[1])[0][1:]  # SubjectPublicKeyInfo: algorithm, BIT STRING with no unused bits
        if self.alg in ("EdDSA", "Ed25519"):
            return {"kty": "OKP", "crv": "Ed25519", "x": encode(bits)}
        if self.alg.startswith("ES"):
            half = len(bits) // 2
            return {"kty": "EC", "crv": "P-" + self.alg[2:], "x": encode(bits[1:1 + half]), "y": encode(bits[1 + half:])}
        n, rest = der(der(bits)[0])
        return {"kty": "RSA", "n": encode(n.lstrip(b"\0")), "e": encode(der(rest)[0])}

    def thumbprint(self):
        """RFC 7638."""
        text = json.dumps(self.jwk, sort_keys=True, separators=(",", ":"))
        return encode(openssl("dgst", "-sha256", "-binary", data=text.encode()))

    def jwks(self):
        return {"keys": [{**self.jwk, "kid": self.kid, "alg": self.alg, "use": "sig"}]}

    def signature(self, data):
        with tempfile.TemporaryDirectory() as folder:
            key, text = os.path.join(folder, "key"), os.path.join(folder, "text")
            for path, content in ((key, self.pem), (text, data)):
                with open(path, "wb", opener=lambda p, flags: os.open(p, flags, 0o600)) as out:
                    out.write(content)
            if self.alg in ("EdDSA", "Ed25519"):
                return openssl("pkeyutl", "-sign", "-rawin", "-inkey", key, "-in", text)
            pss = ["-sigopt", "rsa_padding_mode:pss", "-sigopt", "rsa_pss_saltlen:-1"] if self.alg == "PS256" else []
            hash_name = "-sha384" if self.alg == "ES384" else "-sha256"
            made = openssl("dgst", hash_name, *pss, "-sign", key, text)
        if not self.alg.startswith("ES"):
            return made
        r, rest = der(der(made)[0])
        return b"".join(int.from_bytes(x, "big").to_bytes(int(self.alg[2:]) // 8, "big") for x in (r, der(rest)[0]))

    def sign(self, claims, **header):
        """A JWT. A member of the header that is None is left out."""
        head = {k: v for k, v in {"alg": self.alg, "kid": self.kid, **header}.items() if v is not None}
        text = encode(head) + "." + encode(claims)
        return text + "." + encode(self.signature(text.encode()))


def account_claims(audience, namespace="default", account="agent", issuer=ISSUER, ttl=600, pod="agent-0", **more):
    """What stands in the token of a service account. A claim that is given as None is left out."""
    now = int(time.time())
    claims = {
        "iss": issuer, "sub": f"system:serviceaccount:{namespace}:{account}",
        "aud": [audience] if isinstance(audience, str) else audience, "iat": now, "nbf": now, "exp": now + ttl,
        "jti": secrets.token_hex(16),
        "kubernetes.io": {"namespace": namespace, "serviceaccount": {"name": account, "uid": "5a0c7e6e-0000-4000-8000-000000000001"},
                          "pod": {"name": pod, "uid": "5a0c7e6e-0000-4000-8000-000000000002"},
                          "node": {"name": "node-0", "uid": "5a0c7e6e-0000-4000-8000-000000000003"}},
        **more}
    return {k: v for k, v in claims.items() if v is not None}


class Mount:
    """A projected volume: DIR/token -> ..data/token, ..data -> a folder of its own for each token; the swap is one rename."""

    def __init__(self, folder, name="token", mode=0o400):
        self.folder = pathlib.Path(folder)
        self.path = self.folder / name
        self.mode = mode
        self.folder.mkdir(parents=True, exist_ok=True)

    def put(self, text):
        """The token from now on; the one before it is gone, also if another process laid it there."""
        data = self.folder / "..data"
        before = self.folder / os.readlink(data) if data.is_symlink() else None
        fresh = pathlib.Path(tempfile.mkdtemp(prefix=time.strftime("..%Y_%m_%d_%H_%M_%S."), dir=self.folder))
        fresh.chmod(0o755)
        file = fresh / self.path.name
        file.write_text(text, encoding="ascii")
        file.chmod(self.mode)
        link = self.folder / "..data_tmp"
        link.symlink_to(fresh.name)
        link.rename(data)
        if not self.path.is_symlink():
            self.path.symlink_to(pathlib.Path("..data") / self.path.name)
        if before:
            shutil.rmtree(before)


def make_key(args):
    key, path = Key(args.alg), pathlib.Path(args.file + ".jwks")
    keys = key.jwks()
    if args.add:
        keys["keys"] += json.loads(path.read_text(encoding="utf-8"))["keys"]
    with open(args.file, "wb", opener=lambda p, flags: os.open(p, flags, 0o600)) as out:
        out.write(key.pem)
    fresh = pathlib.Path(args.file + ".jwks.new")  # who reads the set sees the one or the other
    fresh.write_text(json.dumps(keys) + "\n", encoding="utf-8")
    fresh.rename(path)


def token(args, key):
    return key.sign(account_claims(args.audience, args.namespace, args.account, args.issuer, args.ttl), typ="JWT")


def mount(args):
    """Says how many tokens there were, one line each."""
    place, n = Mount(args.folder), 0
    while True:
        place.put(token(args, Key.read(args.file)))
        n += 1
        print(n, flush=True)
        ready, _, _ = select.select([sys.stdin], [], [], args.every)
        if ready and not sys.stdin.readline():
            return


def main():
    parser = argparse.ArgumentParser(description="Keys and tokens of a cluster that is not there.")
    commands = parser.add_subparsers(dest="command", required=True)
    for name, text in (("key", "make a key"), ("token", "make a token"), ("mount", "lay tokens into a folder, one after the other")):
        command = commands.add_parser(name, help=text)
        command.add_argument("file", help="the private key; its public half is in FILE.jwks")
        if name == "key":
            command.add_argument("--alg", choices=sorted(PARAMETERS), default="ES256")
            command.add_argument("--add", action="store_true", help="keep the keys that are in FILE.jwks, behind the new one")
            continue
        if name == "mount":
            command.add_argument("folder")
            command.add_argument("--every", type=float, metavar="SEC")
        command.add_argument("--audience", required=True, action="append")
        command.add_argument("--issuer", default=ISSUER)
        command.add_argument("--namespace", default="default")
        command.add_argument("--account", default="agent")
        command.add_argument("--ttl", type=int, default=600)
    args = parser.parse_args()
    if args.command == "key":
        make_key(args)
    elif args.command == "token":
        print(token(args, Key.read(args.file)))
    else:
        mount(args)


if __name__ == "__main__":
    main()
