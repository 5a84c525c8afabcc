//! Real processes of `amends serve`: killed, stopped, started where they cannot be.

mod audit;
mod kill;
mod ledger;
mod refuse;
mod serve;
mod stop;
