"""Plays the producer against a coordinator: what is committed arrives, nothing else does."""

import sys
import tempfile
import threading
import time
from pathlib import Path

import grpc

from amends.v1 import half_pb2, message_pb2, message_pb2_grpc
from producer import Orders, Producer

PATIENCE = 60


def status_of(producer, half_id):
    request = half_pb2.GetHalfRequest(half_id=half_id)
    return producer.stub.GetHalf(request, timeout=10)


def wait_for(producer, half_id, state):
    deadline = time.monotonic() + PATIENCE
    while time.monotonic() < deadline:
        found = status_of(producer, half_id)
        if found.half.state == state:
            return found
        time.sleep(0.05)
    raise AssertionError(f"{half_id} is {status_of(producer, half_id)}")


def consumed(channel, count):
    """The keys of so many messages, as a consumer group gets them."""
    stub = message_pb2_grpc.MessageServiceStub(channel)
    subscription = message_pb2.Subscription(group="python-readers", topic="orders", tags="*")
    subscribe = message_pb2.Subscribe(subscription=subscription, credit=100)
    said = iter([message_pb2.ConsumeRequest(subscribe=subscribe)])
    done = threading.Event()

    def requests():
        yield from said
        done.wait(PATIENCE)

    keys = []
    for response in stub.Consume(requests(), timeout=PATIENCE):
        keys.extend(it.message.key for it in response.deliveries.deliveries)
        if len(keys) >= count:
            done.set()
            return sorted(keys)
    raise AssertionError(f"only {keys} arrived")


def main(address):
    with tempfile.TemporaryDirectory() as folder, grpc.insecure_channel(address) as channel:
        orders = Orders(Path(folder) / "orders.db")
        producer = Producer(channel, orders)

        # The straight way.
        producer.place("half-1", "order-1")
        again = producer.decide("half-1", half_pb2.HALF_VERDICT_COMMIT)
        assert not again.changed, "the second commit is no news"
        try:
            producer.decide("half-1", half_pb2.HALF_VERDICT_ROLLBACK)
            raise AssertionError("the opposite was taken")
        except grpc.RpcError as error:
            assert error.code() == grpc.StatusCode.FAILED_PRECONDITION, error

        # The service dies after its local commit, and before it.
        producer.prepare("half-2", "order-2")
        orders.place("half-2", "order-2")
        producer.prepare("half-3", "order-3")

        # Another instance comes and is asked about both.
        stopped = threading.Event()
        thread = threading.Thread(target=producer.answer, args=("one", stopped), daemon=True)
        thread.start()
        found = wait_for(producer, "half-2", half_pb2.HALF_STATE_COMMITTED)
        assert found.half.decided_by == "check-back", found
        assert found.checks[-1].instance_id == "one", found
        wait_for(producer, "half-3", half_pb2.HALF_STATE_ROLLED_BACK)
        try:
            orders.place("half-3", "order-3")
            raise AssertionError("the late local transaction committed")
        except Exception as error:
            assert "UNIQUE" in str(error), error
        stopped.set()

        keys = consumed(channel, 2)
        assert keys == ["order-1", "order-2"], keys
    print("python-half: prepared, committed, answered checks; all as it should be")


if __name__ == "__main__":
    main(sys.argv[1])
