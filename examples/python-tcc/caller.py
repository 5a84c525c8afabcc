"""A caller of TCCs without an SDK: begins one, tries branches, confirms or cancels."""

import json

from google.protobuf.duration_pb2 import Duration

from amends.v1 import tcc_pb2, tcc_pb2_grpc, types_pb2
from wallet import SERVICE, STEP, Refused, payload


class Caller:
    """One TCC: hold everything, then decide."""

    def __init__(self, channel, gid, seconds=30):
        self.stub = tcc_pb2_grpc.TccServiceStub(channel)
        self.gid = gid
        # What is not confirmed by then is cancelled, also when this process is gone. The
        # same gid again is the same TCC, so that repeating a lost call is safe.
        request = tcc_pb2.BeginTccRequest(
            gid=gid, name="python.pay", deadline=Duration(seconds=seconds)
        )
        self.stub.BeginTcc(request, timeout=10)

    def branch(self, name, cents):
        return tcc_pb2.TccBranch(
            name=name,
            target=f"{SERVICE}/{STEP}",
            input=payload(json.dumps({"cents": cents})),
        )

    def try_branch(self, name, cents):
        """Has the coordinator call the try; returns the branch as it stands then."""
        request = tcc_pb2.TryBranchRequest(gid=self.gid, branch=self.branch(name, cents))
        return self.stub.TryBranch(request, timeout=70).branch

    def register(self, name, cents):
        request = tcc_pb2.RegisterBranchRequest(gid=self.gid, branch=self.branch(name, cents))
        return self.stub.RegisterBranch(request, timeout=10).branch

    def try_own(self, name, cents, wallet):
        """Registers the branch, makes the try itself, and reports what came of it.

        From the registration on the branch is confirmed or cancelled, whatever
        becomes of this process: a try may therefore only begin after it.
        """
        self.register(name, cents)
        report = tcc_pb2.ReportTryRequest(gid=self.gid, branch=name)
        try:
            report.succeeded.CopyFrom(payload(wallet.try_(self.gid, name, cents)))
        except Refused as no:
            report.refused.CopyFrom(types_pb2.Failure(code=no.code, message=str(no)))
        return self.stub.ReportTry(report, timeout=10).branch

    def confirm(self):
        """Decides; waits for the end, which comes also without anybody waiting."""
        request = tcc_pb2.ConfirmTccRequest(gid=self.gid, wait=Duration(seconds=30))
        return self.stub.ConfirmTcc(request, timeout=40).transaction

    def cancel(self, reason):
        """The same for the other decision."""
        request = tcc_pb2.CancelTccRequest(
            gid=self.gid, reason=reason, wait=Duration(seconds=30)
        )
        return self.stub.CancelTcc(request, timeout=40).transaction

    def get(self):
        return self.stub.GetTcc(tcc_pb2.GetTccRequest(gid=self.gid), timeout=10).transaction
