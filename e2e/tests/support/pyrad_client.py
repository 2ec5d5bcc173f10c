"""A RADIUS client with pyrad, driven by the tests: one JSON object a line asks, one answers.

Asked: {"code": 1, "user": "...", "method": "pap", "password": "...",
        "attributes": {"State": {"hex": "..."}, "Acct-Status-Type": 1}}
Answered: {"code": 2, "attributes": {"18": ["hex"]}}, or {"code": null} for silence.

pyrad 2.1 checks the Response Authenticator of replies but knows no Message-Authenticator, so
that one is made and checked here, over the octets that pyrad writes and reads.
"""

import hashlib
import hmac
import io
import json
import os
import sys

from pyrad import client, dictionary, packet

DICTIONARY = """
ATTRIBUTE User-Name 1 string
ATTRIBUTE User-Password 2 octets
ATTRIBUTE CHAP-Password 3 octets
ATTRIBUTE NAS-IP-Address 4 ipaddr
ATTRIBUTE Reply-Message 18 string
ATTRIBUTE State 24 octets
ATTRIBUTE Class 25 octets
ATTRIBUTE Session-Timeout 27 integer
ATTRIBUTE NAS-Identifier 32 string
ATTRIBUTE Proxy-State 33 octets
ATTRIBUTE Acct-Status-Type 40 integer
ATTRIBUTE Acct-Session-Id 44 string
ATTRIBUTE CHAP-Challenge 60 octets
ATTRIBUTE Message-Authenticator 80 octets
"""

MESSAGE_AUTHENTICATOR = 80
MICROSOFT = 311
ACCOUNTING = 4


def main():
    port, secret = int(sys.argv[1]), sys.argv[2].encode()
    known = dictionary.Dictionary(io.StringIO(DICTIONARY))
    server = client.Client("127.0.0.1", port, port, secret=secret, dict=known)
    server.retries, server.timeout = 1, int(sys.argv[3])
    for line in sys.stdin:
        print(json.dumps(exchange(server, json.loads(line))), flush=True)


def exchange(server, asked):
    request = request_of(server, asked)
    try:
        reply = server.SendPacket(request)
    except client.Timeout:
        return {"code": None}
    check(request, reply)
    attributes = {
        str(number): [value.hex() for value in values]
        for number, values in reply.items()
        if isinstance(number, int)
    }
    return {"code": reply.code, "attributes": attributes}


def request_of(server, asked):
    if asked["code"] == ACCOUNTING:
        request = server.CreateAcctPacket(id=packet.CreateID())
    else:
        request = server.CreateAuthPacket(code=asked["code"], id=packet.CreateID())
        request.authenticator = os.urandom(16)
        request[MESSAGE_AUTHENTICATOR] = [bytes(16)]
    if "user" in asked:
        request["User-Name"] = asked["user"]
    if asked.get("method") == "chap":
        chap(request, asked["password"].encode())
    elif asked.get("method") == "ms-chap-v2":
        request[(MICROSOFT, 11)] = [os.urandom(16)]
        request[(MICROSOFT, 25)] = [bytes(50)]
    elif "password" in asked:
        request["User-Password"] = request.PwCrypt(asked["password"])
    for name, value in asked.get("attributes", {}).items():
        request[name] = bytes.fromhex(value["hex"]) if isinstance(value, dict) else value
    if MESSAGE_AUTHENTICATOR in request:
        mac = hmac.new(request.secret, request.RequestPacket(), hashlib.md5).digest()
        request[MESSAGE_AUTHENTICATOR] = [mac]
    return request


def chap(request, password):
    challenge = os.urandom(16)
    identifier = b"\x07"
    digest = hashlib.md5(identifier + password + challenge).digest()
    request["CHAP-Password"] = identifier + digest
    request["CHAP-Challenge"] = challenge


def check(request, reply):
    """Message-Authenticator of a reply: first of its attributes, and right (RFC 3579 §3.2)."""
    if request.code == ACCOUNTING:
        return
    assert next(iter(dict.keys(reply))) == MESSAGE_AUTHENTICATOR, "no Message-Authenticator in front"
    received = reply[MESSAGE_AUTHENTICATOR][0]
    dict.__setitem__(reply, MESSAGE_AUTHENTICATOR, [bytes(16)])
    attributes = reply._PktEncodeAttributes()
    head = bytes([reply.code, reply.id]) + (20 + len(attributes)).to_bytes(2, "big")
    octets = head + request.authenticator + attributes
    expected = hmac.new(request.secret, octets, hashlib.md5).digest()
    assert hmac.compare_digest(received, expected), "a wrong Message-Authenticator"


if __name__ == "__main__":
    main()
