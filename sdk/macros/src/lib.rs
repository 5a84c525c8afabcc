//! The macros of the Amends SDK; users meet them as `amends::service`,
//! `amends::wire!` and `#[derive(amends::Wire)]`.
//!
//! They promise three things: every mistake of a block is reported at once,
//! each at the token at fault; the user's own code is emitted beside the
//! errors, so that editors keep working; and whatever they generate can be
//! written by hand with the builders of the `amends` crate.

mod derive;
mod errors;
mod expand;
mod half;
mod message;
mod parse;
mod serde_attrs;
mod signature;
mod tcc;
mod validate;
mod values;
mod wire;

use proc_macro::TokenStream;

/// Turns an inherent `impl` block into a service whose `#[step]` methods the
/// coordinator can call, whose `#[tcc]` methods are tries of TCCs, whose
/// `#[on_message]` methods get messages, and whose `#[half_message]` methods send them.
///
/// ```text
/// #[amends::service(name = "inventory")]
/// impl Inventory {
///     /// Takes stock out of sale.
///     #[step(compensate = release, timeout = "5s", retry(max_attempts = 8, backoff = "200ms"))]
///     pub async fn reserve(&self, conn: &mut Conn, req: ReserveReq) -> StepResult<Reservation> { .. }
///     async fn release(&self, conn: &mut Conn, req: &ReserveReq, done: &Reservation) -> StepResult<()> { .. }
/// }
/// ```
///
/// Generates `impl amends::Service for Inventory` and one constant per step,
/// `Inventory::RESERVE: StepRef<ReserveReq, Reservation>`, which sagas refer
/// to. The methods stay ordinary methods.
///
/// Keys of `#[step]`:
///
/// - `compensate = method` or `compensate = none`: required. The method gets
///   the input and the output of the step by reference.
/// - `effects = external`: the effects lie outside the service's database.
///   The methods take `&StepCx` in place of `&mut Conn`, and the compensation
///   gets `Option<&Output>`, because it may run although the step never answered.
/// - `timeout = "5s"`: bound of one call.
/// - `retry(max_attempts = 8, backoff = "200ms", max_backoff = "10s", multiplier = 2.0)`:
///   what is left out keeps its default.
/// - `name = "reserve-stock"`: the stored name. Without it the method's name
///   in kebab-case.
///
/// A method with `#[tcc]` is the try of a branch: it holds what a TCC needs, until
/// another method confirms or a third one cancels:
///
/// ```text
/// #[tcc(confirm = settle, cancel = unfreeze, timeout = "3s")]
/// pub async fn freeze(&self, conn: &mut Conn, req: Amount) -> StepResult<Frozen> { .. }
/// async fn settle(&self, conn: &mut Conn, req: &Amount, held: &Frozen) -> StepResult<()> { .. }
/// async fn unfreeze(&self, conn: &mut Conn, req: &Amount, held: &Frozen) -> StepResult<()> { .. }
/// ```
///
/// It becomes the constant `Wallet::FREEZE: TccRef<Amount, Frozen>`. Its keys, of which
/// the first two are required:
///
/// - `confirm = method`, `cancel = method`: they get the input and the output of the
///   try by reference, and run only if it committed;
/// - `timeout = "3s"`: bound of one call;
/// - `retry(..)`: of the try, as for steps;
/// - `settle_retry(..)`: of confirm and cancel, until the branch counts as stuck;
/// - `name = "freeze-money"`: the stored name.
///
/// A method with `#[on_message]` handles messages, each once:
///
/// ```text
/// #[on_message(topic = "payTopic", tags = "pay_success", group = "points", max_attempts = 16)]
/// async fn award(&self, conn: &mut Conn, msg: Message<OrderPaid>) -> StepResult<()> { .. }
/// ```
///
/// Its keys, of which only the first is required:
///
/// - `topic = "payTopic"`;
/// - `tags = "paid || refunded"` or `filter = "amount > 10"`: which messages of it;
/// - `group = "points"`: default the service's name;
/// - `mode = broadcasting`: every instance gets every message;
/// - `max_attempts = 16`, `retry = ["10s", "1m"]`: how it is tried again;
/// - `concurrency = 32`, `prefetch = 64`: how many at a time, and at hand;
/// - `dedupe = key`: seen before by the message's key, not by its id;
/// - `timeout = "30s"`: bound of one attempt;
/// - `effects = external`: the method takes `&MessageCx` in place of `&mut Conn`.
///
/// A method with `#[half_message]` answers the message that is delivered if and
/// only if its local transaction commits:
///
/// ```text
/// #[half_message(topic = "payTopic", tag = "pay_success", check_after = "30s")]
/// pub async fn pay(&self, conn: &mut Conn, cmd: PayOrder) -> StepResult<OrderPaid> { .. }
/// ```
///
/// It becomes the constant `Payments::PAY: HalfRef<Payments, PayOrder, OrderPaid>`, to be
/// sent with `client.half_of(&payments, Payments::PAY, cmd).key(..).in_tx(&database)`.
/// Its keys, of which only the first is required:
///
/// - `topic = "payTopic"`, `tag = "pay_success"`;
/// - `check_after = "30s"`: when the coordinator first asks what became of it;
/// - `check_back = method`: the work lies outside of the service's database, and
///   this method, `async fn(&self, cx: &HalfCx) -> StepResult<HalfVerdict>`, says what
///   became of it. The message is then the input, `async fn(&self, cx: &HalfCx,
///   message: &OrderPaid) -> StepResult<Output>`, and it is sent with
///   `client.external_half_of(..).run()`.
///
/// `#[amends::service(name = "stock", cancel_on(topic = "orderTopic", tag = "order_cancel"))]`
/// lets the cancel message of a saga undo the steps of the service.
#[proc_macro_attribute]
pub fn service(args: TokenStream, item: TokenStream) -> TokenStream {
    expand::service(args.into(), item.into()).into()
}

/// Builds a value for a step from literals and typed references.
///
/// `wire!(ReserveReq { goods: input.goods, number: 1 })` is a
/// `Val<ReserveReq>`: every field must be there and have the right type, and
/// may be a reference, a plain value, a nested struct, or an array of these.
#[proc_macro]
pub fn wire(input: TokenStream) -> TokenStream {
    wire::expand(input.into()).into()
}

/// Gives a struct typed references: with `input: Val<PlaceOrder>`, the
/// expression `input.goods` is a `Val<String>`, and `wire!` can build it.
///
/// Field names on the wire follow serde's `rename` and `rename_all`.
#[proc_macro_derive(Wire, attributes(serde))]
pub fn derive_wire(input: TokenStream) -> TokenStream {
    derive::expand(input.into()).into()
}
