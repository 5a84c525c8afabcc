"""Plays live sagas against a coordinator: done once or not at all, whoever dies."""

import json
import signal
import subprocess
import sys
import time

import grpc

from amends.v1 import (
    participant_pb2,
    participant_pb2_grpc,
    transaction_pb2,
    transaction_pb2_grpc,
    types_pb2,
)
from live import LiveSaga

SUCCEEDED = types_pb2.TRANSACTION_STATE_SUCCEEDED
COMPENSATED = types_pb2.TRANSACTION_STATE_COMPENSATED


def in_force(shop, gid):
    """What is in force of a transaction at the participant."""
    stub = participant_pb2_grpc.ParticipantServiceStub(shop)
    answer = stub.Execute(participant_pb2.ExecuteRequest(step="in-force", gid=gid), timeout=10)
    counts = json.loads(answer.succeeded.output.data)
    return sorted(step for step, number in counts.items() if number)


def order(channel, key, number):
    """Reserves, and pays what that costs; returns the saga as it ended."""
    with LiveSaga(channel, "python.order", key) as saga:
        if saga.outcome is None:
            stock = saga.step("reserve", {"number": number})
            saga.step("pay", {"amount": stock["price"]})
            saga.step("confirm", {"number": number})
            saga.complete({"paid": stock["price"]})
    return saga


def killed(address, channel, shop):
    """A caller that dies after its first step: nothing of it remains."""
    caller = subprocess.Popen([sys.executable, __file__, address, "--die"], stdout=subprocess.PIPE)
    assert caller.stdout.readline().strip() == b"reserved"
    caller.send_signal(signal.SIGKILL)
    caller.wait()
    assert in_force(shop, "python.order/dies") == ["reserve"]
    stub = transaction_pb2_grpc.TransactionServiceStub(channel)
    request = transaction_pb2.WaitTransactionRequest(gid="python.order/dies")
    ended = stub.WaitTransaction(request, timeout=90).transaction
    assert ended.summary.state == COMPENSATED, ended
    assert ended.summary.cause.failure.code == "CALLER_LOST", ended
    assert in_force(shop, "python.order/dies") == []


def main(address, shop):
    with grpc.insecure_channel(address) as channel, grpc.insecure_channel(shop) as shop:
        # The straight way; the same key again gets the same result and runs nothing.
        for _ in range(2):
            saga = order(channel, "one", 2)
            assert saga.outcome == SUCCEEDED, saga.transaction
            assert json.loads(saga.transaction.output.data) == {"paid": 10}, saga.transaction
        assert in_force(shop, saga.gid) == ["confirm", "pay", "reserve"]

        # A refused step: what was done before is undone.
        with LiveSaga(channel, "python.order", "two") as saga:
            saga.step("reserve", {"number": 1})
            saga.step("more", {"number": 11})
        assert saga.outcome == COMPENSATED, saga.transaction
        assert saga.transaction.summary.cause.failure.code == "OUT_OF_STOCK"
        assert in_force(shop, saga.gid) == []

        # A second caller, and other content under the same name.
        with LiveSaga(channel, "python.order", "three") as saga:
            try:
                order(channel, "three", 1)
                raise AssertionError("two callers ran it")
            except grpc.RpcError as error:
                assert error.code() == grpc.StatusCode.FAILED_PRECONDITION, error
            saga.step("reserve", {"number": 1})
            saga.step("reserve", {"number": 1})
            try:
                saga.step("reserve", {"number": 2})
                raise AssertionError("another content was taken for the same")
            except grpc.RpcError as error:
                assert error.code() == grpc.StatusCode.FAILED_PRECONDITION, error
            saga.complete(None)
        assert saga.outcome == SUCCEEDED, saga.transaction

        # An exception of one's own.
        try:
            with LiveSaga(channel, "python.order", "four") as saga:
                saga.step("reserve", {"number": 1})
                raise ValueError("changed my mind")
        except ValueError:
            pass
        assert saga.outcome == COMPENSATED, saga.transaction
        assert in_force(shop, saga.gid) == []

        killed(address, channel, shop)
    print("python-live: completed, repeated, refused, abandoned and killed; all as it should be")


def die(address):
    """For `killed`: reserves, says so, and waits to be killed."""
    with grpc.insecure_channel(address) as channel:
        with LiveSaga(channel, "python.order", "dies", lease=1) as saga:
            saga.step("reserve", {"number": 3})
            print("reserved", flush=True)
            time.sleep(600)


if __name__ == "__main__":
    if sys.argv[2] == "--die":
        die(sys.argv[1])
    else:
        main(sys.argv[1], sys.argv[2])
