//! Branches in the description of a service.

use std::sync::Arc;

use super::TccRef;
use crate::ServiceBuilder;
use crate::service::{
    Handler, LocalBackward, LocalDo, LocalForward, LocalUndo, StepData, decode_input,
    decode_output, encode_output,
};

/// The code of a branch, types erased.
pub(crate) struct TccCode {
    pub(crate) hold: LocalForward,
    pub(crate) confirm: LocalBackward,
    pub(crate) cancel: LocalBackward,
}

impl<S: Send + Sync + 'static> ServiceBuilder<S> {
    /// Adds a branch of TCCs, whose effects are in the service's own database.
    /// Each of the three methods runs in one local transaction with the
    /// consumer log: the try once, then either `confirm` or `cancel`, once.
    /// Those get the input and the output of the try, and run only if it
    /// committed. A step or branch of the same name is replaced.
    ///
    /// ```
    /// # use std::sync::Arc;
    /// # use amends::{Conn, Service, ServiceBuilder, ServiceDef, StepResult, TccRef};
    /// struct Wallet;
    /// impl Wallet {
    ///     const FREEZE: TccRef<i64, i64> = TccRef::new("wallet", "freeze");
    ///     async fn freeze(&self, _conn: &mut Conn, cents: i64) -> StepResult<i64> { Ok(cents) }
    ///     async fn settle(&self, _conn: &mut Conn, _cents: &i64, _held: &i64) -> StepResult<()> { Ok(()) }
    ///     async fn unfreeze(&self, _conn: &mut Conn, _cents: &i64, _held: &i64) -> StepResult<()> { Ok(()) }
    /// }
    /// impl Service for Wallet {
    ///     const NAME: &'static str = "wallet";
    ///     fn define(self: Arc<Self>) -> ServiceDef {
    ///         ServiceBuilder::new(Self::NAME, self)
    ///             .tcc(
    ///                 Self::FREEZE,
    ///                 "Holds money.",
    ///                 |service, conn, cents| Box::pin(service.freeze(conn, cents)),
    ///                 |service, conn, cents, held| Box::pin(service.settle(conn, cents, held)),
    ///                 |service, conn, cents, held| Box::pin(service.unfreeze(conn, cents, held)),
    ///             )
    ///             .build()
    ///     }
    /// }
    /// ```
    pub fn tcc<I: StepData, O: StepData>(
        mut self,
        branch: TccRef<I, O>,
        description: &'static str,
        hold: LocalDo<S, I, O>,
        confirm: LocalUndo<S, I, O>,
        cancel: LocalUndo<S, I, O>,
    ) -> Self {
        let service = Arc::clone(&self.service);
        let hold: LocalForward = Box::new(move |conn, input| {
            let service = Arc::clone(&service);
            Box::pin(async move {
                let input = decode_input::<I>(&input)?;
                encode_output(&hold(&service, conn, input).await?)
            })
        });
        let code = TccCode {
            hold,
            confirm: settling(Arc::clone(&self.service), confirm),
            cancel: settling(Arc::clone(&self.service), cancel),
        };
        self.add(branch.name(), description, Handler::Tcc(code));
        self
    }
}

fn settling<S: Send + Sync + 'static, I: StepData, O: StepData>(
    service: Arc<S>,
    method: LocalUndo<S, I, O>,
) -> LocalBackward {
    Box::new(move |conn, input, output| {
        let service = Arc::clone(&service);
        Box::pin(async move {
            let input = decode_input::<I>(&input)?;
            let output = decode_output::<O>(&output)?;
            method(&service, conn, &input, &output).await
        })
    })
}
