"""A producer of half messages without an SDK: generated stubs and a database.

An order is placed in a database of our own, and a message about it is sent:
both happen or neither, whatever dies when. The three parts of that:

1. `place` prepares the message, writes the order in a local transaction, and
   then tells the verdict.
2. The local transaction also inserts a row named after the half id. It is what
   an answer to a check rests on.
3. `answer` answers the coordinator when no verdict came. It inserts that same
   row itself: where it is taken, the local transaction committed; where it was
   free, the local transaction has not committed, and now never will.

The stubs are made by `./test`, or by the command in README.md.
"""

import queue
import sqlite3
import threading

from amends.v1 import half_pb2, half_pb2_grpc, message_pb2, types_pb2

GROUP = "python-orders"


class Orders:
    """The database of the service."""

    def __init__(self, path):
        self.path = path
        with self.connect() as db:
            db.execute("CREATE TABLE IF NOT EXISTS orders (id TEXT PRIMARY KEY)")
            # One row for each half id: who was first, the local transaction or a check.
            db.execute(
                "CREATE TABLE IF NOT EXISTS half_log"
                " (half_id TEXT PRIMARY KEY, written_by TEXT NOT NULL)"
            )

    def connect(self):
        # Waits for other writers; `with` commits, or rolls back on an exception.
        return sqlite3.connect(self.path, timeout=30)

    def place(self, half_id, order):
        """The local transaction: the order, and the row of the half id."""
        with self.connect() as db:
            db.execute("INSERT INTO half_log VALUES (?, 'order')", (half_id,))
            db.execute("INSERT INTO orders VALUES (?)", (order,))

    def committed(self, half_id):
        """Whether the local transaction committed. If it did not, it cannot from now on."""
        with self.connect() as db:
            db.execute(
                "INSERT INTO half_log VALUES (?, 'check') ON CONFLICT DO NOTHING",
                (half_id,),
            )
            found = db.execute(
                "SELECT written_by FROM half_log WHERE half_id = ?", (half_id,)
            )
            return found.fetchone()[0] == "order"


class Producer:
    """Places orders and answers checks, over one channel."""

    def __init__(self, channel, orders):
        self.stub = half_pb2_grpc.HalfMessageServiceStub(channel)
        self.orders = orders

    def prepare(self, half_id, order):
        """Durable and invisible from here on. Repeating it with the same id is safe."""
        message = message_pb2.Message(
            topic="orders",
            tag="placed",
            key=order,
            payload=types_pb2.Payload(
                content_type="application/json", data=b'{"order": "%s"}' % order.encode()
            ),
        )
        request = half_pb2.PrepareMessagesRequest(
            half_id=half_id,
            producer=GROUP,
            messages=[message_pb2.PublishMessage(message=message)],
        )
        return self.stub.PrepareMessages(request, timeout=10)

    def decide(self, half_id, verdict):
        """The first verdict stands; repeating it is safe."""
        request = half_pb2.DecideHalfRequest(
            half_id=half_id, verdict=verdict, producer=GROUP
        )
        return self.stub.DecideHalf(request, timeout=10)

    def place(self, half_id, order):
        """An order and its message, both or neither."""
        self.prepare(half_id, order)
        try:
            self.orders.place(half_id, order)
        except sqlite3.IntegrityError:
            # It is placed already, or a check was faster.
            self.decide(half_id, half_pb2.HALF_VERDICT_ROLLBACK)
            raise
        # If this call fails, or never happens, the coordinator asks.
        self.decide(half_id, half_pb2.HALF_VERDICT_COMMIT)

    def answer(self, instance_id, stopped, concurrency=8):
        """Joins the producer group and answers checks until `stopped` is set.

        A stream that ends is opened again by whoever calls this again.
        """
        said = queue.Queue()
        join = half_pb2.JoinProducers(
            producer=GROUP, instance_id=instance_id, concurrency=concurrency
        )
        said.put(half_pb2.AnswerChecksRequest(join=join))
        responses = self.stub.AnswerChecks(iter(said.get, None))
        threading.Thread(target=self._keep_alive, args=(said, stopped), daemon=True).start()
        for response in responses:
            if response.HasField("check"):
                said.put(half_pb2.AnswerChecksRequest(answer=self._answer(response.check)))

    def _answer(self, check):
        answer = half_pb2.CheckAnswer(check_id=check.check_id)
        try:
            committed = self.orders.committed(check.question.half_id)
        except sqlite3.Error as error:
            # Unknown: the coordinator asks again.
            answer.note = str(error)
            return answer
        answer.verdict = (
            half_pb2.HALF_VERDICT_COMMIT if committed else half_pb2.HALF_VERDICT_ROLLBACK
        )
        return answer

    @staticmethod
    def _keep_alive(said, stopped):
        """Says something every few seconds, as the coordinator wants it; ends the stream at last."""
        while not stopped.wait(5):
            said.put(half_pb2.AnswerChecksRequest(keepalive=half_pb2.ProducerKeepalive()))
        said.put(None)
