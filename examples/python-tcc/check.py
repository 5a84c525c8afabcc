"""Plays caller and participant against a coordinator: all or nothing, and nothing stays frozen."""

import sys
import tempfile
import time
from concurrent import futures
from pathlib import Path

import grpc

from amends.v1 import participant_pb2, participant_pb2_grpc, types_pb2
from caller import Caller
from wallet import SERVICE, STEP, Participant, Refused, Wallet

CENTS = 1000
PATIENCE = 60

SUCCEEDED = types_pb2.TRANSACTION_STATE_SUCCEEDED
COMPENSATED = types_pb2.TRANSACTION_STATE_COMPENSATED


def serve(channel, wallet):
    """Serves the wallet, and announces it to the coordinator."""
    server = grpc.server(futures.ThreadPoolExecutor(max_workers=8))
    participant_pb2_grpc.add_ParticipantServiceServicer_to_server(Participant(wallet), server)
    port = server.add_insecure_port("127.0.0.1:0")
    server.start()
    # A service that lives longer repeats `Heartbeat` as often as the answer says.
    request = participant_pb2.RegisterParticipantRequest(
        service=SERVICE,
        instance_id="one",
        address=f"127.0.0.1:{port}",
        steps=[participant_pb2.StepOffer(name=STEP, compensable=True)],
    )
    participant_pb2_grpc.RegistryServiceStub(channel).RegisterParticipant(request, timeout=10)
    return server


def is_state(caller, state):
    """Waits until the TCC has ended like that."""
    deadline = time.monotonic() + PATIENCE
    while time.monotonic() < deadline:
        found = caller.get()
        if found.summary.state == state:
            return found
        time.sleep(0.05)
    raise AssertionError(f"{caller.gid} is {caller.get()}")


def refused(call, code):
    """The call is refused with this code."""
    try:
        call()
    except Refused as no:
        assert no.code == code, no.code
        return
    raise AssertionError(f"it was not refused with {code}")


def main(address):
    with tempfile.TemporaryDirectory() as folder, grpc.insecure_channel(address) as channel:
        wallet = Wallet(Path(folder) / "wallet.db", CENTS)
        server = serve(channel, wallet)

        # Two branches, one tried by the coordinator and one by the caller.
        both = Caller(channel, "pay-1")
        tried = both.try_branch("first", 100)
        assert tried.state == types_pb2.STEP_STATE_SUCCEEDED, tried
        assert tried.output.data == b'{"frozen": 100}', tried
        tried = both.try_own("second", 50, wallet)
        assert tried.state == types_pb2.STEP_STATE_SUCCEEDED, tried
        assert wallet.money() == (850, 150, 0), wallet.money()
        assert both.confirm().summary.state == SUCCEEDED
        assert wallet.money() == (850, 0, 150), wallet.money()
        # Repeating is safe, the opposite is refused: at the coordinator and here.
        assert both.confirm().summary.state == SUCCEEDED
        try:
            both.cancel("changed my mind")
            raise AssertionError("the opposite was taken")
        except grpc.RpcError as error:
            assert error.code() == grpc.StatusCode.FAILED_PRECONDITION, error
        wallet.confirm("pay-1", "first")
        refused(lambda: wallet.cancel("pay-1", "first"), "CANCEL_AFTER_CONFIRM")

        # One is refused: the other one is let go.
        one = Caller(channel, "pay-2")
        assert one.try_branch("first", 100).state == types_pb2.STEP_STATE_SUCCEEDED
        no = one.try_own("second", 100_000, wallet)
        assert no.state == types_pb2.STEP_STATE_REFUSED, no
        assert no.last_failure.code == "NO_MONEY", no
        assert one.cancel("the second branch has no money").summary.state == COMPENSATED
        assert wallet.money() == (850, 0, 150), wallet.money()

        # The caller dies after registering, and before its try: the deadline cancels
        # a branch that was never tried, and the late try is refused.
        late = Caller(channel, "pay-3", seconds=2)
        late.register("first", 100)
        found = is_state(late, COMPENSATED)
        assert found.summary.cause.failure.code == "DEADLINE_EXCEEDED", found
        refused(lambda: wallet.try_("pay-3", "first", 100), "TRY_AFTER_CANCEL")
        refused(lambda: wallet.confirm("pay-3", "first"), "CONFIRM_AFTER_CANCEL")
        assert wallet.money() == (850, 0, 150), wallet.money()
        server.stop(grace=None)
    print("python-tcc: tried, confirmed, cancelled, too late; all as it should be")


if __name__ == "__main__":
    main(sys.argv[1])
