"""The far ends that the recorded clients meet, all inside a network namespace of their own.

Their names say nothing that could be taken for a part of an error.

one.example.net    an address of this host, nothing listens: the kernel answers RST
two.example.net    an address whose packets are dropped: no answer ever comes
five.example.net   takes connections, by the kernel alone, and never says a word
nowhere.invalid    the name server knows no such name
three.example.net  speaks TLS with a certificate nobody trusts, and nonsense to all others
four.example.net   speaks each protocol as far as the login, and refuses the password
"""
import asyncio
import socket
import ssl
import struct

ADDRESSES = {
    "one.example.net": "192.0.2.10",
    "two.example.net": "198.51.100.9",
    "three.example.net": "192.0.2.20",
    "four.example.net": "192.0.2.30",
    "five.example.net": "192.0.2.40",
}


class Names(asyncio.DatagramProtocol):
    """Answers A for the names above, nothing for their AAAA, NXDOMAIN for every other."""

    def connection_made(self, transport):
        self.transport = transport

    def datagram_received(self, data, peer):
        labels, at = [], 12
        while data[at]:
            labels.append(data[at + 1 : at + 1 + data[at]].decode("latin-1"))
            at += 1 + data[at]
        question = data[12 : at + 5]
        kind = struct.unpack(">H", data[at + 1 : at + 3])[0]
        address = ADDRESSES.get(".".join(labels).lower())
        code = 0 if address else 3
        answers = b""
        if address and kind == 1:
            answers = b"\xc0\x0c" + struct.pack(">HHIH", 1, 1, 60, 4) + socket.inet_aton(address)
        head = data[:2] + struct.pack(">HHHHH", 0x8180 | code, 1, 1 if answers else 0, 0, 0)
        self.transport.sendto(head + question + answers, peer)


async def nonsense(reader, writer):
    """What a client meets that speaks another protocol than the server."""
    writer.write(b"HTTP/1.1 400 Bad Request\r\nConnection: close\r\n\r\n")
    await writer.drain()


def http_401(body=b'{"message":"unauthorized"}'):
    return (b"HTTP/1.1 401 Unauthorized\r\nContent-Type: application/json\r\n"
            b'WWW-Authenticate: Basic realm="shop"\r\nConnection: close\r\n'
            + b"Content-Length: %d\r\n\r\n" % len(body) + body)


async def http(reader, writer):
    await reader.readuntil(b"\r\n\r\n")
    writer.write(http_401())


async def s3(reader, writer):
    head = await reader.readuntil(b"\r\n\r\n")
    body = (b'<?xml version="1.0" encoding="UTF-8"?><Error><Code>InvalidAccessKeyId</Code><Message>The '
            b"access key ID you provided does not exist in our records.</Message></Error>")
    writer.write(b"HTTP/1.1 403 Forbidden\r\nContent-Type: application/xml\r\nConnection: close\r\n"
                 + b"Content-Length: %d\r\n\r\n" % len(body))
    if not head.startswith(b"HEAD"):
        writer.write(body)


async def redis(reader, writer):
    while line := await reader.readline():
        words = []
        for _ in range(int(line[1:])) if line.startswith(b"*") else []:
            await reader.readline()
            words.append((await reader.readline()).strip().upper())
        if words[:1] == [b"AUTH"] or words[:1] == [b"HELLO"] and b"AUTH" in words:
            writer.write(b"-WRONGPASS invalid username-password pair or user is disabled.\r\n")
        elif words[:1] == [b"PING"] or words[:1] == [b"QUIT"]:
            writer.write(b"-NOAUTH Authentication required.\r\n")
        else:
            writer.write(b"-NOAUTH Authentication required.\r\n")
        await writer.drain()


async def postgres(reader, writer):
    size, code = struct.unpack(">II", await reader.readexactly(8))
    while code in (80877103, 80877104):
        writer.write(b"N")
        size, code = struct.unpack(">II", await reader.readexactly(8))
    await reader.readexactly(size - 8)
    writer.write(b"R" + struct.pack(">II", 8, 3))
    kind = await reader.readexactly(5)
    await reader.readexactly(struct.unpack(">I", kind[1:])[0] - 4)
    fields = b"SFATAL\0VFATAL\0C28P01\0Mpassword authentication failed for user \"app\"\0"
    fields += b"Fauth.c\0L335\0Rauth_failed\0\0"
    writer.write(b"E" + struct.pack(">I", len(fields) + 4) + fields)


async def mysql(reader, writer):
    greeting = (b"\x0a8.0.36\0" + struct.pack("<I", 9) + b"abcdefgh\0" + struct.pack("<H", 0xA20F)
                + b"\x21" + struct.pack("<HH", 2, 0x000B) + b"\x15" + b"\0" * 10
                + b"ijklmnopqrst\0" + b"mysql_native_password\0")
    writer.write(struct.pack("<I", len(greeting))[:3] + b"\0" + greeting)
    size = await reader.readexactly(4)
    await reader.readexactly(int.from_bytes(size[:3], "little"))
    error = b"\xff" + struct.pack("<H", 1045) + b"#28000Access denied for user 'app'@'192.0.2.30' (using password: YES)"
    writer.write(struct.pack("<I", len(error))[:3] + bytes([size[3] + 1]) + error)


async def amqp(reader, writer):
    def frame(kind, body):
        return struct.pack(">BHI", kind, 0, len(body)) + body + b"\xce"

    def long(text):
        return struct.pack(">I", len(text)) + text

    await reader.readexactly(8)
    properties = b"\x0ccapabilitiesF" + long(b"\x1cauthentication_failure_closet\x01")
    writer.write(frame(1, struct.pack(">HHBB", 10, 10, 0, 9) + long(properties) + long(b"AMQPLAIN PLAIN") + long(b"en_US")))
    head = await reader.readexactly(7)
    await reader.readexactly(struct.unpack(">I", head[3:])[0] + 1)
    text = (b"ACCESS_REFUSED - Login was refused using authentication mechanism PLAIN. "
            b"For details see the broker logfile.")
    writer.write(frame(1, struct.pack(">HHH", 10, 50, 403) + bytes([len(text)]) + text + struct.pack(">HH", 0, 0)))
    await writer.drain()
    await asyncio.sleep(0.3)


async def nats(reader, writer):
    writer.write(b'INFO {"server_id":"N","version":"2.10.0","proto":1,"auth_required":true,"max_payload":1048576}\r\n')
    await reader.readline()
    writer.write(b"-ERR 'Authorization Violation'\r\n")


async def mqtt(reader, writer):
    head = await reader.readexactly(2)
    body = await reader.readexactly(head[1])
    # Version 5 has properties and numbers of its own: 0x87 is "Not authorized".
    writer.write(b"\x20\x03\x00\x87\x00" if body[6] == 5 else b"\x20\x02\x00\x05")


async def ldap(reader, writer):
    data = await reader.read(1024)
    # The message's number is the first INTEGER within the outer sequence.
    number = data[data.index(b"\x02") : data.index(b"\x02") + 2 + data[data.index(b"\x02") + 1]]
    answer = number + b"\x61\x07\x0a\x01\x31\x04\x00\x04\x00"
    writer.write(b"\x30" + bytes([len(answer)]) + answer)
    await writer.drain()
    await asyncio.sleep(0.2)


async def smtp(reader, writer):
    writer.write(b"220 four.example.net ESMTP\r\n")
    while line := await reader.readline():
        word = line[:4].upper()
        if word in (b"EHLO", b"HELO"):
            writer.write(b"250-four.example.net\r\n250 AUTH PLAIN LOGIN\r\n")
        elif word == b"AUTH":
            writer.write(b"535 5.7.8 Authentication credentials invalid\r\n")
        else:
            writer.write(b"221 bye\r\n")
        await writer.drain()


async def stomp(reader, writer):
    await reader.readuntil(b"\0")
    writer.write(b"ERROR\nmessage:Bad CONNECT\ncontent-type:text/plain\n\nAccess refused for user 'app'\n\0")


LOGIN = {6379: redis, 26379: redis, 5432: postgres, 3306: mysql, 5672: amqp, 4222: nats, 1883: mqtt,
         389: ldap, 587: smtp, 61613: stomp, 9000: s3, 9324: s3, 10000: s3,
         8080: http, 8123: http, 8086: http, 9200: http, 8500: http, 8200: http, 2379: http, 4443: http}


def guarded(handler):
    async def run(reader, writer):
        try:
            await handler(reader, writer)
            await writer.drain()
            writer.close()
        except (OSError, ValueError, asyncio.IncompleteReadError, asyncio.LimitOverrunError):
            writer.close()
    return run


def untrusted(certificate, key):
    """Hands the port to TLS where the client asks for it, PostgreSQL's way too."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate, key)

    async def run(reader, writer):
        try:
            first = await asyncio.wait_for(reader.read(8), 1)
        except TimeoutError:
            first = b""
        if first == struct.pack(">II", 8, 80877103):
            writer.write(b"S")
            first = await reader.read(65536)
        if first[:1] == b"\x16":
            return await handshake(context, first, reader, writer)
        await nonsense(reader, writer)
    return run


async def handshake(context, first, reader, writer):
    """A handshake in memory, since part of it has been read from the stream."""
    incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
    side = context.wrap_bio(incoming, outgoing, server_side=True)
    incoming.write(first)
    while True:
        try:
            side.do_handshake()
            break
        except ssl.SSLWantReadError:
            writer.write(outgoing.read())
            await writer.drain()
            data = await asyncio.wait_for(reader.read(65536), 2)
            if not data:
                return
            incoming.write(data)
        except ssl.SSLError:
            writer.write(outgoing.read())
            return
    writer.write(outgoing.read())
    await writer.drain()
    await asyncio.sleep(0.5)


async def serve(ports, certificate, key):
    loop = asyncio.get_running_loop()
    await loop.create_datagram_endpoint(Names, local_addr=("127.0.0.1", 53))
    tls = guarded(untrusted(certificate, key))
    mute = []
    for port in sorted(ports):
        mute.append(socket.create_server((ADDRESSES["five.example.net"], port), backlog=64))
        await asyncio.start_server(tls, ADDRESSES["three.example.net"], port)
        if port in LOGIN:
            await asyncio.start_server(guarded(LOGIN[port]), ADDRESSES["four.example.net"], port)
    return mute
