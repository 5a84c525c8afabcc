"""Live sagas without an SDK: generated stubs, a context manager and a thread for heartbeats.

    with LiveSaga(channel, "shop.order", key="4711") as saga:
        if saga.outcome is None:                      # otherwise it ran before
            stock = saga.step("reserve", {"number": 2})
            saga.step("pay", {"amount": stock["price"]})
            saga.complete({"paid": stock["price"]})

Leaving the block without `complete` undoes everything that was done, in reverse; so does a
process that dies: it is not heard any more, and its lease ends.
"""

import json
import threading
import uuid

import grpc

from amends.v1 import live_pb2, live_pb2_grpc, types_pb2

TRANSIENT = (grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.RESOURCE_EXHAUSTED)


class Refused(Exception):
    """A step said no: nothing of it remains. The saga can go on."""

    def __init__(self, failure):
        super().__init__(f"{failure.code}: {failure.message}")
        self.code = failure.code


class LiveSaga:
    """One live saga, begun by entering the block."""

    def __init__(self, channel, name, key, lease=30):
        self.stub = live_pb2_grpc.LiveSagaServiceStub(channel)
        self.lease = lease
        self.stopped = threading.Event()
        self.begin = live_pb2.BeginLiveSagaRequest(name=name, key=key, caller=str(uuid.uuid4()))
        self.begin.lease.FromSeconds(lease)
        self.transaction = None

    def __enter__(self):
        # ALREADY_RUNNING: somebody else runs it.
        self.transaction = self._call(self.stub.BeginLiveSaga, self.begin).transaction
        if self.outcome is None:
            threading.Thread(target=self._beat, daemon=True).start()
        return self

    def __exit__(self, kind, error, traceback):
        try:
            if self.outcome is None:
                self._fail(error)
        finally:
            self.stopped.set()
        # A refusal is an outcome, anything else is an error.
        return kind is Refused

    def _fail(self, error):
        """Has everything undone, and waits for that."""
        failure = types_pb2.Failure(code="CALLER_FAILED", message=str(error or "gave up"))
        if isinstance(error, Refused):
            failure.code = error.code
        request = live_pb2.FailLiveSagaRequest(gid=self.gid, failure=failure)
        request.wait.FromSeconds(30)
        self.transaction = self._call(self.stub.FailLiveSaga, request).transaction

    @property
    def gid(self):
        return self.transaction.summary.gid

    @property
    def outcome(self):
        """The state in which it is, once its code is not needed any more; None while it runs."""
        state = self.transaction.summary.state
        return None if state == types_pb2.TRANSACTION_STATE_RUNNING else state

    def step(self, name, data):
        """Runs a step of the service `shop` and returns what it answers. Repeating it is safe."""
        step = live_pb2.LiveStep(
            name=name,
            target=f"shop/{name}",
            compensation=f"shop/{name}",
            compensate_via="COMPENSATE_VIA_CALL",
            input=types_pb2.Payload(data=json.dumps(data).encode()),
        )
        request = live_pb2.RunLiveStepRequest(gid=self.gid, step=step)
        while True:
            step = self._call(self.stub.RunLiveStep, request).step
            if step.state == types_pb2.STEP_STATE_SUCCEEDED:
                return json.loads(step.output.data or "null")
            if step.state == types_pb2.STEP_STATE_REFUSED:
                raise Refused(step.last_failure)

    def complete(self, result):
        """Ends it well. The result is kept: the same key again gets it back."""
        output = types_pb2.Payload(data=json.dumps(result).encode())
        request = live_pb2.CompleteLiveSagaRequest(gid=self.gid, output=output)
        self.transaction = self._call(self.stub.CompleteLiveSaga, request).transaction

    def _beat(self):
        request = live_pb2.HeartbeatLiveSagaRequest(gid=self.gid)
        while not self.stopped.wait(self.lease / 3):
            try:
                self.stub.HeartbeatLiveSaga(request, timeout=self.lease / 3)
            except grpc.RpcError as error:
                if error.code() == grpc.StatusCode.FAILED_PRECONDITION:
                    return  # It has turned back; the next step says so.

    def _call(self, method, request):
        """Repeats what did not get through: everything here is safe to repeat."""
        while True:
            try:
                return method(request, timeout=90)
            except grpc.RpcError as error:
                if error.code() not in TRANSIENT or self.stopped.wait(0.2):
                    raise
