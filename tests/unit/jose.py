#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""src/jose/ before the openssl command: it reads our keys, we read its, and it verifies what we sign (TAP)."""

import base64
import hashlib
import json
import os
import subprocess
import sys
import tempfile

# One in 128 has a number that begins with a zero byte: four of those are among so many.
MANY = 3000
PROGRAM = os.path.join(os.environ.get("top_builddir", "."), "tests/unit/jose-sign")

count = 0
failures = 0


def check(name, ok, detail=""):
    global count, failures
    count += 1
    failures += not ok
    print(f"{'ok' if ok else 'not ok'} {count} - {name}", flush=True)
    if not ok:
        print("# " + str(detail).replace("\n", "\n# "), flush=True)


def run(*argv, data=b"", may_fail=False):
    r = subprocess.run(argv, input=data, stdout=subprocess.PIPE, stderr=subprocess.PIPE, check=False)
    if r.returncode != 0 and not may_fail:
        raise RuntimeError(f"{argv}: {r.stderr.decode(errors='replace')}")
    return r.stdout if not may_fail else r


def openssl(*argv, data=b""):
    return run("openssl", *argv, data=data)


def unbase64(text):
    return base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))


def der_number(n):
    body = n.to_bytes(n.bit_length() // 8 + 1, "big")
    return bytes([2, len(body)]) + body


def der_signature(raw):
    """What openssl wants of an ECDSA signature: SEQUENCE of two INTEGERs, where JWS has them side by side."""
    half = len(raw) // 2
    body = der_number(int.from_bytes(raw[:half], "big")) + der_number(int.from_bytes(raw[half:], "big"))
    return bytes([0x30, len(body)]) + body


# Algorithm -> how openssl verifies it
VERIFY = {
    "ES256": ["-digest", "sha256"],
    "ES384": ["-digest", "sha384"],
    "RS256": ["-digest", "sha256", "-pkeyopt", "rsa_padding_mode:pkcs1"],
    "PS256": ["-digest", "sha256", "-pkeyopt", "rsa_padding_mode:pss", "-pkeyopt", "rsa_pss_saltlen:digest",
              "-pkeyopt", "rsa_mgf1_md:sha256"],
    "EdDSA": [],
    "Ed25519": [],
}


def verifies(folder, public, alg, signed, signature):
    path = {name: os.path.join(folder, name) for name in ("public", "signed", "signature")}
    for name, data in (("public", public), ("signed", signed), ("signature", signature)):
        with open(path[name], "wb") as f:
            f.write(data)
    return run("openssl", "pkeyutl", "-verify", "-rawin", "-pubin", "-inkey", path["public"], "-in", path["signed"],
               "-sigfile", path["signature"], *VERIFY[alg], may_fail=True)


def judge_jws(folder, public, alg, jws):
    """None, or what is wrong."""
    head, claims, signature = jws.split(".")
    header = json.loads(unbase64(head))
    if header != {"alg": alg, "typ": "test+jwt"}:
        return f"header {header}"
    if json.loads(unbase64(claims))["text"] != "ä\"":
        return "claims"
    signed = f"{head}.{claims}".encode()
    raw = unbase64(signature)
    r = verifies(folder, public, alg, signed, der_signature(raw) if alg.startswith("ES") else raw)
    if r.returncode != 0:
        return r.stdout + r.stderr
    r = verifies(folder, public, alg, signed + b"x", der_signature(raw) if alg.startswith("ES") else raw)
    return "verified also what was not signed" if r.returncode == 0 else None


def short_number(jws):
    raw = unbase64(jws.split(".")[2])
    return raw[0] == 0 or raw[len(raw) // 2] == 0


def jwk_of(public):
    """The public JWK out of openssl's own form of the key."""
    spki = openssl("pkey", "-pubin", "-pubout", "-outform", "DER", data=public)
    text = openssl("pkey", "-pubin", "-text", "-noout", data=public).decode()

    def b(data):
        return base64.urlsafe_b64encode(data).rstrip(b"=").decode()
    if "NIST CURVE: P-256" in text:
        return {"kty": "EC", "crv": "P-256", "x": b(spki[-64:-32]), "y": b(spki[-32:])}
    if "NIST CURVE: P-384" in text:
        return {"kty": "EC", "crv": "P-384", "x": b(spki[-96:-48]), "y": b(spki[-48:])}
    if "ED25519" in text:
        return {"kty": "OKP", "crv": "Ed25519", "x": b(spki[-32:])}
    modulus = openssl("rsa", "-pubin", "-modulus", "-noout", data=public).decode().strip().split("=")[1]
    exponent = int(text.split("Exponent: ")[1].split()[0])
    return {"kty": "RSA", "n": b(bytes.fromhex(modulus)), "e": b(exponent.to_bytes(3, "big").lstrip(b"\0"))}


def test_key(folder, what, private, default, algs, n=2):
    public = openssl("pkey", "-pubout", data=private)
    jwk, thumbprint, alg = run(PROGRAM, "show", data=private).decode().split("\n")[:3]
    wanted = jwk_of(public)
    canonical = json.dumps(wanted, sort_keys=True, separators=(",", ":")).encode()
    check(f"{what}: the public half is that which openssl sees", json.loads(jwk) == wanted, jwk)
    check(f"{what}: the thumbprint is that of RFC 7638",
          unbase64(thumbprint) == hashlib.sha256(canonical).digest(), thumbprint)
    check(f"{what}: signs with {default} unless told otherwise", alg == default, alg)
    pem = run(PROGRAM, "pem", data=private)
    check(f"{what}: openssl reads what we write", openssl("pkey", "-check", "-pubout", data=pem)[-len(public):] == public, pem)
    for a in algs:
        lines = run(PROGRAM, "sign", a, str(n), data=private).decode().splitlines()
        chosen = lines[:2] + [line for line in lines[2:] if short_number(line)][:4]
        wrong = [w for w in (judge_jws(folder, public, a, line) for line in chosen) if w]
        check(f"{what}: openssl verifies {a}", not wrong and len(chosen) == min(n, 6), wrong or len(chosen))


def test_encrypted(what, private):
    r = run(PROGRAM, "show", data=private, may_fail=True)
    check(f"{what}: refused, with the remedy", r.returncode == 1 and b"encrypted" in r.stderr and b"openssl pkey" in r.stderr,
          r.stderr)


# A configuration that leaves OpenSSL without any algorithm; another might name code to be loaded.
CONFIGURATION = """openssl_conf = all
[all]
providers = which
[which]
null = on
[on]
activate = 1
"""


def test_configuration(folder):
    path = os.path.join(folder, "openssl.cnf")
    with open(path, "w", encoding="ascii") as f:
        f.write(CONFIGURATION)
    env = dict(os.environ, OPENSSL_CONF=path)
    theirs = subprocess.run(["openssl", "genpkey", "-algorithm", "ED25519"], env=env, capture_output=True, check=False)
    check("openssl itself is stopped by that configuration", theirs.returncode != 0, theirs.stdout)
    ours = subprocess.run([PROGRAM, "new", "EdDSA"], env=env, capture_output=True, check=False)
    check("no configuration file is looked at", ours.returncode == 0 and b"BEGIN PRIVATE KEY" in ours.stdout, ours.stderr)


def main():
    ec = openssl("ecparam", "-name", "prime256v1", "-genkey")
    rsa = openssl("genpkey", "-algorithm", "RSA", "-pkeyopt", "rsa_keygen_bits:2048")
    with tempfile.TemporaryDirectory() as folder:
        test_key(folder, "P-256 of openssl, SEC1", ec, "ES256", ["ES256"], MANY)
        test_key(folder, "P-256 of openssl, PKCS#8", openssl("pkcs8", "-topk8", "-nocrypt", data=ec), "ES256", ["ES256"])
        test_key(folder, "P-384 of openssl", openssl("genpkey", "-algorithm", "EC", "-pkeyopt", "ec_paramgen_curve:P-384"),
                 "ES384", ["ES384"], MANY)
        test_key(folder, "RSA of openssl, PKCS#8", rsa, "RS256", ["RS256", "PS256"])
        test_key(folder, "RSA of openssl, PKCS#1", openssl("rsa", "-traditional", data=rsa), "RS256", ["RS256"])
        test_key(folder, "Ed25519 of openssl", openssl("genpkey", "-algorithm", "ED25519"), "EdDSA", ["EdDSA", "Ed25519"])
        for alg in ("ES256", "ES384", "EdDSA"):
            test_key(folder, f"a key made for {alg}", run(PROGRAM, "new", alg), alg, [alg])
        test_configuration(folder)
    test_encrypted("encrypted PKCS#8", openssl("pkcs8", "-topk8", "-passout", "pass:secret", data=ec))
    test_encrypted("encrypted SEC1", openssl("ec", "-aes128", "-passout", "pass:secret", data=ec))
    compressed = openssl("ec", "-conv_form", "compressed", data=ec)
    same = run(PROGRAM, "show", data=compressed) == run(PROGRAM, "show", data=ec)
    check("a compressed point is the same key", same)
    explicit = openssl("ec", "-param_enc", "explicit", data=ec)
    r = run(PROGRAM, "show", data=explicit, may_fail=True)
    check("a curve without a name is refused, or known for what it is",
          r.returncode == 1 or r.stdout == run(PROGRAM, "show", data=ec), r.stdout)
    print(f"1..{count}")
    return 1 if failures else 0


sys.exit(main())
