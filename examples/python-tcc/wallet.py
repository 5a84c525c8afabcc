"""A participant of TCCs without an SDK: generated stubs and a database.

A wallet freezes money (try), takes what is frozen (confirm) or gives it back
(cancel). What makes that safe under repeated, late and overtaking calls is a log
in the same database, written in the same transaction as the money:

- one row says what became of the try of a branch. A cancel that comes first
  writes that row itself, so that the late try finds it and is refused.
- one row says what became of the branch. Confirm and cancel meet on it: the
  first one counts, and is answered the same way for ever.

The stubs are made by `./test`, or by the command in README.md.
"""

import json
import sqlite3

from amends.v1 import participant_pb2, participant_pb2_grpc, types_pb2

SERVICE = "python-wallet"
STEP = "freeze"


class Refused(Exception):
    """A business "no", with a stable code."""

    def __init__(self, code, message):
        super().__init__(message)
        self.code = code


class Wallet:
    """The database of the service."""

    def __init__(self, path, cents):
        self.path = path
        with self.connect() as db:
            db.execute(
                "CREATE TABLE IF NOT EXISTS wallet (free INTEGER NOT NULL CHECK (free >= 0),"
                " frozen INTEGER NOT NULL, spent INTEGER NOT NULL)"
            )
            db.execute("INSERT INTO wallet VALUES (?, 0, 0)", (cents,))
            # `kind` is `try` or `end`; `what` says who wrote the row.
            db.execute(
                "CREATE TABLE IF NOT EXISTS branch_log (gid TEXT, branch TEXT, kind TEXT,"
                " what TEXT NOT NULL, answer TEXT NOT NULL, PRIMARY KEY (gid, branch, kind))"
            )

    def connect(self):
        # Waits for other writers; `with` commits, or rolls back on an exception.
        db = sqlite3.connect(self.path, timeout=30, isolation_level="IMMEDIATE")
        db.execute("BEGIN IMMEDIATE")
        return db

    def money(self):
        """What is free, frozen and spent."""
        with self.connect() as db:
            return db.execute("SELECT free, frozen, spent FROM wallet").fetchone()

    def try_(self, gid, branch, cents):
        """Freezes money, once."""
        with self.connect() as db:
            first = self._row(db, gid, branch, "try")
            if first is None:
                sql = "UPDATE wallet SET free = free - ?, frozen = frozen + ? WHERE free >= ?"
                if db.execute(sql, (cents, cents, cents)).rowcount == 1:
                    first = ("try", json.dumps({"frozen": cents}))
                else:
                    # A refusal is an answer too: it is kept, and given again.
                    first = ("refused", "")
                self._write(db, gid, branch, "try", first)
        if first[0] == "refused":
            raise Refused("NO_MONEY", f"there are no {cents} cents")
        if first[0] == "cancel":
            raise Refused("TRY_AFTER_CANCEL", "this branch was cancelled before its try")
        return first[1]

    def confirm(self, gid, branch):
        """Takes what the try froze, once."""
        with self.connect() as db:
            end = self._row(db, gid, branch, "end")
            if end is None:
                tried = self._row(db, gid, branch, "try")
                if tried is None or tried[0] != "try":
                    raise Refused("CONFIRM_WITHOUT_TRY", "nothing is frozen here")
                cents = json.loads(tried[1])["frozen"]
                db.execute(
                    "UPDATE wallet SET frozen = frozen - ?, spent = spent + ?", (cents, cents)
                )
                end = ("confirm", "null")
                self._write(db, gid, branch, "end", end)
        if end[0] != "confirm":
            raise Refused("CONFIRM_AFTER_CANCEL", "this branch was cancelled before")
        return end[1]

    def cancel(self, gid, branch):
        """Gives back what the try froze, if it did, once; bars the try otherwise."""
        with self.connect() as db:
            end = self._row(db, gid, branch, "end")
            if end is None:
                tried = self._row(db, gid, branch, "try")
                if tried is None:
                    self._write(db, gid, branch, "try", ("cancel", ""))
                elif tried[0] == "try":
                    cents = json.loads(tried[1])["frozen"]
                    db.execute(
                        "UPDATE wallet SET frozen = frozen - ?, free = free + ?", (cents, cents)
                    )
                end = ("cancel", "null")
                self._write(db, gid, branch, "end", end)
        if end[0] != "cancel":
            raise Refused("CANCEL_AFTER_CONFIRM", "this branch was confirmed before")
        return end[1]

    @staticmethod
    def _row(db, gid, branch, kind):
        sql = "SELECT what, answer FROM branch_log WHERE gid = ? AND branch = ? AND kind = ?"
        return db.execute(sql, (gid, branch, kind)).fetchone()

    @staticmethod
    def _write(db, gid, branch, kind, row):
        db.execute("INSERT INTO branch_log VALUES (?, ?, ?, ?, ?)", (gid, branch, kind, *row))


class Participant(participant_pb2_grpc.ParticipantServiceServicer):
    """Serves the wallet to the coordinator."""

    def __init__(self, wallet):
        self.wallet = wallet

    def Execute(self, request, context):
        call = {
            types_pb2.PHASE_TRY: self._try,
            types_pb2.PHASE_CONFIRM: lambda it: self.wallet.confirm(it.gid, it.branch),
            types_pb2.PHASE_CANCEL: lambda it: self.wallet.cancel(it.gid, it.branch),
        }[request.phase]
        # Any other exception becomes a gRPC error: it proves nothing, and the call comes again.
        try:
            output = call(request)
        except Refused as no:
            return participant_pb2.ExecuteResponse(
                refused=types_pb2.Failure(code=no.code, message=str(no))
            )
        return participant_pb2.ExecuteResponse(
            succeeded=participant_pb2.Succeeded(output=payload(output))
        )

    def _try(self, request):
        cents = json.loads(request.input.data)["cents"]
        return self.wallet.try_(request.gid, request.branch, cents)


def payload(text):
    """JSON as it travels."""
    return types_pb2.Payload(content_type="application/json", data=text.encode())
