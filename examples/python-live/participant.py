"""A participant without an SDK: three steps, their undo, and what keeps them from happening twice.

A real one keeps `answers` in its database, in the local transaction that makes the change.
"""

import json
import threading
from concurrent import futures

import grpc

from amends.v1 import participant_pb2, participant_pb2_grpc, types_pb2


class Shop(participant_pb2_grpc.ParticipantServiceServicer):
    """Counts what is in force of each step of each transaction."""

    def __init__(self):
        self.lock = threading.Lock()
        self.answers = {}
        self.in_force = {}

    def Execute(self, request, context):
        if request.step == "in-force":
            # For the check, not for the coordinator.
            with self.lock:
                of_saga = {b: n for (g, b), n in self.in_force.items() if g == request.gid}
            return self._succeeded(of_saga)
        key = (request.gid, request.branch)
        with self.lock:
            if request.phase == types_pb2.PHASE_UNDO:
                # A step that was never here must not come later.
                self.answers.setdefault(key, self._refused("UNDONE", "it was undone before"))
                self.in_force[key] = 0
                return self._succeeded(None)
            if key not in self.answers:
                self.answers[key] = self._do(request, key)
            return self.answers[key]

    def _do(self, request, key):
        wanted = json.loads(request.input.data)
        if wanted.get("number", 0) > 10:
            return self._refused("OUT_OF_STOCK", "there are ten")
        self.in_force[key] = 1
        return self._succeeded({"price": 5 * wanted.get("number", 0)})

    @staticmethod
    def _succeeded(output):
        payload = types_pb2.Payload(
            content_type="application/json", data=json.dumps(output).encode()
        )
        return participant_pb2.ExecuteResponse(
            succeeded=participant_pb2.Succeeded(output=payload)
        )

    @staticmethod
    def _refused(code, message):
        return participant_pb2.ExecuteResponse(
            refused=types_pb2.Failure(code=code, message=message)
        )


def main():
    server = grpc.server(futures.ThreadPoolExecutor(max_workers=8))
    participant_pb2_grpc.add_ParticipantServiceServicer_to_server(Shop(), server)
    port = server.add_insecure_port("127.0.0.1:0")
    server.start()
    print(f"participant listening on 127.0.0.1:{port}", flush=True)
    server.wait_for_termination()


if __name__ == "__main__":
    main()
