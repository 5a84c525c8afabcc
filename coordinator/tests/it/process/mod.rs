//! Real processes of `amends serve`: killed, stopped, started where they cannot be.

mod audit;
mod halves;
mod kill;
pub(crate) mod ledger;
mod live;
mod messages;
mod refuse;
mod serve;
mod stop;
mod tcc_callers;
mod tccs;
pub(crate) mod vault;
