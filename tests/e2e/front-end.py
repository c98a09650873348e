"""A vhost-user front end that is not Atoll's core, for a device program that is run by hand.

    front-end.py KIND PROGRAM [ARGUMENT...]

Starts PROGRAM, on a terminal of its own, which is to listen on "sock" in the current folder, and serves a driver there twice:
with eventfds that block, and, for KIND "net", without a kick eventfd. KIND is what the driver does: blk asks for the disk's
name, and has the inflight region made by the back end; rng asks for bytes; net and console write to the device; undertaker, as
net. Each must be done. At last the program is told to end, and must do so with status 0. Of the terminal the console's program must tell the
size as it changes.
"""
import array, fcntl, mmap, os, pty, signal, socket, struct, sys, termios, threading, time

KIND = sys.argv[1]
DEADLINE = time.monotonic() + 15 * float(os.environ.get("ATOLL_TEST_PATIENCE", "1"))
USER, SIZE, RING = 0x10000000, 1 << 20, 16
GET_FEATURES, SET_FEATURES, SET_OWNER, SET_MEM_TABLE = 1, 2, 3, 5
SET_NUM, SET_ADDR, SET_BASE, GET_BASE, SET_KICK, SET_CALL, SET_ERR = 8, 9, 10, 11, 12, 13, 14
GET_PROTOCOL, SET_PROTOCOL, SET_ENABLE, SET_REQ_FD, GET_CONFIG, GET_INFLIGHT, SET_INFLIGHT = 15, 16, 18, 21, 24, 31, 32
VERSION_1, PROTOCOL, CONSOLE_SIZE = 1 << 32, 1 << 30, 1
BACKEND_REQ, CONFIG, INFLIGHT = 1 << 5, 1 << 9, 1 << 12
NO_FD = 0x100


def wait(what, condition):
    while not condition():
        assert time.monotonic() < DEADLINE, "waited in vain: " + what
        time.sleep(0.01)


class Session:
    def __init__(self):
        self.socket = socket.socket(socket.AF_UNIX)
        self.socket.settimeout(max(DEADLINE - time.monotonic(), 1))
        wait("for the socket", lambda: self.socket.connect_ex("sock") == 0)

    def send(self, request, payload=b"", fds=()):
        rights = [(socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array("i", fds))] if fds else []
        self.socket.sendmsg([struct.pack("III", request, 1, len(payload)) + payload], rights)

    def receive(self, end=None):
        head, rights, _, _ = (end or self.socket).recvmsg(12, socket.CMSG_SPACE(4))
        assert len(head) == 12, "the back end went away"
        request, _, size = struct.unpack("III", head)
        payload = (end or self.socket).recv(size, socket.MSG_WAITALL) if size else b""
        return request, payload, array.array("i", rights[0][2])[0] if rights else -1

    def ask(self, request, payload=b""):
        self.send(request, payload)
        answer, payload, fd = self.receive()
        assert answer == request, "asked %d, answered %d" % (request, answer)
        return payload, fd

    def negotiate(self):
        features, = struct.unpack("Q", self.ask(GET_FEATURES)[0])
        self.send(SET_OWNER)
        self.protocol, = struct.unpack("Q", self.ask(GET_PROTOCOL)[0])
        self.protocol &= BACKEND_REQ | CONFIG | INFLIGHT
        self.send(SET_PROTOCOL, struct.pack("Q", self.protocol))
        self.send(SET_FEATURES, struct.pack("Q", features & (VERSION_1 | PROTOCOL | (CONSOLE_SIZE if KIND == "console" else 0))))
        self.channel, end = socket.socketpair()
        self.channel.settimeout(max(DEADLINE - time.monotonic(), 1))
        if self.protocol & BACKEND_REQ:
            self.send(SET_REQ_FD, fds=[end.fileno()])
        end.close()
        if self.protocol & INFLIGHT and KIND == "blk":
            region, fd = self.ask(GET_INFLIGHT, struct.pack("QQHHI", 0, 0, 1, RING, 0))
            assert fcntl.fcntl(fd, 1034) & 6 == 6, "the region is not sealed"  # F_GET_SEALS; SHRINK, GROW
            self.send(SET_INFLIGHT, region, [fd])
            os.close(fd)

    def terminal_size(self):
        return struct.unpack("HH", self.ask(GET_CONFIG, struct.pack("III", 0, 4, 0) + bytes(4))[0][12:16])

    def start(self, queue, kicks):
        fd = os.memfd_create("guest")
        os.ftruncate(fd, SIZE)
        self.memory = mmap.mmap(fd, SIZE)
        self.send(SET_MEM_TABLE, struct.pack("IIQQQQ", 1, 0, 0, SIZE, USER, 0), [fd])
        os.close(fd)
        self.send(SET_NUM, struct.pack("II", queue, RING))
        self.send(SET_BASE, struct.pack("II", queue, 0))
        self.send(SET_ADDR, struct.pack("IIQQQQ", queue, 0, USER, USER + 0x2000, USER + 0x1000, 0))
        self.kick, self.call, error = os.eventfd(0, 0), os.eventfd(0, 0), os.eventfd(0, 0)
        self.send(SET_CALL, struct.pack("Q", queue), [self.call])
        self.send(SET_ERR, struct.pack("Q", queue), [error])
        if kicks:
            self.send(SET_KICK, struct.pack("Q", queue), [self.kick])
        else:
            self.send(SET_KICK, struct.pack("Q", queue | NO_FD))
        self.send(SET_ENABLE, struct.pack("II", queue, 1))
        self.ask(GET_FEATURES)
        for eventfd in [self.call, error] + ([self.kick] if kicks else []):
            assert fcntl.fcntl(eventfd, fcntl.F_GETFL) & os.O_NONBLOCK, "an eventfd still blocks"

    def put(self, chain, kicks):
        """One chain of (bytes to read, or how many to write)."""
        at = 0x4000
        for i, part in enumerate(chain):
            size = part if isinstance(part, int) else len(part)
            if not isinstance(part, int):
                self.memory[at:at + size] = part
            flags = (1 if i + 1 < len(chain) else 0) | (2 if isinstance(part, int) else 0)
            self.memory[16 * i:16 * i + 16] = struct.pack("QIHH", at, size, flags, i + 1)
            at += 0x1000
        self.memory[0x1004:0x1006] = bytes(2)
        self.memory[0x1002:0x1004] = struct.pack("H", 1)
        if kicks:
            os.eventfd_write(self.kick, 1)
        wait("for the chain", lambda: self.memory[0x2002:0x2004] == struct.pack("H", 1))


def serve(terminal, kicks):
    session = Session()
    session.negotiate()
    if KIND == "console":
        assert session.terminal_size() == (80, 24), session.terminal_size()
        fcntl.ioctl(terminal, termios.TIOCSWINSZ, struct.pack("HHHH", 40, 100, 0, 0))
        session.receive(session.channel)
        assert session.terminal_size() == (100, 40), session.terminal_size()
        fcntl.ioctl(terminal, termios.TIOCSWINSZ, struct.pack("HHHH", 24, 80, 0, 0))
        session.receive(session.channel)
    queue = 0 if KIND in ("blk", "rng") else 1
    session.start(queue, kicks)
    if KIND == "blk":
        session.put([struct.pack("IIQ", 8, 0, 0), 20, 1], kicks)
        assert session.memory[0x6000] == 0, "GET_ID failed"
    elif KIND == "rng":
        session.put([64], kicks)
        assert session.memory[0x4000:0x4040] != bytes(64), "no random bytes came"
    else:
        session.put([bytes(12) + b"\xff" * 6 + b"\x52\x54\0\0\0\1" + b"\x88\xb5" + b"x" * 46], kicks)
    session.ask(GET_BASE, struct.pack("II", queue, 0))
    session.socket.close()


pid, terminal = pty.fork()
if pid == 0:
    fcntl.ioctl(0, termios.TIOCSWINSZ, struct.pack("HHHH", 24, 80, 0, 0))
    os.execv(sys.argv[2], sys.argv[2:])


def drain():
    """What the program says on its terminal."""
    try:
        while True:
            sys.stdout.buffer.write(os.read(terminal, 4096))
            sys.stdout.flush()
    except OSError:
        pass


threading.Thread(target=drain, daemon=True).start()
try:
    serve(terminal, True)
    serve(terminal, KIND != "net")
finally:
    os.kill(pid, signal.SIGTERM)
_, status = os.waitpid(pid, 0)
assert status == 0, "the program's wait status is %#x" % status
