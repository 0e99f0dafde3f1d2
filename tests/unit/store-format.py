#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Reads a store by what doc/STORE.md says and nothing else: no code of ours, no libsodium (TAP)."""

import base64
import glob
import hashlib
import hmac
import json
import os
import struct
import sys

FOLDER = os.path.join(os.environ.get("top_srcdir", "."), "tests/store/v1")
MASK = 0xFFFFFFFF


def rotl(x, n):
    return (x << n | x >> (32 - n)) & MASK


def rounds(state):
    x = list(state)
    for _ in range(10):
        for a, b, c, d in (
            (0, 4, 8, 12), (1, 5, 9, 13), (2, 6, 10, 14), (3, 7, 11, 15),
            (0, 5, 10, 15), (1, 6, 11, 12), (2, 7, 8, 13), (3, 4, 9, 14),
        ):  # fmt: skip
            x[a] = (x[a] + x[b]) & MASK
            x[d] = rotl(x[d] ^ x[a], 16)
            x[c] = (x[c] + x[d]) & MASK
            x[b] = rotl(x[b] ^ x[c], 12)
            x[a] = (x[a] + x[b]) & MASK
            x[d] = rotl(x[d] ^ x[a], 8)
            x[c] = (x[c] + x[d]) & MASK
            x[b] = rotl(x[b] ^ x[c], 7)
    return x


SIGMA = struct.unpack("<4I", b"expand 32-byte k")


def hchacha20(key, nonce16):
    x = rounds(SIGMA + struct.unpack("<8I", key) + struct.unpack("<4I", nonce16))
    return struct.pack("<8I", *x[:4], *x[12:])


def chacha20(key, nonce12, counter, data):
    out = b""
    for i in range(0, len(data), 64):
        state = SIGMA + struct.unpack("<8I", key) + (counter + i // 64,) + struct.unpack("<3I", nonce12)
        block = struct.pack("<16I", *((a + b) & MASK for a, b in zip(state, rounds(state))))
        out += bytes(a ^ b for a, b in zip(data[i : i + 64], block))
    return out


def poly1305(key, data):
    r = int.from_bytes(key[:16], "little") & 0x0FFFFFFC0FFFFFFC0FFFFFFC0FFFFFFF
    acc = 0
    for i in range(0, len(data), 16):
        acc = (acc + int.from_bytes(data[i : i + 16] + b"\1", "little")) * r % (2**130 - 5)
    return ((acc + int.from_bytes(key[16:], "little")) % 2**128).to_bytes(16, "little")


def pad16(data):
    return data + bytes(-len(data) % 16)


def unseal(key, ad, sealed):
    nonce, text, tag = sealed[:24], sealed[24:-16], sealed[-16:]
    subkey, nonce12 = hchacha20(key, nonce[:16]), bytes(4) + nonce[16:]
    mac_key = chacha20(subkey, nonce12, 0, bytes(32))
    lengths = struct.pack("<QQ", len(ad), len(text))
    if not hmac.compare_digest(poly1305(mac_key, pad16(ad) + pad16(text) + lengths), tag):
        return None
    return chacha20(subkey, nonce12, 1, text)


def subkey(master, n):
    salt = struct.pack("<Q", n) + bytes(8)
    return hashlib.blake2b(b"", digest_size=32, key=master, salt=salt, person=b"mcpstore" + bytes(8)).digest()


def keyed(key, data):
    return hashlib.blake2b(data, digest_size=32, key=key).hexdigest()


def canonical(value):
    return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False).encode()


def unbase64url(text):
    return base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))


count = 0
failures = 0


def check(name, ok):
    global count, failures
    count += 1
    failures += not ok
    print(f"{'ok' if ok else 'not ok'} {count} - {name}", flush=True)


def read(path):
    with open(path, "rb") as f:
        return f.read()


header = json.loads(read(f"{FOLDER}/store"))
wrapping = bytes.fromhex(read(f"{FOLDER}/key").decode().strip())
check("the header is of format 1", header["format"] == 1)
slot = next(s for s in header["slots"] if s["type"] == "file")
bound = {"id": slot["id"], "params": slot["params"], "store_id": header["store_id"], "type": slot["type"]}
master = unseal(wrapping, canonical(bound), unbase64url(slot["wrapped"]))
check("the key file opens its slot", master is not None and len(master) == 32)
bare = {k: v for k, v in header.items() if k != "mac"}
check("the MAC of the header is right", keyed(subkey(master, 1), canonical(bare)) == header["mac"])

records = {}
for path in glob.glob(f"{FOLDER}/" + "?" * 64):
    name, data = os.path.basename(path), read(path)
    magic, version, epoch, generation = struct.unpack("<8sIIQ", data[:24])
    check(f"{name[:8]} begins as a record", (magic, version, epoch) == (b"mcpb-rec", 1, 1))
    check(f"{name[:8]} has a padded length", (len(data) - 64) % 256 == 0)
    ad = data[:24] + bytes.fromhex(header["store_id"]) + name.encode()
    plain = unseal(subkey(master, 3), ad, data[24:])
    check(f"{name[:8]} opens", plain is not None)
    record = json.loads(plain)
    text = record["kind"].encode() + b"\0" + record["key"].encode()
    check(f"{name[:8]} has the name of its contents", keyed(subkey(master, 2), text) == name)
    check(f"{name[:8]} is compact JSON and blanks", json.loads(plain.rstrip(b" ")) == record)
    records[record["kind"], record["key"]] = (generation, record["value"])

check(
    "the records are those that were put there",
    records
    == {
        ("grant", "https://as.example|client|me|https://mcp.example/"): (
            2,
            {"refresh_token": "mcp_rt_golden", "scopes": ["read", "write"]},
        ),
        ("server", "https://mcp.example/"): (1, {"name": "exämple"}),
    },
)
print(f"1..{count}")
sys.exit(failures != 0)
